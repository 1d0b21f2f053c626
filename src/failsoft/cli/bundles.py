"""`failsoft ledger bundle`: what somebody else needs to check the record of some calls, in one file, and later."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer
from attrs import frozen

from failsoft.cli.application import Json
from failsoft.cli.cases import composed
from failsoft.cli.evidence import checkpoints_in
from failsoft.cli.place import Ledger, NamedLedger
from failsoft.cli.telling import explained, give_up, looking_into, print_json, print_line
from failsoft.context import identifier, says_something
from failsoft.core.evidence import ExportCreated
from failsoft.errors import ConfigurationError, LedgerInvalid, PayloadSealed
from failsoft.keeping import acting_on
from failsoft.ledger.acts.erasure import Acting
from failsoft.ledger.bundles.bundle import Bundle, make, verifier
from failsoft.ledger.bundles.extension import extension as extend
from failsoft.ledger.bundles.missing import NotWhole
from failsoft.ledger.bundles.selection import NotCovered, Wanted
from failsoft.ledger.bundles.verify_bundle import MAX_BYTES, Wrong, read_file
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.location import Location, is_same
from failsoft.ledger.records.keeping_draft import words
from failsoft.login import logged_in

EPILOG = (
    "Example: failsoft ledger bundle failsoft.toml --case T-17 -o T-17.zip --recipient auditor "
    '--why "spot check"\n\n'
    "Exit code: 0 made; 1 it can't be made, and why; 2 the log lacks something that it needs: an end of a call, a signed "
    "checkpoint; 64 the command line is wrong."
)

_LACKS = 2

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""A file system on which a file has one name: a USB stick, many a share."""


@frozen
class _Signs:
    """What a configuration brings along.

    Args:
        key: signs the manifest.
        acting: writes to the ledger; None where that's a copy, or another one.
    """

    key: SigningKey
    acting: Acting | None


def bundle(
    named: NamedLedger,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to make; never overwritten.")],
    case: Annotated[
        list[Any] | None, typer.Option(help="All calls of this case.", metavar="ID", parser=composed)
    ] = None,
    call: Annotated[list[str] | None, typer.Option(help="This call.", metavar="ID")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="The failsoft.toml that names the ledger's key; default: LEDGER, if it's one."
        ),
    ] = None,
    disclose: Annotated[
        list[str] | None,
        typer.Option(help="Show these payloads only: request, response, 'reply/*'. Default: all.", metavar="PATH"),
    ] = None,
    withhold: Annotated[
        list[str] | None, typer.Option(help="Show all but these payloads, and what repeats them.", metavar="PATH")
    ] = None,
    recipient: Annotated[
        str | None, typer.Option(help="Who gets it; that they do is put on record. Goes with --config.")
    ] = None,
    why: Annotated[str | None, typer.Option(help="What for, for the record; default: the question.")] = None,
    person: Annotated[str | None, typer.Option(help="Who makes it; default: your login name.")] = None,
    question: Annotated[str | None, typer.Option(help="What the receiver wants to know; it heads the report.")] = None,
    since_checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that the receiver has: the log is shown to extend it.")
    ] = None,
    all_records: Annotated[
        bool, typer.Option("--all-records", help="Every record of the log besides, without payloads.")
    ] = False,
    as_json: Json = False,
) -> None:
    """One file that says what was asked, answered and decided, and that can be verified without failsoft.

    Without a configuration nobody vouches for the question, the report and the choice of records: only for the records.
    """
    ledger: Location = named.location
    config = named.config if config is None else config
    _usable(output, bool(case or call), disclose, withhold, question)
    with explained(as_json):
        who = _named(recipient, person, why or question, config)
        since = [each for path in since_checkpoint or [] for each in checkpoints_in(path)]
        wanted = Wanted(
            tuple(call or ()),
            tuple(case or ()),
            None if disclose is None else tuple(disclose),
            tuple(withhold or ()),
            tuple(since),
            all_records,
        )
        signs = None if config is None else _signs(config, ledger)
        if signs is not None and signs.acting is None and named.config is not None:
            raise ConfigurationError(f"--config: its ledger is another one than that of {named.config}: leave it out")
        if signs is not None and signs.acting is not None and who is None:
            raise ConfigurationError("--recipient: say who gets it: of its own ledger, that goes on record")
        try:
            made = _made(ledger, wanted, signs, question)
        except PayloadSealed as error:
            way_out = (
                "where each host has keys of its own, leave out what lies under another's: --withhold PATH, as reason"
            )
            raise PayloadSealed(f"{error}; {way_out}") from None
        except (NotCovered, NotWhole) as error:
            give_up(as_json, [str(error)], _LACKS)
        _hand_over(ledger, output, made, signs, who)
    _tell(output, made, signs, who, as_json)


EXTENSION_EPILOG = (
    "Example: failsoft ledger extension failsoft.db T-17.zip -o T-17.later --to kept.txt\n\n"
    "Exit code: 0 made; 1 it can't be made, and why: the log doesn't extend the bundle's; 2 no checkpoint is newer than the "
    "bundle's; 3 no bundle; 64 the command line is wrong."
)


def extension(
    ledger: Ledger,
    bundle: Annotated[Path, typer.Argument(help="The bundle, which is of this ledger.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to make; never overwritten.")],
    to: Annotated[
        list[Path] | None,
        typer.Option(help="A file of the receiver's checkpoints. Default: the ledger's newest.", metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove that a receiver's checkpoints, which are newer than a bundle, extend its log.

    The receiver gives it to `failsoft verify BUNDLE --extension`. It reveals no record.
    """
    with explained(as_json):
        notes = [each for path in to or [] for each in checkpoints_in(path)]
        data = b""
        try:
            data = read_file(str(bundle), MAX_BYTES)
            with looking_into(ledger) as reader:
                made, sizes = extend(reader, data, notes)
        except Wrong as error:
            give_up(as_json, [f"{bundle}: {error}" if data else str(error)], error.code)
        except NotCovered as error:
            give_up(as_json, [str(error)], _LACKS)
        try:
            with output.open("xb") as file:
                file.write(made)
        except OSError as error:
            raise LedgerInvalid(f"{output}: it can't be written ({error.strerror})") from None
    if as_json:
        print_json({"file": str(output), "checkpoints": sizes})
    else:
        print_line(f"{output}: for checkpoints of {', '.join(map(str, sizes))} records")


def _usable(
    output: Path,
    named: bool,
    disclose: list[str] | None,
    withhold: list[str] | None,
    question: str | None,
) -> None:
    if not named:
        raise typer.BadParameter("say which calls: --case ID or --call ID")
    if disclose and withhold:
        raise typer.BadParameter("--disclose and --withhold exclude each other")
    if os.path.lexists(output):
        raise typer.BadParameter(f"{output} is there already: nothing is overwritten", param_hint="--output")
    if question is not None and not (question.isprintable() and 0 < len(question) <= 2000):
        raise typer.BadParameter("at most 2000 printable characters", param_hint="--question")


def _named(
    recipient: str | None, person: str | None, why: str | None, config: Path | None
) -> tuple[str, str, str] | None:
    """Who gets it from whom, and why: checked before anything is made."""
    if recipient is None:
        if person is not None:
            raise typer.BadParameter("it goes on record with --recipient", param_hint="--person")
        return None
    if config is None:
        raise typer.BadParameter("it goes on record, which needs the ledger's key: --config", param_hint="--recipient")
    if why is None or not says_something(why):
        raise typer.BadParameter("say what it's given away for: it goes on record", param_hint="--why")
    try:
        return identifier(recipient, "--recipient"), identifier(person or logged_in(), "--person"), words(why)
    except ValueError as error:
        raise ConfigurationError(f"{error} (--recipient, --person, --why)") from None


def _signs(config: Path, ledger: Location) -> _Signs:
    acting, _ = acting_on(config)
    if acting.signing is None:
        raise ConfigurationError('ledger.key: the ledger has none: write key = { file = "ledger.key" }')
    return _Signs(acting.signing.key, acting if is_same(acting.location, ledger) else None)


def _made(ledger: Location, wanted: Wanted, signs: _Signs | None, question: str | None) -> Bundle:
    key = None if signs is None else signs.key
    acting = None if signs is None else signs.acting
    place = ledger if acting is None else acting.location  # which may know how to open its payloads
    try:
        with looking_into(place) as reader:
            return make(reader, wanted, key, question)
    except (NotCovered, NotWhole) as error:
        if acting is None and isinstance(error, NotCovered):
            raise NotCovered(
                f"{error}: give the configuration that names the ledger and its key (--config): then one is signed"
            ) from None
        if acting is None:
            raise
    acting.record()  # opened and closed: who's gone is said, and a checkpoint is signed
    with looking_into(place) as reader:
        return make(reader, wanted, key, question)


def _hand_over(
    ledger: Location, output: Path, made: Bundle, signs: _Signs | None, who: tuple[str, str, str] | None
) -> None:
    """First it's written aside, then on record, and then there under its name."""
    aside = output.with_name(output.name + ".part")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise LedgerInvalid(
            f"{aside}: somebody is making this bundle, or was cut off at it: then remove that"
        ) from None
    except OSError as error:
        raise LedgerInvalid(f"{aside}: the bundle can't be written ({error.strerror})") from None
    try:
        with open(descriptor, "wb") as file:
            file.write(made.data)
            file.flush()
            os.fsync(descriptor)
        if who is not None and signs is not None:
            if signs.acting is None:
                raise LedgerInvalid(
                    f"{ledger}: it's not the ledger of the configuration, so that it can't be put on record who gets this: "
                    "leave --recipient out, or bundle from the application's own ledger"
                )
            signs.acting.record(ExportCreated(*who, made.manifest_sha256))
        _named_as(aside, output)
    except OSError as error:
        raise LedgerInvalid(f"{output}: the bundle can't be put there ({error.strerror})") from None
    finally:
        aside.unlink(missing_ok=True)


def _named_as(aside: Path, output: Path) -> None:
    """Give it its name, unless another file has it by now."""
    try:
        os.link(aside, output)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        output.open("xb").close()
        aside.replace(output)


def _tell(output: Path, made: Bundle, signs: _Signs | None, who: tuple[str, str, str] | None, as_json: bool) -> None:
    own = sha256(verifier()).hexdigest()
    if as_json:
        print_json(
            {
                "file": str(output),
                "sha256": sha256(made.data).hexdigest(),
                "manifest_sha256": made.manifest_sha256,
                "calls": made.call_ids,
                "records": made.records,
                "checkpoint": made.size,
                "signed": made.signed,
                "recipient": None if who is None else who[0],
                "verifier_sha256": own,
                "verdict": made.found.verdict,
                "problems": [what for _, what in made.found.problems],
            }
        )
        return
    print_line(f"{output}: {len(made.call_ids)} calls, {made.records} records, under a checkpoint of {made.size}")
    print_line(f"its own verifier says: {made.found.verdict}")
    for _, what in made.found.problems:
        print_line(f"  {what}")
    print_line(f"sha256 of its manifest: {made.manifest_sha256}")
    if who is not None:
        print_line(f"on record: {who[1]} gave it to {who[0]}")
    if signs is None:
        print_line("not signed: nobody vouches for its question, report and choice of records; give --config for that")
    print_line(
        "to verify it with nothing of failsoft's, the receiver takes verify.py from the release, with the SHA-256"
    )
    print_line(f"  {own}")
    key = "VKEY" if signs is None else str(signs.key.verifier)
    print_line(f"  python -I -S verify.py {output.name} --key '{key}'")
