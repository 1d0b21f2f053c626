"""What the catalogue's tests ask, and whom: a capability behind two adapters, with a ledger on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from failsoft import Capability, Isolation, Outcome
from failsoft.ledger.read import Entry, read
from failsoft.ledger.verify import verify

MODEL = "m-2026-01-01"
CAPABILITY = "grade-item"
KEY = "sk-a-secret-key"
MODES = ("async", "sync")
Asked = tuple[bool, str]


class Item(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: str


class Grade(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    grade: int


class GradeItem(Capability[Item, Grade]):
    """Which grade is it?"""

    def fallback(self, request: Item) -> Grade:
        return Grade(grade=0)


BOLT = Item(description="bolt")


def adapter(base_url: str, **others: Any) -> dict[str, Any]:
    return {"provider": "openai-compatible", "base_url": base_url, "model": MODEL, **others}


def stack(
    folder: Path,
    adapters: Mapping[str, Mapping[str, Any]],
    deadline: str = "3s",
    capability: type[Capability[Item, Grade]] = GradeItem,
    top: Mapping[str, Any] | None = None,
    **others: Any,
) -> Isolation:
    """An isolation with a ledger in `folder`, whose random numbers are 0: what waits at random waits the least."""
    config = {
        "ledger": {"url": f"sqlite:///{folder}/failsoft.db"},
        "adapters": adapters,
        "capabilities": {CAPABILITY: {"adapters": list(adapters), "deadline": deadline}},
        **(top or {}),
    }
    isolation = Isolation(config, capabilities=[capability], **others)
    isolation._random.random = lambda: 0.0  # type: ignore[method-assign]
    return isolation


def ask(
    isolation: Isolation,
    mode: str,
    times: int = 1,
    request: Item = BOLT,
    look: Callable[[], None] = lambda: None,
    at_once: bool = False,
) -> list[Outcome[Grade]]:
    """That many outcomes, one after the other or at once. `look` is called before the isolation is left."""
    answers = isolation[CAPABILITY]
    if mode == "sync":
        with isolation:
            if at_once:
                outcomes = [each for _, each in answers.map_sync([request] * times, concurrency=times)]
            else:
                outcomes = [answers.sync(request) for _ in range(times)]
            look()
        return outcomes

    async def main() -> list[Outcome[Grade]]:
        async with isolation:
            if at_once:
                outcomes = list(await asyncio.gather(*(answers(request) for _ in range(times))))
            else:
                outcomes = [await answers(request) for _ in range(times)]
            look()
        return outcomes

    return asyncio.run(main())


def reasons(outcome: Outcome[Grade], name: str = "first") -> list[str]:
    return [each.reason for each in outcome.passed_over if each.adapter == name]


def health_of(isolation: Isolation, name: str = "first") -> tuple[str, int, int]:
    """State, calls and failures of an adapter's breaker."""
    seen = isolation._adapters[name].breaker.snapshot(isolation._clock.monotonic_ns())
    return str(seen.state), seen.calls, seen.failures


def quality_of(isolation: Isolation, name: str = "first") -> tuple[str, int, int]:
    seen = isolation._routing.quality(CAPABILITY, name).snapshot(isolation._clock.monotonic_ns())
    return str(seen.state), seen.calls, seen.failures


def idle(isolation: Isolation) -> bool:
    """Is every slot back?"""
    return all((each.bulkhead.in_use, each.bulkhead.waiting) == (0, 0) for each in isolation._adapters.values())


def records(folder: Path, kind: str = "call.completed") -> list[Entry]:
    """What the ledger holds of that kind, once it has been verified."""
    assert verify(folder / "failsoft.db").exit_code == 0
    with read(folder / "failsoft.db") as reader:
        return list(reader.records(kind=kind))
