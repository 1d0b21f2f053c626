"""Writes the table of ``docs/reference/faults.md`` from `failsoft.fault.TREATMENT`: run it after a change of that table.

The last column, what a fault means in a sentence, is the page's own and is kept.
"""

from __future__ import annotations

from pathlib import Path

from failsoft.fault import TREATMENT, FaultKind

PAGE = Path(__file__).parents[1] / "docs/reference/faults.md"
HEADING = "## The table"

_THROTTLE = {"no": "", "told": "throttle where told", "yes": "throttle"}
_LATCH = {"no": "", "pin": "latch", "credential": "latch of the credential"}


def cells(kind: FaultKind) -> list[str]:
    """What the table says of a kind: all columns but the last."""
    each = TREATMENT[kind]
    patient = f"back-off × {each.patience}" if each.patience > 1 else ""
    besides = (_THROTTLE[each.throttle], _LATCH[each.latch], patient, "repair" * each.repair, "loud" * each.loud)
    quality = each.quality.replace("none", "–")
    return [f"`{kind}`", str(each.health), each.retry, quality, ", ".join(word for word in besides if word) or "–"]


def page() -> str:
    """The page as it must be."""
    before, heading, rest = PAGE.read_text(encoding="utf-8").partition(HEADING)
    lines = rest.strip("\n").split("\n")
    head = lines[:2]
    meanings = {line.split(" | ")[0].strip("|` "): line.split(" | ")[-1].removesuffix(" |") for line in lines[2:]}
    rows = [f"| {' | '.join(cells(kind))} | {meanings.get(kind.value, '(say what it means)')} |" for kind in TREATMENT]
    return before + heading + "\n\n" + "\n".join([*head, *rows]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
