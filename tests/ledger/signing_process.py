"""A process that writes a signed log and is killed at one step of a checkpoint. No tests.

Arguments: folder, step (``state``, ``signed``, ``stored``, ``anchored``).
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from ledgers import call, settled
from signing import signed_ledger

from failsoft.ledger.checkpoints.anchors import FileAnchor
from failsoft.ledger.keys.ed25519 import SigningKey


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(sqlite3.Connection):
    step = ""
    inserted = False

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql.startswith("INSERT INTO ledger_checkpoint"):
            Doomed.inserted = True
            if self.step == "signed":
                die()
        result = super().execute(sql, *arguments)
        if sql == "COMMIT" and Doomed.inserted and self.step == "stored":
            die()
        return result


def main(folder: Path, step: str) -> None:
    Doomed.step = step
    anchor = FileAnchor(folder / "anchored")
    if step == "state":
        SigningKey.sign_note = lambda self, text: die()  # type: ignore[method-assign,assignment,return-value]
    if step == "anchored":
        real = FileAnchor.put

        def put(self: FileAnchor, note: bytes) -> None:
            real(self, note)
            die()

        FileAnchor.put = put  # type: ignore[method-assign]

    def connect(uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Doomed)

    ledger = signed_ledger(folder / "x.db", anchors=[anchor], records=6, connect=connect)
    ledger.open()
    for number in range(1000):
        settled(call(ledger, f"{os.getpid()}-{number}")[1])
        print(number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
