"""The group `failsoft keys`: those that sign a ledger."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from failsoft.cli.application import CONFIG, Config
from failsoft.cli.telling import CODES, Commands, explained, print_line
from failsoft.config_file import read_value
from failsoft.config_read import read_file
from failsoft.errors import ConfigurationError
from failsoft.io.clock import SystemClock
from failsoft.keeping import host_of, redact_of
from failsoft.ledger.acts.rotation import rotate as hand_over
from failsoft.ledger.format.note import NoteInvalid
from failsoft.ledger.keys.ed25519 import SEED_SIZE, Keepable, SigningKey, write_key
from failsoft.ledger.keys.vault import KEY_SIZE, PayloadKey
from failsoft.login import logged_in
from failsoft.signing import location_of, signing_of

group = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None, help="Keys that sign a ledger.")


@group.command(epilog=f"Example: failsoft keys new ledger.key --name example.com/procurement\n\n{CODES}")
def new(
    file: Annotated[Path, typer.Argument(help="Where to keep it; never overwritten.")],
    name: Annotated[
        str | None, typer.Option(help="The log's name (its origin): printable ASCII, no white space, no +.")
    ] = None,
    payload: Annotated[bool, typer.Option("--payload", help="One that encrypts payloads, instead.")] = False,
) -> None:
    """Make a key that signs a ledger, and print its public part: give that to whoever will verify it.

    With --payload: one that opens the keys under which payloads are encrypted. There's nothing public about that one.
    """
    if payload is (name is not None):
        raise typer.BadParameter("give a name for a key that signs, or --payload", param_hint="--name")
    with explained(as_json=False):
        if payload:
            sealing = PayloadKey(secrets.token_bytes(KEY_SIZE))
            _write(file, sealing)
            print_line(f"payload key {sealing.id}")
            return
        try:
            key = SigningKey(name or "", secrets.token_bytes(SEED_SIZE))
        except ValueError:
            raise typer.BadParameter("printable ASCII, no white space, no +", param_hint="--name") from None
        _write(file, key)
    print_line(str(key.verifier))


@group.command(epilog=f"Example: failsoft keys show ledger.key\n\n{CODES}")
def show(file: Annotated[Path, typer.Argument(help="The key's file.")]) -> None:
    """Print a key's public part, as --key takes it."""
    with explained(as_json=False):
        key = _read(file)
    print_line(str(key.verifier))


@group.command(epilog=f'Example: failsoft keys rotate --why "yearly"\n\n{CODES}')
def rotate(
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")],
    config: Config = CONFIG,
    actor: Annotated[str | None, typer.Option("--actor", help="Who; default: your login name.")] = None,
) -> None:
    """Hand the ledger over to a new key, while no process has it open. The former key's file stays, under another name.

    Interrupted, it can be run again.
    """
    with explained(as_json=False):
        problems: list[str] = []
        draft = read_file(config)
        ledger = draft.config.ledger
        signing = signing_of(ledger, problems)
        location, file = location_of(ledger, problems), ledger.key_path
        if problems or draft.problems:
            raise ConfigurationError([*draft.problems, *problems])
        if signing is None or location is None or file is None:
            raise ConfigurationError(
                'ledger.key: the ledger has none that stands in a file: write key = { file = "…" }'
            )
        beside = file.with_name(file.name + ".new")
        if beside.exists() and beside.stat().st_size == 0:  # whoever was making it was killed
            beside.unlink()
        if not beside.exists():
            _write(beside, SigningKey(signing.key.name, secrets.token_bytes(SEED_SIZE)))
        to = _read(beside)
        if to.verifier == signing.key.verifier:
            raise ConfigurationError(f"{beside} holds the ledger's own key: remove it, and run this again")
        try:
            done = hand_over(
                location,
                signing,
                to,
                clock=SystemClock(),
                actor=actor or logged_in(),
                why=why,
                redact=redact_of(draft.config),
                host=host_of(draft.config),
            )
        except ValueError as error:
            raise ConfigurationError(f"not rotated: {error}") from None
        former = file.with_name(f"{file.name}.{signing.key.verifier.id.hex()}")
        if not former.exists():
            _write(former, signing.key)
        _take_over(beside, file)
    print_line(f"{to.verifier}")
    print_line(f"signs from record {done.size} on; both keys signed the checkpoint of {done.size} records")
    print_line(f"the former key stands in {former}")
    for each in done.unanchored:
        print_line(f"not anchored: {each}; the next checkpoint will be")


def _take_over(beside: Path, file: Path) -> None:
    """Whoever could read the former key's file can read the new one's."""
    try:
        was = file.stat()
        with suppress(PermissionError, AttributeError):  # whose it is, only root says; on Windows nobody
            os.chown(beside, was.st_uid, was.st_gid)
            beside.chmod(stat.S_IMODE(was.st_mode))
        os.replace(beside, file)
    except OSError as error:
        raise ConfigurationError(
            f"{file}: the new key can't be put there ({error.strerror}). The ledger is signed with it from now on: unless "
            f"somebody else just rotated the keys and it's there already, it stands in {beside}: move it there"
        ) from None


def _read(file: Path) -> SigningKey:
    try:
        return SigningKey.parse(read_value(file))
    except NoteInvalid as error:
        raise ConfigurationError(f"{file}: {error}") from None
    except ValueError as error:
        raise ConfigurationError(f"{file} {error}") from None


def _write(file: Path, key: Keepable) -> None:
    try:
        write_key(file, key)
    except OSError as error:
        raise ConfigurationError(f"{file}: the key can't be written ({error.strerror})") from None
