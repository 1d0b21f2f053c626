"""From ``[ledger]`` to where it is, and to what signs it: the key, its memory, the anchors."""

from __future__ import annotations

from typing import Any

from failsoft.config_file import NO_KEY
from failsoft.config_ledger import LedgerConfig
from failsoft.core.effects import Clock
from failsoft.errors import ConfigurationError
from failsoft.ledger.checkpoints.anchors import Anchor, CommandAnchor, FileAnchor
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.format.note import NoteInvalid
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.keys.vault import PayloadKey, Sealing
from failsoft.ledger.location import InDatabase, InFile, Location
from failsoft.ledger.spool.file import Spooling
from failsoft.postgres_address import Address


def location_of(config: LedgerConfig, problems: list[str], spools: Clock | None = None) -> Location | None:
    """Where the ledger is; None where there's none, or the address is wrong, which is told.

    Args:
        config: what stands in the configuration.
        problems: what's wrong with it is added here.
        spools: the clock, where records wait while the database is away; None: they don't.
    """
    sealing = _sealing_of(config, problems)
    if config.database is None:
        return None if config.path is None else InFile(config.path, sealing=sealing)
    try:
        return InDatabase(
            Address.parse(config.database), sealing, None if spools is None else _spooling(config, spools)
        )
    except ConfigurationError as error:
        problems.append(f"ledger.url: {error.problems[0]}")
        return None


def _spooling(config: LedgerConfig, clock: Clock) -> Spooling:
    given: dict[str, Any] = {"max_bytes": config.spool_bytes, "max_age_ns": config.spool_age}
    return Spooling(config.spool_path, clock, **{name: each for name, each in given.items() if each is not None})


def _sealing_of(config: LedgerConfig, problems: list[str]) -> Sealing | None:
    path = config.keys_path
    if config.payload_key is None or path is None:
        return None
    text = config.payload_key.get_secret_value()
    if text == NO_KEY:  # whoever only looks needn't have it: payloads stay closed
        return None
    if not path.parent.is_dir():
        problems.append(f"ledger.case_keys: there is no folder {str(path.parent)!r}")
    try:
        return Sealing(PayloadKey.parse(text), path)
    except NoteInvalid as error:
        problems.append(f"ledger.payload_key: {error}")
    except ConfigurationError as error:
        problems.append(f"ledger.payload_key: {error.problems[0]}")
    return None


def signing_of(config: LedgerConfig, problems: list[str]) -> Signing | None:
    """How the ledger is signed; None where it isn't, or where something is wrong, which is told."""
    state = config.state_path
    if config.key is None or (config.path is None and config.database is None) or state is None:
        return None
    try:
        key = SigningKey.parse(config.key.get_secret_value())
    except (NoteInvalid, ConfigurationError) as error:
        told = error.problems[0] if isinstance(error, ConfigurationError) else str(error)
        problems.append(f"ledger.key: {told}")
        return None
    if config.origin not in (None, key.name):
        problems.append(
            f"ledger.origin: the key is named {key.name!r}: leave the origin out, or make a key of that name"
        )
        return None
    for place, path in (("key_state", state), ("anchor_file", config.anchor_path)):
        if path is not None and not path.parent.is_dir():
            problems.append(f"ledger.{place}: there is no folder {str(path.parent)!r}")
    given = {
        "records": config.checkpoint_records,
        "every_ns": config.checkpoint_every,
        "max_unanchored_age_ns": config.max_unanchored_age,
    }
    return Signing(
        key, state, anchors=_anchors(config), **{name: each for name, each in given.items() if each is not None}
    )


def _anchors(config: LedgerConfig) -> tuple[Anchor, ...]:
    anchors: list[Anchor] = []
    if config.anchor_path is not None:
        anchors.append(FileAnchor(config.anchor_path))
    if config.anchor_command is not None:
        anchors.append(CommandAnchor(config.anchor_command))
    return tuple(anchors)
