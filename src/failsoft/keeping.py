"""From ``[retention]`` to what may be destroyed, and from a configuration to who acts on its ledger from outside."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import evolve

from failsoft.adapters.base import secrets_of
from failsoft.config import AdapterConfig, Config
from failsoft.config_file import NO_KEY
from failsoft.config_read import read_file
from failsoft.config_retention import RetentionConfig
from failsoft.errors import ConfigurationError, LedgerInvalid
from failsoft.io.clock import SystemClock
from failsoft.ledger.acts.erasure import Acting
from failsoft.ledger.acts.retention import CLASSES, Retention, RetentionClass
from failsoft.ledger.location import InDatabase, Location
from failsoft.ledger.records.redaction import Redact, redactor
from failsoft.signing import location_of, signing_of


def retention_of(config: RetentionConfig, problems: list[str]) -> Retention:
    """What's to be kept; what names a class that there isn't is told."""
    own = {
        name: RetentionClass(each.after, each.keep_days, each.erasable, each.source, each.approval)
        for name, each in config.classes.items()
    }
    classes = {**CLASSES, **own}
    named = {f"retention.kinds.{kind}": name for kind, name in config.kinds.items()}
    if config.default is not None:
        named["retention.default"] = config.default
    for place, name in named.items():
        if name not in classes:
            problems.append(f"{place}: there is no class {name!r}; there are {', '.join(sorted(classes))}")
    return Retention(classes, dict(config.kinds), config.default)


def acting_on(
    config: Path, ledger: Location | None = None, warn: Callable[[str], None] = lambda reason: None
) -> tuple[Acting, Retention]:
    """Who acts on the ledger of a configuration, and what's to be kept there.

    Args:
        config: the configuration.
        ledger: the same ledger as another role of its database; None: as the application's.
        warn: told what speaks against acting there.

    Raises:
        ConfigurationError: the configuration is wrong, or its ledger is off.
        LedgerInvalid: the ledger that's named isn't the configuration's, or nobody can tell.
    """
    draft = read_file(config, keyless=True)
    problems = [*draft.problems]
    location = location_of(draft.config.ledger, problems)
    signing = signing_of(draft.config.ledger, problems)
    retention = retention_of(draft.config.retention, problems)
    if location is None and not problems:
        problems.append('ledger.url: the ledger is off ("none"): nothing was recorded')
    if problems or location is None:
        raise ConfigurationError(problems)
    if ledger is not None:
        if not (isinstance(ledger, InDatabase) and isinstance(location, InDatabase)):
            raise ConfigurationError(
                [f"{ledger}: an owner is a role of the database that the ledger is in, and {location} isn't"]
            )
        _refuse_another(ledger, location, draft.config.ledger.origin)
        location = evolve(ledger, sealing=location.sealing)
    acting = Acting(location, SystemClock(), signing, host_of(draft.config), warn=warn, redact=redact_of(draft.config))
    return acting, retention


def host_of(config: Config) -> str:
    """How records name this machine, as the application does it."""
    return config.host or socket.gethostname()


def _refuse_another(ledger: InDatabase, location: InDatabase, origin: str | None) -> None:
    """What's destroyed is gone: an address with a slip of the pen would have another ledger's evidence destroyed."""
    try:
        named = ledger.log_beside(location)
    except LedgerInvalid as error:
        raise type(error)(f"nobody can tell whether {ledger} is the configuration's ledger: {error}") from None
    if named is None:
        raise LedgerInvalid(
            f"{ledger}: it isn't the ledger that the configuration names, {location}: the owner's address must name the "
            "same database and schema, as another role"
        )
    if origin not in (None, named):
        raise LedgerInvalid(
            f"{ledger}: this is the log of {named!r}, and the configuration's is {origin!r} (ledger.origin)"
        )


def redact_of(config: Config) -> Redact:
    """What's taken out of reasons, as the application does it: its own keys, as far as they can be had here, and what looks
    like one unless that's off. One that a function of the application's gives isn't asked for.
    """
    keys = frozenset(key for each in config.adapters.values() for key in _keys_of(each))
    return redactor(lambda: keys, patterns=config.ledger.redact)


def _keys_of(adapter: AdapterConfig) -> Iterator[str]:
    headers = {name: each.get_secret_value() for name, each in adapter.headers.items()}
    key = None if adapter.api_key is None else adapter.api_key.get_secret_value()
    return (each for each in secrets_of(key, headers) if each != NO_KEY)
