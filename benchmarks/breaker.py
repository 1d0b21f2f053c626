"""What a breaker costs: microseconds, Python calls, bytes.

Run it with ``python benchmarks/breaker.py``. The last line is one JSON object.
"""

from __future__ import annotations

import cProfile
import json
import random
import sys
import timeit
from collections.abc import Callable

from failsoft.core.breaker import Breaker, BreakerSettings, Permit
from failsoft.core.effects import SECOND
from failsoft.fault import Settlement

NUMBER, REPEAT = 20_000, 7
NOW = 10**15


class Still:
    """A clock that stands: only the breaker is measured."""

    def monotonic_ns(self) -> int:
        """One fixed moment."""
        return NOW

    def time_ns(self) -> int:
        """One fixed moment."""
        return NOW


def make() -> Breaker:
    """A breaker with the default settings."""
    return Breaker(BreakerSettings(), Still(), random.Random(0))


def admitted(breaker: Breaker, now: int) -> Permit:
    """A permit, where there must be one."""
    permit = breaker.acquire(now, 30 * SECOND, call="call", remaining_ns=29 * SECOND)
    assert isinstance(permit, Permit)
    return permit


def microseconds(function: Callable[[], object]) -> float:
    """The best of several runs: the least disturbed."""
    return min(timeit.repeat(function, number=NUMBER, repeat=REPEAT)) / NUMBER * 1e6


def deep_size(value: object, seen: set[int]) -> int:
    """Bytes of a value and of what only it refers to."""
    shared = (type, BreakerSettings, random.Random, str)
    if id(value) in seen or value is None or isinstance(value, shared) or callable(value):
        return 0
    if isinstance(value, int) and -5 <= value <= 256:
        return 0  # the interpreter has one of each, for all
    seen.add(id(value))
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        size += sum(deep_size(each, seen) for pair in value.items() for each in pair)
    elif isinstance(value, (list, tuple)):
        size += sum(deep_size(each, seen) for each in value)
    slots = (name for each in type(value).__mro__ for name in getattr(each, "__slots__", ()))
    return size + sum(deep_size(getattr(value, name), seen) for name in slots)


def measure() -> dict[str, float]:
    """Every figure."""
    breaker = make()

    def whole() -> None:
        permit = breaker.acquire(NOW, 30 * SECOND, call="call", remaining_ns=29 * SECOND)
        assert isinstance(permit, Permit)  # one C call, taken off below
        permit.settle(Settlement.SUCCESS, NOW + SECOND, well_formed=True)

    figures = {"bytes": float(deep_size(make(), set())), "acquire_settle_us": microseconds(whole)}
    profile = cProfile.Profile()
    profile.enable()
    whole()
    profile.disable()
    figures["calls"] = float(sum(entry.callcount for entry in profile.getstats()) - 3)  # ours, isinstance, disable

    for at in range(1_000):
        admitted(breaker, NOW + at * SECOND // 10).settle(Settlement.SUCCESS, NOW + at * SECOND // 10)
    figures["bytes_busy"] = float(deep_size(breaker, set()))
    figures["peek_us"] = microseconds(lambda: breaker.peek(NOW))

    failing = make()
    for _ in range(5):
        admitted(failing, NOW).settle(Settlement.FAILURE, NOW)
    figures["refusal_us"] = microseconds(lambda: failing.acquire(NOW, 30 * SECOND))

    patient = BreakerSettings(consecutive=10**6, consecutive_busy=10**6, min_calls=10**6)
    never = Breaker(patient, Still(), random.Random(0))
    figures["acquire_fail_us"] = microseconds(lambda: admitted(never, NOW).settle(Settlement.FAILURE, NOW))
    return figures


if __name__ == "__main__":
    found = {name: round(value, 3) for name, value in measure().items()}
    for name, value in found.items():
        print(f"{name:>20} {value:>10}")
    print(json.dumps(found))
