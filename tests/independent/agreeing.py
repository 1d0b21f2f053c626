"""Both verifiers of a ledger's file at once. No tests.

The ledgers, and what's done to them, are those of the ledger's own tests: their modules are found here. Those of them that are
about what stands in a file verify by `by_both`; what happens to a file meanwhile, or to our verifier's inside, is by ours alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.independent.ledger_reader import examine

from failsoft.ledger.format.note import VerifierKey
from failsoft.ledger.location import InFile, locate
from failsoft.ledger.verify import Verification, verify

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "reference" / "ledger-format.md").read_text(encoding="utf-8")

sys.path.insert(0, str(HERE.parent / "ledger"))  # whose modules find one another so


def both(
    place: InFile,
    keys: Iterable[VerifierKey] = (),
    checkpoints: Sequence[bytes] = (),
    pins: Sequence[tuple[int, str]] = (),
) -> tuple[Verification, int, list[str]]:
    """What ours says, and the other's code and problems."""
    ours = verify(place, keys=list(keys), checkpoints=checkpoints, pins=pins)
    sealing = place.sealing
    of_payloads = None if sealing is None else (sealing.path, sealing.key.secret)
    code, problems = examine(place.path, PAGE, [str(each) for each in keys], checkpoints, pins, of_payloads)
    return ours, code, problems


def agreed(place: Path | InFile, **given: Any) -> Verification:
    """What ours says, whose code must be the other's."""
    ours, code, problems = both(InFile(place) if isinstance(place, Path) else place, **given)
    assert ours.exit_code == code, ("\n".join(ours.summary()), problems)
    return ours


def by_both(ledger: Any, *, hashes_only: bool = False, **given: Any) -> Verification:
    """As `verify`; a ledger's file is looked at by both."""
    location = locate(ledger)
    if hashes_only or not isinstance(location, InFile):
        return verify(ledger, hashes_only=hashes_only, **given)
    return agreed(location, **given)
