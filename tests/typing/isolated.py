"""What type checkers infer at the front door: asserted, never run."""

from __future__ import annotations

from typing import assert_type

from pydantic import BaseModel

from failsoft import Capability, Isolated, Isolation, Outcome, Referral, capability


class Item(BaseModel):
    description: str


class SupplyClass(BaseModel):
    code: str


class ClassifyItem(Capability[Item, SupplyClass]):
    def fallback(self, request: Item) -> SupplyClass:
        return SupplyClass(code="5310")


class FromTable(Capability[Item, SupplyClass | Referral]):
    def __init__(self, table: dict[str, str]) -> None:
        self.table = table

    def fallback(self, request: Item) -> SupplyClass | Referral:
        return Referral(reason="not in the table")


@capability
def classify_item(item: Item) -> SupplyClass:
    return SupplyClass(code="5310")


@capability(name="classify-lines", version="2")
def classify_lines(lines: list[str]) -> int:
    return len(lines)


async def by_class(isolation: Isolation) -> None:
    classify = isolation[ClassifyItem]
    assert_type(classify, Isolated[Item, SupplyClass])
    assert_type(await classify(Item(description="")), Outcome[SupplyClass])
    assert_type(classify.sync(Item(description="")).value, SupplyClass)
    assert_type(classify.using(deadline="2s"), Isolated[Item, SupplyClass])


async def by_function(isolation: Isolation) -> None:
    classify = isolation[classify_item]
    assert_type(classify, Isolated[Item, SupplyClass])
    assert_type((await classify(Item(description=""))).value, SupplyClass)
    assert_type(isolation[classify_lines].sync(["a"]).value, int)


async def by_instance(isolation: Isolation) -> None:
    assert_type(isolation[FromTable({})], Isolated[Item, SupplyClass | Referral])
    assert_type(isolation[ClassifyItem()], Isolated[Item, SupplyClass])
    assert_type((await isolation[FromTable({})](Item(description=""))).value, SupplyClass | Referral)


def wrong(isolation: Isolation) -> None:
    isolation[ClassifyItem].sync("bolt")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print(isolation[ClassifyItem].sync(Item(description="")).value.colour)  # type: ignore[attr-defined]  # pyright: ignore
    print(isolation[Item])  # type: ignore[index]  # pyright: ignore
