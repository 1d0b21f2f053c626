"""Other processes that write to a ledger, and what they were told. No tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from ledgers import rows, until

from failsoft.ledger.read import read

FOLDER = Path(__file__).parent


class Process:
    """A script of this folder on a ledger, ended with the ``with`` block whatever happens there.

    What it prints goes to a file, so that it outlives a kill, to the last whole line.
    """

    def __init__(self, script: str, place: Path | str, *arguments: str, folder: Path | None = None) -> None:
        self._told = (folder or Path(place).parent) / f"told-{'-'.join(arguments).replace('/', '_')[-80:]}.txt"
        self._errors = self._told.with_suffix(".err")
        with self._told.open("wb") as out, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(FOLDER / script), str(place), *arguments],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=errors,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def runs(self) -> bool:
        """Has it not ended?"""
        return self._process.poll() is None

    def lines(self) -> list[str]:
        """What it has printed."""
        return self._told.read_text().split("\n")[:-1]

    def until_lines(self, count: int) -> list[str]:
        """Wait until it has printed so many lines; its early end is this test's failure."""
        until(lambda: len(self.lines()) >= count or not self.runs, 120)
        assert len(self.lines()) >= count, self._errors.read_text()
        return self.lines()

    def kill(self) -> None:
        """``kill -9``, while it runs."""
        assert self.runs, self._errors.read_text()
        self._process.kill()
        self.end(-9)

    def end(self, status: int = 0) -> None:
        """Wait for its end, which is to be this one."""
        self._process.communicate(timeout=120)
        assert self._process.returncode == status, self._errors.read_text()

    def acknowledged(self) -> list[tuple[int, str]]:
        """Index and leaf of each record that it was told is durable."""
        pairs = [line.split() for line in self.lines()]
        return [(int(pair[0]), pair[1]) for pair in pairs if pair[0].isdecimal()]


def in_log(path: Path) -> dict[int, str]:
    """Index and leaf of every record."""
    with read(path) as reader:
        return {each.index: each.leaf.hex() for each in reader.records()}


def missing(path: Path, told: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """What was acknowledged and isn't in the log, or not as it was."""
    log = in_log(path)
    return [(index, leaf) for index, leaf in told if log.get(index) != leaf]


def numbers(path: Path) -> dict[str, list[int]]:
    """The numbers of each emitter, in the order of the log."""
    found: dict[str, list[int]] = {}
    for emitter, number in rows(path, "SELECT emitter, eseq FROM ledger_record WHERE emitter IS NOT NULL ORDER BY seq"):
        found.setdefault(emitter, []).append(number)
    return found
