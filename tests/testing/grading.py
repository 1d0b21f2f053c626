"""One capability, and an isolation of it that writes nothing: what these tests ask."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict

from failsoft import Capability, Isolation, Outcome

FALLBACK = 4
MODEL = "m-2026-01-01"


class Item(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: str


class Grade(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    grade: int


class GradeItem(Capability[Item, Grade]):
    """Which grade is it?"""

    def fallback(self, request: Item) -> Grade:
        return Grade(grade=FALLBACK)


BOLT = Item(description="bolt")


def office(
    base_url: str = "https://gpt.invalid/v1", deadline: str = "5s", attempts: int = 1, **other: Any
) -> Isolation:
    gpt = {"provider": "openai-compatible", "base_url": base_url, "model": MODEL, "attempts": attempts}
    return made({"gpt": gpt}, ["gpt"], deadline, **other)


def made(adapters: dict[str, Any], route: list[str], deadline: str = "5s", **other: Any) -> Isolation:
    capability = {"adapters": route, "deadline": deadline}
    config = {"ledger": {"url": "none"}, "adapters": adapters, "capabilities": {"grade-item": capability}}
    return Isolation(config, capabilities=[GradeItem], **other)


def ask(isolation: Isolation, mode: str = "sync", times: int = 1, request: Item = BOLT) -> list[Outcome[Grade]]:
    """That many outcomes, one after the other."""
    if mode == "sync":
        with isolation:
            return [isolation[GradeItem].sync(request) for _ in range(times)]

    async def main() -> list[Outcome[Grade]]:
        async with isolation:
            return [await isolation[GradeItem](request) for _ in range(times)]

    return asyncio.run(main())


def grades(outcomes: list[Outcome[Grade]]) -> list[int]:
    return [each.value.grade for each in outcomes]


def reasons(outcome: Outcome[Grade]) -> list[str]:
    return [each.reason for each in outcome.passed_over]
