"""Remembers the last checkpoint that a ledger showed, and demands that the next one extends it: from another machine.

Whoever can write a log can show one today and another one tomorrow. What finds that out isn't in the log: it's the one
checkpoint that somebody else kept. This keeps it, in a file of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attrs import frozen

from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.anchors import cut_out
from failsoft.ledger.checkpoints.signer import SignerRefused, extends
from failsoft.ledger.disk import sync_folder
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.format.note import ED25519, MAX_NOTE, NoteInvalid, VerifierKey
from failsoft.ledger.keys.ed25519 import Signed, open_checkpoint
from failsoft.ledger.location import Location, locate
from failsoft.ledger.locks import FileLock
from failsoft.ledger.store import DAMAGED, Source
from failsoft.ledger.verification.succession import Look, NotSucceeded

CONSISTENT, FORKED, INCOMPLETE, UNUSABLE = 0, 1, 2, 3
"""Exit codes."""


@frozen
class Seen:
    """What one look found.

    Args:
        exit_code: 0 consistent, 1 forked or rolled back, 2 there's nothing to compare, 3 unusable.
        told: in a sentence.
        size: of the checkpoint that's kept now; None where none is.
    """

    exit_code: int
    told: str
    size: int | None = None


class _Ended(Exception):
    def __init__(self, code: int, told: str) -> None:
        super().__init__(told)
        self.code = code


def monitor(state: Path, ledger: str | Path | Location, keys: Sequence[VerifierKey] = ()) -> Seen:
    """Compare a ledger's newest checkpoint with the last one seen, and keep it if it's an extension.

    Nothing is kept unless all is well: what was seen before a fork stays as the proof of it. One look at a time goes by a
    state: the next one waits, since the other may see more.

    Args:
        state: the file of the last one seen; made at the first look, which has nothing to compare with.
        ledger: its file, or its URL as a configuration has it.
        keys: of the log: what they signed must vouch for it, as `failsoft.ledger.verify` has it; and of witnesses: what
            stands on the newest checkpoint as theirs must be. None accepts whoever signed.

    Raises:
        ConfigurationError: there are keys, and the extra ``signing`` isn't installed.
    """
    if not state.name or os.path.isdir(state):
        return Seen(UNUSABLE, f"{state}: what was seen is kept in a file: name one")
    file = Path(os.path.realpath(state))  # not a link to it: whoever goes by another name must see the same
    with _alone(file):
        return _look(file, ledger, keys)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    lock = FileLock(state.with_name(state.name + ".lock"))
    with ExitStack() as held:
        held.callback(lock.close)
        with suppress(OSError):  # where nothing can be written, a fork is found all the same
            held.enter_context(lock.held())
        yield


def _look(state: Path, ledger: str | Path | Location, keys: Sequence[VerifierKey]) -> Seen:
    kept: int | None = None
    try:
        before, was = _state(state, keys)
        kept = None if before is None else before.checkpoint.size
        try:
            source = locate(ledger).connect()
        except LedgerInvalid as error:
            raise _Ended(UNUSABLE, str(error)) from None
        try:
            source.begin()
            now, note = _newest(source, keys, before)
            told = _compared(source, before, now)
            if keys:
                own = [key for key in keys if key.is_of_log(now.checkpoint.origin)]
                note = Look(source, own, now, note, before, was).vouched_for()
        except NotSucceeded as error:
            raise _Ended(error.code, str(error)) from None
        except DAMAGED as error:
            raise _Ended(
                UNUSABLE, f"{locate(ledger)}: it can't be read ({error}): run `failsoft verify` on it"
            ) from None
        finally:
            source.close()
        _keep(state, note)
        return Seen(CONSISTENT, told, now.checkpoint.size)
    except _Ended as ended:
        return Seen(ended.code, str(ended), kept)
    except OSError as error:
        return Seen(UNUSABLE, f"{state}: what was seen can't be kept ({error})", kept)


def _state(state: Path, keys: Sequence[VerifierKey]) -> tuple[Signed, bytes] | tuple[None, None]:
    try:
        with open(state, "rb") as file:
            data = cut_out(file.read(MAX_NOTE + 1))
        found = open_checkpoint(data, keys)
    except FileNotFoundError:
        return None, None
    except (OSError, NoteInvalid) as error:
        raise _Ended(UNUSABLE, f"{state}: what was seen last can't be read ({error})") from None
    if found.forged or (keys and not any(key.kind == ED25519 for key in found.by)):
        raise _Ended(UNUSABLE, f"{state}: what was seen last isn't signed by the keys that you gave")
    return found, data


def _newest(source: Source, keys: Sequence[VerifierKey], before: Signed | None) -> tuple[Signed, bytes]:
    row = source.execute("SELECT size, note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    if row is None:
        if before is not None:
            size = before.checkpoint.size
            raise _Ended(FORKED, f"rolled back: a checkpoint of {size} records was seen, and there's none any more")
        raise _Ended(INCOMPLETE, "there's no checkpoint yet: nothing to keep")
    try:
        found = open_checkpoint(row[1], keys)
    except NoteInvalid as error:
        raise _Ended(FORKED, f"the newest checkpoint isn't one: {error}") from None
    if found.forged:
        raise _Ended(FORKED, "the newest checkpoint has a signature that isn't its key's")
    _same_log(source, before, found.checkpoint.origin)
    if keys and not found.by_log:
        raise _Ended(INCOMPLETE, "the newest checkpoint isn't signed by a key of the log that you gave")
    if found.checkpoint.size != row[0]:
        raise _Ended(FORKED, "the newest checkpoint is of another size than its row states")
    return found, row[1]


def _same_log(source: Source, before: Signed | None, origin: str) -> None:
    own = source.execute("SELECT origin FROM ledger_log").fetchone()
    if own is None or own[0] != origin:
        raise _Ended(FORKED, f"the newest checkpoint is of another log, {origin!r:.80}")
    if before is not None and before.checkpoint.origin != origin:
        raise _Ended(FORKED, f"another log: {before.checkpoint.origin!r:.80} was seen, and this is {origin!r:.80}")


def _compared(source: Source, before: Signed | None, now: Signed) -> str:
    newest = now.checkpoint
    size, data = source.execute("SELECT size, frontier FROM ledger_head").fetchone() or (0, b"")
    if before is not None and before.checkpoint.size > newest.size:
        raise _Ended(
            FORKED,
            f"rolled back: a checkpoint of {before.checkpoint.size} records was seen, the newest is of {newest.size}",
        )
    head = Frontier.from_bytes(size, data)
    try:
        extends(source, head, newest)
        if before is not None:
            extends(source, head, before.checkpoint)
    except SignerRefused as error:
        raise _Ended(FORKED, f"forked or rolled back: {error}") from None
    if before is None:
        return f"first look: a checkpoint of {newest.size} records is kept; there was none to compare it with"
    return (
        f"consistent: {before.checkpoint.size} records seen before, {newest.size} now; {size - newest.size} after them"
    )


def _keep(state: Path, note: bytes) -> None:
    aside = state.with_name(state.name + ".new")
    with open(aside, "wb") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, state)
    sync_folder(state.parent)
