r"""Where commands write to: what can't be written is a sentence, and never an exit code that means something else.

A full disk under a nightly job's log mustn't make `failsoft verify` exit with 1: that says "tampered with".

Rules:

1. Standard output that fails ends the command: a sentence on standard error, and the code by which the command says that it
   can't tell. A reader that has gone (``failsoft verify … | head``) is no failure.
2. Standard error that fails too is written to no more, and changes nothing: often both are the same file.
3. Nothing is left over for the interpreter to write at its end: that would exit with 120.
4. A lack of memory is a sentence too, with that same code: it's no finding either.
5. A character that an encoding hasn't is written as ``\xXX`` or ``\uXXXX``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NoReturn, TextIO, cast

from typer.core import TyperCommand


class OutputFailed(Exception):
    """Standard output can't be written to, and why. No OSError: nobody must take it for a file of the command's own."""


class _Stream:
    """A stream that's written to no more once it has failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.why = ""
        """Why it failed; empty: it hasn't."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As the stream's own."""
        self._do(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """As the stream's own."""
        self._do(self._stream.flush)

    def _do(self, act: Callable[..., object], *given: str) -> None:
        if not self.why:
            try:
                act(*given)
            except OSError as error:
                self._fails(error)

    def _fails(self, error: OSError) -> None:
        self.why = error.strerror or type(error).__name__
        to_nowhere(self._stream)


class _Out(_Stream):
    """Raises at each use from its failure on, until that's told: click tries streams out, and swallows what they raise."""

    told = False

    def _do(self, act: Callable[..., object], *given: str) -> None:
        super()._do(act, *given)
        if self.why and not self.told:
            raise OutputFailed(self.why)

    def _fails(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):  # whoever writes knows what to do
            raise error
        super()._fails(error)


@contextmanager
def guarded() -> Iterator[None]:
    """Standard output and standard error, as this room's rules have them, for as long as a command runs."""
    out, err = sys.stdout, sys.stderr
    with ExitStack() as opened:
        sys.stdout = cast("TextIO", _Out(_ready(out, opened)))
        sys.stderr = cast("TextIO", _Stream(_ready(err, opened)))
        try:
            yield
        finally:
            sys.stderr.flush()
            sys.stdout, sys.stderr = out, err


def _ready(stream: TextIO | None, opened: ExitStack) -> TextIO:
    if stream is None:  # closed by whoever started the command
        return opened.enter_context(open(os.devnull, "w", encoding="utf-8"))
    reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return stream


@contextmanager
def delivered(code: int) -> Iterator[None]:
    """All that's written in here has left this process at the end; else the command exits with this code, and says why."""
    try:
        try:
            yield
        finally:
            try:
                sys.stdout.flush()
            except BrokenPipeError:
                to_nowhere(sys.stdout)
    except OutputFailed as error:
        _leave(error, code)


def _leave(error: OutputFailed, code: int) -> NoReturn:
    if isinstance(sys.stdout, _Out):
        sys.stdout.told = True
    print(f"standard output can't be written ({error})", file=sys.stderr)
    raise SystemExit(code) from None


def to_nowhere(stream: TextIO) -> None:
    """What a stream still holds, and what else is written to it, is dropped."""
    with suppress(OSError, ValueError):  # one that is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def told_or(code: int) -> type[TyperCommand]:
    """A command that exits with this code where it can't find out, or what it found can't be written: its 1 is a finding."""

    class _Command(TyperCommand):
        def invoke(self, ctx: Any) -> Any:
            with delivered(code):
                with suppress(MemoryError):
                    return super().invoke(ctx)
                # Told out here, where what took the memory is gone.
                print("there isn't enough memory to find that out", file=sys.stderr)
                raise SystemExit(code)

    return _Command
