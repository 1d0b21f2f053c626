"""A process that does something to a ledger, and ends at a chosen step of it.

Arguments: path; the act, one of `ACTS`; ``before`` or ``after``; the step, which is the beginning of an SQL statement or
one of `CALLS`, or ``in`` and the place of the file of keys beyond which nothing of it is overwritten; how many times that
step comes, this one included.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doomed_process import Doom, die_beyond
from ledgers import SystemClock
from signing import NEXT, signing_in

from failsoft.ledger.acts import copying
from failsoft.ledger.acts.copying import copy
from failsoft.ledger.acts.erasure import Acting, erase
from failsoft.ledger.acts.pruning import prune
from failsoft.ledger.acts.retention import Retention, RetentionClass
from failsoft.ledger.acts.rotation import rotate
from failsoft.ledger.checkpoints.anchors import FileAnchor
from failsoft.ledger.checkpoints.publishing import Signing
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.keys.vault import PayloadKey, Sealing, Vault
from failsoft.ledger.location import InFile
from failsoft.ledger.sqlite import receiving
from failsoft.ledger.sqlite import store as sqlite_module
from failsoft.ledger.sqlite.store import LedgerFile

CASE = "SPE4A7-26-R-0001"
RULES = Retention({"short": RetentionClass("closed", 10)}, default="short")
FAR = "9999-01-01T00:00:00.000000Z"

CALLS: dict[str, tuple[Any, str]] = {
    "record": (Acting, "record"),
    "shred": (Vault, "shred"),
    "forget": (LedgerFile, "forget"),
    "prune": (LedgerFile, "prune"),
    "publish": (LedgerFile, "publish"),
    "remember": (Signer, "_remember"),
    "anchor": (FileAnchor, "put"),
    "receiver": (InFile, "receiver"),
    "make": (receiving, "_make"),
}


def place_at(path: Path) -> InFile:
    return InFile(path, sealing=Sealing(PayloadKey(bytes(range(32))), path.with_name("x.keys")))


def anchored_in(folder: Path) -> Signing:
    return signing_in(folder, anchors=(FileAnchor(folder / "one.anchor"), FileAnchor(folder / "two.anchor")))


def erases(path: Path) -> Any:
    return erase(Acting(place_at(path), SystemClock()), CASE, basis="b", person="p")


def prunes(path: Path) -> Any:
    return prune(Acting(InFile(path), SystemClock()), FAR, why="w", person="p", retention=RULES)


def rotates(path: Path) -> Any:
    return rotate(path, anchored_in(path.parent), NEXT, clock=SystemClock(), actor="u-7", why="yearly")


def copies(path: Path) -> Any:
    return copy(Acting(path, SystemClock()), InFile(path.with_name("to.db")), person="p", why="w")


ACTS: dict[str, Callable[[Path], Any]] = {"erase": erases, "prune": prunes, "rotate": rotates, "copy": copies}


def in_small_steps() -> None:
    sqlite_module.FORGOTTEN = 3
    copying.CHUNK = 4


def main(path: str, act: str, moment: str, step: str, time: str) -> None:
    if moment == "in":
        shred = Vault.shred

        def shredded(*arguments: Any) -> None:
            die_beyond(int(step))
            shred(*arguments)

        Vault.shred = shredded  # type: ignore[method-assign]
    else:
        doom = Doom("die", moment, step, int(time), CALLS)
        connect, doomed = sqlite3.connect, doom.connection

        def connected(*arguments: Any, **named: Any) -> sqlite3.Connection:
            return connect(*arguments, **{"factory": doomed, **named})

        sqlite3.connect = connected  # type: ignore[assignment]
        doom.armed = True
    in_small_steps()
    print(ACTS[act](Path(path)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
