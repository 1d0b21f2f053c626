"""The figures of a breaker's rules: each with its unit, its range and its reason.

The defaults were measured on simulated outages, brown-outs and healthy traffic at 0.2 to 100 calls a second, with the
latencies of language models: failures take 0.3 s, successes 1 to 60 s.
"""

from __future__ import annotations

import math

from attrs import field, fields, frozen

from failsoft.core.effects import SECOND, Random
from failsoft.errors import ConfigurationError

_WHOLE: dict[str, tuple[int, int]] = {
    "buckets": (1, 120),
    "min_calls": (1, 1_000_000),
    "consecutive": (1, 1_000_000),
    "consecutive_busy": (1, 1_000_000),
    "busy_calls": (1, 1_000_000),
    "window_calls": (1, 10_000),
    "trials": (1, 100),
    "concurrent_trials": (1, 100),
    "successes_to_close": (1, 100),
}

_NUMBERS: dict[str, tuple[float, float]] = {
    "window_s": (1, 3_600),
    "rate": (1, 100),
    "slow_rate": (0, 100),
    "slow_after_s": (0.001, 3_600),
    "slow_start_s": (0, 600),
    "open_base_s": (0.001, 3_600),
    "open_factor": (1, 10),
    "open_cap_s": (0.001, 3_600),
    "jitter": (0, 0.9),
    "healthy_for_s": (1, 86_400),
    "lease_slack_s": (0, 60),
    "fair_cap_s": (0.001, 3_600),
}


_WORDS: dict[str, tuple[str, ...]] = {"window": ("time", "count")}


@frozen
class BreakerSettings:
    """How a breaker judges, waits and tries again.

    Args:
        window: what the rules look back over: ``time`` (the last `window_s`) or ``count`` (the last `window_calls`
            outcomes). Time: what was an hour ago says little about now.
        window_calls: outcomes that a ``count`` window holds, 1-10,000, at least `min_calls`.
        window_s: seconds that the rate rule looks back, 1-3,600. A minute holds enough calls at 20 a minute. With a
            ``count`` window it's only how long the times of answers stay fresh.
        buckets: cells of the window, 1-120, of at least 0.1 s each. Twelve: the window moves in steps of 5 s.
        rate: per cent of failures that open, 1-100, counted against calls *and* what's in flight.
        min_calls: calls in the window before the rate rule speaks, at least 1. Fewer than 20 are no rate.
        slow_rate: per cent of slow calls that open, up to 100; 0: the rule is off. A model's answers take 1 to 60 s, and a
            rule of 1 s at 50 % opened 13 times on a healthy provider. Where it's wanted: 80.
        slow_after_s: seconds from which a call is slow, 0.001-3,600; in a configuration at least 10.
        consecutive: failures in a row, by order of start, that open, at least 1. Finds a hard outage in seconds, and at
            volumes that never reach `min_calls`.
        consecutive_busy: the same once the window holds `busy_calls`, at least `consecutive`. In bursts of 100 calls
            with one error in ten, five in a row happen by chance.
        busy_calls: calls in the window from which `consecutive_busy` is read, at least 1.
        open_base_s: seconds of the first opening, 0.001-3,600.
        open_factor: each further opening is so many times as long, 1-10.
        open_cap_s: no opening is longer than so many seconds, from `open_base_s` to 3,600. With 300 s, health came back
            up to two minutes late.
        jitter: share by which an opening varies, 0-0.9, before the cap, so that a fleet doesn't come back at once.
        trials: attempts that a half-open breaker admits before it decides, 1-100.
        concurrent_trials: how many of them at once, 1 to `trials`. With one, answers of 60 s took twice as long to
            close.
        successes_to_close: how many must succeed, 1 to `trials`.
        slow_start_s: seconds in which a breaker that closed admits again, from a tenth to all attempts, 0-600; 0: all at
            once. Where a bulkhead limits what's in flight it only loses calls: 110-370 after an outage.
        healthy_for_s: seconds in CLOSED that take back one trip, 1-86,400.
        lease_slack_s: seconds after an attempt's own timeout at which it's taken for lost, 0-60.
        fair_cap_s: fair time is never more than so many seconds, 0.001-3,600: the longest timeout an attempt may have.

    Raises:
        ConfigurationError: with all that's out of range.
    """

    window: str = "time"
    window_calls: int = 100
    window_s: float = 60
    buckets: int = 12
    rate: float = 50
    min_calls: int = 20
    slow_rate: float = 0
    slow_after_s: float = 10.0
    consecutive: int = 5
    consecutive_busy: int = 10
    busy_calls: int = 50
    open_base_s: float = 5.0
    open_factor: float = 2.0
    open_cap_s: float = 60.0
    jitter: float = 0.2
    trials: int = 3
    concurrent_trials: int = 2
    successes_to_close: int = 2
    slow_start_s: float = 0
    healthy_for_s: float = 60.0
    lease_slack_s: float = 2.0
    fair_cap_s: float = 60.0
    lease_slack_ns: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        problems = [
            problem for each in fields(BreakerSettings) if each.init and (problem := self._out_of_range(each.name))
        ]
        if not problems:
            problems = self._contradictions()
        if problems:
            raise ConfigurationError(problems)
        object.__setattr__(self, "lease_slack_ns", int(self.lease_slack_s * SECOND))  # every attempt adds it

    @property
    def most_trips(self) -> int:
        """Openings until the cap is reached: counting on would only delay the return to short ones, and overflow."""
        if self.open_factor == 1:
            return 1
        steps = math.log(self.open_cap_s / self.open_base_s, self.open_factor)
        return math.ceil(round(steps, 9)) + 1

    def in_a_row(self, calls: int) -> int:
        """Failures in a row that open, given so many calls in the window."""
        return self.consecutive if calls < self.busy_calls else self.consecutive_busy

    def back_off(self, trips: int, random: Random) -> int:
        """Nanoseconds that an opening lasts; `trips` counts it. The jitter comes before the cap: the cap is a promise."""
        jitter = 1 + self.jitter * (2 * random.random() - 1)
        seconds = self.open_base_s * self.open_factor ** (trips - 1) * jitter
        return int(min(self.open_cap_s, seconds) * SECOND)

    def _out_of_range(self, name: str) -> str | None:
        value: object = getattr(self, name)
        if name in _WORDS:
            return None if value in _WORDS[name] else f"breaker.{name}: is one of: {', '.join(_WORDS[name])}"
        whole = name in _WHOLE
        low, high = _WHOLE[name] if whole else _NUMBERS[name]
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return f"breaker.{name}: {'a whole number' if whole else 'a number'} is wanted, not {type(value).__name__}"
        if not low <= value <= high:  # false for NaN too
            return f"breaker.{name}: {value} is not between {low} and {high}"
        return None

    def _contradictions(self) -> list[str]:
        rules = (
            (self.window_s >= self.buckets / 10, "buckets: must be at least 0.1 s each"),
            (self.window == "time" or self.min_calls <= self.window_calls, "window_calls: must be at least min_calls"),
            (self.consecutive <= self.consecutive_busy, "consecutive_busy: must be at least consecutive"),
            (self.open_base_s <= self.open_cap_s, "open_cap_s: must be at least open_base_s"),
            (self.concurrent_trials <= self.trials, "concurrent_trials: must be at most trials"),
            (self.successes_to_close <= self.trials, "successes_to_close: must be at most trials"),
        )
        return [f"breaker.{problem}" for holds, problem in rules if not holds]


QUALITY = BreakerSettings(consecutive=1_000_000, consecutive_busy=1_000_000)
"""A quality breaker's: half of at least 20 answers in a minute don't fit. No failures in a row: one customer whose
questions are never answered well would close everybody else's way (85-88 % of their calls, measured; 0-0.8 % by rate)."""
