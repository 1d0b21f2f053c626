"""What a reply's headers announce is told once, and put on record: somebody has to plan for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failsoft.core.asking import Asking
from failsoft.core.deprecation import announced
from failsoft.core.effects import SECOND
from failsoft.core.evidence import RetirementNotice
from failsoft.core.route import GuardedAdapter

PAUSE = 3_600 * SECOND
"""A notice that differs from the last one is told at most so often: one that holds a moment would differ every time."""


def heed(asking: Asking[Any, Any], adapter: GuardedAdapter, headers: Mapping[str, str]) -> None:
    """Tell of what a reply's headers announce, if it's new.

    Args:
        asking: the call.
        adapter: whose reply it is.
        headers: by lower-case name; any value may be nonsense.
    """
    now = asking.world.clock.monotonic_ns()
    found = announced(headers)
    if found is None or found == adapter.notice or (adapter.notice is not None and now - adapter.noticed < PAUSE):
        return
    adapter.notice, adapter.noticed = found, now
    deprecated = None if found.deprecated is None else found.deprecated.isoformat()
    sunset = None if found.sunset is None else found.sunset.isoformat()
    world = asking.world
    told = {"deprecated": deprecated, "sunset": sunset, "text": found.text, "link": found.link}
    world.events.emit("deprecation.announced", adapter=adapter.name, **told)
    if world.ledger is not None:
        text = " ".join(filter(None, (found.text, found.link))).encode("utf-8", "replace")
        world.ledger.submit(RetirementNotice(adapter.name, adapter.pin.model, deprecated, sunset, text or None))
