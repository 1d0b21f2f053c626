"""Where checkpoints are put out of the application's reach: a file that only grows, a command of yours.

What's anchored can't be taken back; what's written since is the log's exposure. A file is worth as much as the difference
between who can write to it and who can write to the database: a mount of another host's, append-only (``chattr +a``).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from attrs import define, frozen

from failsoft.ledger.format.note import MAX_NOTE, Checkpoint, NoteInvalid, VerifierKey
from failsoft.ledger.keys.ed25519 import open_checkpoint

COMMAND_SECONDS = 10.0
"""What a command may take. Commits don't wait for it."""

RETRY_SECONDS = 5.0

SHOW_SECONDS = 5.0
"""For anchors to show what they have: a mount whose host is gone shows nothing, ever."""

_READ = 1 << 20
"""Bytes of an anchor file that are looked at together, from its end on: some thousands of notes."""

_NOTE = re.compile(rb"^[^\n]+\n[0-9]+\n[A-Za-z0-9+/=]+\n\n(?:\xe2\x80\x94 [^ \n]+ [A-Za-z0-9+/=]+\n)+", re.MULTILINE)
"""Tried where a line begins alone: from each byte of a long line of junk on, it'd be read to its end."""

_END_OF_CUT = b" \n"
"""Ends a line that a crash or a full disk cut, so that it's none of a signature: a cut note is no note."""


class Anchor(Protocol):
    """Takes signed checkpoints, and gives none back that it doesn't have."""

    def put(self, note: bytes) -> None:
        """Keep this one.

        Raises:
            OSError: it wasn't taken.
            subprocess.SubprocessError: likewise.
        """
        ...

    def newest(self, key: VerifierKey) -> Checkpoint | None:
        """The largest that this key signed, among the last ones kept; None where there's none, or it can't be read."""
        ...


@frozen
class FileAnchor:
    """A file to which each checkpoint is appended, an empty line after it."""

    path: Path

    def put(self, note: bytes) -> None:
        """Append, and make durable."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            whole = _END_OF_CUT + note + b"\n"
            if os.write(descriptor, whole) != len(whole):
                raise OSError(f"{self.path}: no room for a checkpoint")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def newest(self, key: VerifierKey) -> Checkpoint | None:
        """See `Anchor.newest`. Other logs' may stand behind it, however many."""
        try:
            if not self.path.is_file():  # a pipe waits for whoever writes
                return None
            with open(self.path, "rb") as file:
                for data in _from_the_end(file):
                    found = [each for text in notes_in(data) if (each := _signed(text, key)) is not None]
                    if found:
                        return max(found, key=lambda each: each.size)
        except OSError:
            pass
        return None


def _from_the_end(file: BinaryIO) -> Iterator[bytes]:
    """A file's bytes, the last ones first; what a note may have that begins before is there again."""
    end, behind = file.seek(0, os.SEEK_END), b""
    while end > 0:
        start = max(0, end - _READ)
        file.seek(start)
        data = file.read(end - start)
        yield data + behind
        end, behind = start, (data + behind)[:MAX_NOTE]


@frozen
class CommandAnchor:
    """A command that gets each checkpoint on its standard input; it took it where it exits with 0.

    Args:
        command: program and arguments; no shell is involved.
        seconds: that it may take.
    """

    command: tuple[str, ...]
    seconds: float = COMMAND_SECONDS

    def put(self, note: bytes) -> None:
        """Run it."""
        process = subprocess.Popen(  # noqa: S603 -- the configuration's own command
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.communicate(note, self.seconds)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and whatever it started
            process.wait()
            raise
        if process.returncode != 0:
            raise OSError(f"{self.command[0]} exited with {process.returncode}")

    def newest(self, key: VerifierKey) -> Checkpoint | None:
        """A command gives nothing back."""
        return None


def shown(anchors: Sequence[Anchor], key: VerifierKey, seconds: float = SHOW_SECONDS) -> tuple[Checkpoint, ...]:
    """The newest checkpoint of this key's that each anchor shows; none of those that show nothing in time."""
    found: list[Checkpoint] = []

    def look(anchor: Anchor) -> None:
        newest = anchor.newest(key)
        if newest is not None:
            found.append(newest)

    threads = [threading.Thread(target=look, args=(each,), name="failsoft-anchor", daemon=True) for each in anchors]
    until = time.monotonic() + seconds
    for each in threads:
        each.start()
    for each in threads:
        each.join(max(0.0, until - time.monotonic()))
    return tuple(found)


def notes_in(data: bytes) -> list[bytes]:
    """All that looks like a signed checkpoint in an anchor file's bytes, in order."""
    return [each.group() for each in _NOTE.finditer(data)]


def cut_out(data: bytes) -> bytes:
    """One signed checkpoint as somebody took it from an anchor file, without what an anchor puts around it."""
    return data.strip(_END_OF_CUT) + b"\n"


def _signed(text: bytes, key: VerifierKey) -> Checkpoint | None:
    if not text.startswith(key.name.encode() + b"\n"):
        return None
    try:
        found = open_checkpoint(text, [key])
    except NoteInvalid:
        return None
    return found.checkpoint if found.by_log else None


@define(eq=False)
class _Offer:
    """A checkpoint on its way out.

    Args:
        own_ns: since when it covers what no earlier checkpoint does.
        since_ns: the same, of those that it superseded as well.
    """

    size: int
    note: bytes
    own_ns: int
    since_ns: int


class Anchoring:
    """Puts the newest checkpoint into each anchor, and tries again until it took it. None waits for another.

    Args:
        anchors: where to; none is none to wait for.
        on_failure: told why an anchor didn't take one, once for each run of failures; from threads of their own.
        retry: seconds between two tries.
    """

    def __init__(
        self, anchors: Sequence[Anchor], on_failure: Callable[[str], None], retry: float = RETRY_SECONDS
    ) -> None:
        self._each = tuple(_Feeding(anchor, on_failure, retry) for anchor in anchors)

    @property
    def since_ns(self) -> int | None:
        """Since when something was to be anchored that isn't everywhere; None while nothing is."""
        return min((since for each in self._each if (since := each.since_ns) is not None), default=None)

    @property
    def size(self) -> int | None:
        """The largest that all took; None: some took none."""
        sizes = [size for each in self._each if (size := each.size) is not None]
        return min(sizes) if sizes and len(sizes) == len(self._each) else None

    def put(self, size: int, note: bytes, since_ns: int) -> None:
        """Anchor this checkpoint; one that waits still is superseded by it.

        Args:
            size: the checkpoint's.
            note: signed.
            since_ns: when the first record that no earlier checkpoint covers became durable.
        """
        for each in self._each:
            each.put(size, note, since_ns)

    def end(self, seconds: float) -> None:
        """Wait until the newest is everywhere, at most so long."""
        until = time.monotonic() + seconds
        for each in self._each:
            each.wait(max(0.0, until - time.monotonic()))
        for each in self._each:
            each.end()


class _Feeding:
    """A thread that puts the newest checkpoint into one anchor. Arguments as those of `Anchoring`."""

    def __init__(self, anchor: Anchor, on_failure: Callable[[str], None], retry: float) -> None:
        self._anchor = anchor
        self._on_failure = on_failure
        self._retry = retry
        self._changed = threading.Condition(threading.Lock())
        self._offer: _Offer | None = None
        self._thread: threading.Thread | None = None
        self._ending = False
        self.size: int | None = None

    @property
    def since_ns(self) -> int | None:
        offer = self._offer
        return None if offer is None else offer.since_ns

    def put(self, size: int, note: bytes, since_ns: int) -> None:
        with self._changed:
            waiting = self._offer
            earliest = since_ns if waiting is None else waiting.since_ns
            self._offer = _Offer(size, note, since_ns, earliest)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="failsoft-anchor", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._offer is None, seconds)

    def end(self) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def _run(self) -> None:
        failing = False
        while (offer := self._next()) is not None:
            try:
                self._anchor.put(offer.note)
            except (OSError, subprocess.SubprocessError) as error:
                if not failing:
                    self._on_failure(str(error))
                failing = True
                with self._changed:
                    self._changed.wait_for(lambda: self._ending, self._retry)
            else:
                self._took(offer)
                failing = False

    def _next(self) -> _Offer | None:
        with self._changed:
            self._changed.wait_for(lambda: self._offer is not None or self._ending)
            return None if self._ending else self._offer

    def _took(self, offer: _Offer) -> None:
        with self._changed:
            self.size = offer.size
            if self._offer is offer:
                self._offer = None
            else:
                assert self._offer is not None  # it was superseded, and nothing else takes one away
                self._offer.since_ns = self._offer.own_ns
            self._changed.notify_all()
