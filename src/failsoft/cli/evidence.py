"""Checking a ledger or a bundle: `failsoft verify`; and `failsoft ledger monitor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import attrs
import typer

from failsoft.cli.application import Json
from failsoft.cli.pinned import Pin
from failsoft.cli.place import Ledger
from failsoft.cli.telling import explained, give_up, print_json, print_line
from failsoft.errors import LedgerInvalid
from failsoft.ledger.bundles import verify_bundle
from failsoft.ledger.format.note import NoteInvalid, VerifierKey
from failsoft.ledger.location import InFile, Location
from failsoft.ledger.sqlite import read as sqlite_read
from failsoft.ledger.verification.monitor import monitor as look
from failsoft.ledger.verify import verify as verify_ledger

EPILOG = (
    "Example: failsoft verify failsoft.db --key 'example.com/log+c2d88293+AQOh…' --checkpoint anchors.txt\n\n"
    "Exit code: 0 whole, and each key, pin and checkpoint was of use; 1 tampered with, and where; 2 incomplete, or not "
    "covered by what you gave; 3 not a usable ledger, or no output to say it; 64 the command line is wrong."
)

MONITOR_EPILOG = (
    "Example: failsoft ledger monitor seen.txt failsoft.db --key 'example.com/log+c2d88293+AQOh…'\n\n"
    "Exit code: 0 consistent with what was seen before; 1 forked, rolled back or changed; 2 nothing to compare, or not "
    "signed by your key; 3 ledger, state or output can't be used; 64 the command line is wrong."
)

_MAX_CHECKPOINTS = 1 << 30
"""Bytes of a file of checkpoints: millions."""


def _key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text)
    except NoteInvalid as error:
        raise typer.BadParameter(str(error)) from None


def checkpoints_in(path: Path) -> list[bytes]:
    """The checkpoints in a file; whatever stands besides them as one, which verification refuses with the reason."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CHECKPOINTS + 1)
    except OSError as error:
        raise typer.BadParameter(f"{path}: it can't be read ({error.strerror})") from None
    if len(data) > _MAX_CHECKPOINTS:
        raise typer.BadParameter(f"{path}: it's larger than 1 GiB: give the part of it that has the newest checkpoints")
    return verify_bundle.notes_in_file(data)


Keys = Annotated[
    list[Any] | None,
    typer.Option(
        "--key", help="A verifier key, of the log or of a witness, from your own keeping.", parser=_key, metavar="VKEY"
    ),
]


FormerKeys = Annotated[
    list[Any] | None,
    typer.Option(
        "--former-key",
        help="A key of the log that another has replaced. Of a bundle it counts on your own checkpoints alone.",
        parser=_key,
        metavar="VKEY",
    ),
]

Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(help="A file of signed checkpoints, from your own keeping: one, or an anchor's."),
]


def verify(
    ledger: Ledger,
    pin: Pin = None,
    key: Keys = None,
    former_key: FormerKeys = None,
    checkpoint: Checkpoints = None,
    extension: Annotated[
        list[Path] | None,
        typer.Option(
            help="Of a bundle: the proof that your newer checkpoints extend its log (`failsoft ledger extension`)."
        ),
    ] = None,
    hashes_only: Annotated[
        bool,
        typer.Option("--hashes-only", help="Look at nothing but a ledger's hashes: quick, between full verifications."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every record of a ledger, or everything in a bundle.

    Keys, pins and checkpoints come from your own keeping: never from the ledger, or from whoever could change it. Without a
    key the most that can be said is that it's self-consistent.
    """
    pinned = [each for path in checkpoint or [] for each in checkpoints_in(path)]
    if (bundle := _bundle_at(ledger)) is not None:
        if hashes_only:
            raise typer.BadParameter("a bundle is verified whole", param_hint="--hashes-only")
        _verify_bundle(bundle, key or [], former_key or [], pinned, pin or [], extension or [], as_json)
    if extension:
        raise typer.BadParameter("it goes with a bundle", param_hint="--extension")
    keys = [*(key or []), *(former_key or [])]  # a ledger says itself which of them another has replaced, and where
    with explained(as_json, code=3):
        found = verify_ledger(ledger, pins=pin or [], keys=keys, checkpoints=pinned, hashes_only=hashes_only)
    if as_json:
        print_json({**attrs.asdict(found, recurse=True), "kinds": dict(found.kinds)})
    else:
        for line in found.summary():
            print_line(line)
    raise typer.Exit(found.exit_code)


def _bundle_at(place: Location) -> Path | None:
    """The file, if it begins as a bundle. Only what SQLite doesn't take for its own is looked into by any other way."""
    if not isinstance(place, InFile):
        return None
    try:
        sqlite_read.connect(place.path).close()
        return None
    except LedgerInvalid:
        pass
    try:
        if not place.path.is_file():  # a pipe would have it wait
            return None
        with place.path.open("rb") as file:
            return place.path if file.read(4) == b"PK\3\4" else None
    except OSError:
        return None


def _verify_bundle(
    path: Path,
    keys: list[VerifierKey],
    former: list[VerifierKey],
    pinned: list[bytes],
    pins: list[tuple[int, str]],
    extensions: list[Path],
    as_json: bool,
) -> NoReturn:
    try:
        proofs = [verify_bundle.read_file(str(each), verify_bundle.MAX_PINS) for each in extensions]
        data = verify_bundle.read_file(str(path), verify_bundle.MAX_BYTES)
        found = verify_bundle.verify(data, list(map(str, keys)), pinned, pins, proofs, list(map(str, former)))
    except verify_bundle.Wrong as error:
        give_up(as_json, [str(error)], error.code)
    if as_json:
        print_json(found._asdict())
    else:
        for line in found.lines():
            print_line(line)
    raise typer.Exit(found.code)


def monitor(
    state: Annotated[
        Path, typer.Argument(help="The file of the last checkpoint seen; made at the first look.", readable=False)
    ],
    ledger: Ledger,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Hold a ledger's newest checkpoint against the last one seen, and keep it.

    Run it regularly, from where the application can't write. After a fork or a rollback the state stays as it was.
    """
    with explained(as_json, code=3):
        seen = look(state, ledger, key or [])
    if as_json:
        print_json(attrs.asdict(seen))
    else:
        print_line(seen.told)
    raise typer.Exit(seen.exit_code)
