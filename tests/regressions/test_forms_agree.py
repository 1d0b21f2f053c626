"""Awaited, called with `.sync`, as a class or as a function: the same provider must come to the same, whatever the form.

Polly#311, #717; smallrye#320; hyx: an exception that nobody handled meant something else in the decorator, in the context manager and
in the explicit call. circuitbreaker: `with breaker:` ran while it was open. pybreaker, circuitbreaker: exceptions excluded by class
were told apart by calling the class, so that one with a metaclass excluded everything.
"""

from __future__ import annotations

import abc
import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from failsoft import Capability, Isolation, capability
from failsoft.adapters.callable import FunctionCodec
from failsoft.core.effects import Ask, Invoke, Raised, Unusable
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_sync import SyncDriver


class Item(BaseModel, frozen=True):
    text: str


class Count(Capability[Item, int]):
    """How many?"""

    def fallback(self, request: Item) -> int:
        return 0


@capability
def count(request: Item) -> int:
    """How many?"""
    return 0


class Strange(Exception, metaclass=abc.ABCMeta):
    """An exception whose class looks like a predicate to whoever only asks `callable`."""


class Billed(Exception):
    status_code = 402


OUTCOMES: dict[str, Callable[[], Any]] = {
    "answer": lambda: "7",
    "nothing": lambda: None,
    "misfit": lambda: "many",
    "lost": lambda: raising(ConnectionError()),
    "strange": lambda: raising(Strange()),
    "timeout": lambda: raising(TimeoutError()),
    "overloaded": lambda: raising(status(503)),
    "wrong": lambda: raising(status(400)),
    "exit": lambda: raising(SystemExit()),
}


def raising(error: BaseException) -> Any:
    raise error


def status(code: int) -> Exception:
    error = Exception("the provider's words")
    error.status_code = code  # type: ignore[attr-defined]
    return error


def trace(form: str, script: Iterable[str]) -> list[Any]:
    """What a series of calls comes to: their outcomes, and how the breaker stands after each."""
    what: Any = count if "function" in form else Count
    name = "count"
    isolation = Isolation(
        {"ledger": {"url": "none"}, "on_bug": "fallback", "capabilities": {name: {"adapters": ["own"]}}},
        capabilities=[what],
    )
    steps = iter(script)

    def work(ask: Ask) -> Any:
        return OUTCOMES[next(steps)]()

    async def awaited(ask: Ask) -> Any:
        return OUTCOMES[next(steps)]()

    isolation.adapter("own", model="m", attempts=1)(awaited if "coroutine" in form else work)
    seen: list[Any] = []

    def note(outcome: Any) -> None:
        breaker = isolation._adapters["own"].breaker
        snapshot = breaker.snapshot(isolation._clock.monotonic_ns())
        reasons = [(each.reason, each.detail, each.billed) for each in outcome.passed_over]
        seen.append(
            (outcome.value, outcome.by_ai, outcome.degraded, reasons, snapshot.state, snapshot.calls, snapshot.failures)
        )

    length = len(list(script))
    if "sync" in form:
        with isolation:
            for _ in range(length):
                note(isolation[name].sync(Item(text="bolt")))
    else:

        async def main() -> None:
            async with isolation:
                for _ in range(length):
                    note(await isolation[name](Item(text="bolt")))

        asyncio.run(main())
    return seen


FORMS = [
    " ".join(each) for each in itertools.product(["sync", "awaited"], ["class", "function"], ["plain", "coroutine"])
]


def agree(script: list[str]) -> None:
    first, *others = (trace(form, script) for form in FORMS)
    for other in others:
        assert other == first


@settings(max_examples=12)
@given(script=st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=9))
def test_every_form_comes_to_the_same(script: list[str]) -> None:
    agree(script)


def test_every_outcome_comes_to_the_same_in_every_form() -> None:
    agree([*sorted(OUTCOMES), "answer"])


@pytest.mark.parametrize("kind", ["lost", "strange", "overloaded"])
def test_what_the_provider_raises_is_a_failure_whatever_its_class_is_made_of(kind: str) -> None:
    assert trace("sync class plain", [kind] * 5)[-1][4:] == ("open", 5, 5)


def test_a_form_that_swallows_what_is_raised_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    invoke = SyncDriver._invoke

    def swallowing(self: SyncDriver, effect: Invoke) -> object:
        result = invoke(self, effect)
        return None if isinstance(result, Raised) else result

    monkeypatch.setattr(SyncDriver, "_invoke", swallowing)
    with pytest.raises(AssertionError):
        agree(["lost"])


def test_an_exclusion_that_calls_the_class_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    classify = FunctionCodec.classify

    def excluding(self: FunctionCodec, error: Exception) -> Unusable:
        for each in (Billed, Strange):
            excluded = isinstance(error, each) if type(each) is type else each(error)
            if excluded:
                return Unusable(Fault(FaultKind.REQUEST_REJECTED))
        return classify(self, error)

    monkeypatch.setattr(FunctionCodec, "classify", excluding)
    with pytest.raises(AssertionError):
        test_what_the_provider_raises_is_a_failure_whatever_its_class_is_made_of("lost")
