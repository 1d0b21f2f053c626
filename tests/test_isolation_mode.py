"""The manual axis at the front door: an adapter that's forced or observed, by configuration or while it runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import failsoft
from failsoft import Capability, ConfigurationError, Isolation, IsolationClosed
from failsoft.cli.telling import line_of
from failsoft.core.breaker import Cause
from failsoft.core.effects import Ask
from failsoft.ledger.read import read
from failsoft.ledger.reading.query import row_of
from failsoft.ledger.verify import verify


class Item(BaseModel, frozen=True):
    description: str


class RateItem(Capability[Item, int]):
    """How many stars?"""

    def fallback(self, request: Item) -> int:
        return 0


ITEM = Item(description="bolt")


class Provider:
    """A function that fails or answers as told."""

    works = False
    asked = 0

    def __call__(self, ask: Ask) -> str:
        self.asked += 1
        if not self.works:
            raise ConnectionError
        return '{"value": 5}'


@pytest.fixture
def provider() -> Provider:
    return Provider()


def make(provider: Provider, tmp_path: Path, **options: Any) -> Isolation:
    isolation = Isolation(
        {
            "ledger": {"url": f"sqlite:////{tmp_path}/office.db"},
            "capabilities": {"rate-item": {"adapters": ["own"]}},
        },
        capabilities=[RateItem],
    )
    isolation.adapter("own", model="m", attempts=1, **options)(provider)
    return isolation


@pytest.fixture
def isolation(provider: Provider, tmp_path: Path) -> Iterator[Isolation]:
    with make(provider, tmp_path) as isolation:
        yield isolation


def call(isolation: Isolation, times: int = 1) -> failsoft.Outcome[int]:
    for _ in range(times - 1):
        isolation[RateItem].sync(ITEM)
    return isolation[RateItem].sync(ITEM)


def fits_no_more(isolation: Isolation, provider: Provider) -> None:
    """Open the quality breaker: twenty answers that don't fit."""
    provider.works = True
    isolation._routing.quality("rate-item", "own").trip(Cause.WRONG_MODEL, isolation._clock.monotonic_ns())


def test_an_open_breaker_keeps_calls_away_and_a_forced_one_does_not(isolation: Isolation, provider: Provider) -> None:
    call(isolation, 6)
    assert provider.asked == 5
    isolation.force("own", why="a drill", actor="jdoe")
    call(isolation)
    assert provider.asked == 6
    assert isolation.health().adapters["own"].mode == "forced"
    assert isolation.health().adapters["own"].state == "open"


def test_what_is_forced_is_so_for_the_quality_of_its_answers_too(isolation: Isolation, provider: Provider) -> None:
    fits_no_more(isolation, provider)
    assert call(isolation).passed_over[0].reason == "quality"
    isolation.force("own", why="a drill")
    assert call(isolation).by_ai


def test_a_block_beats_being_forced(isolation: Isolation, provider: Provider) -> None:
    isolation.force("own", why="a drill")
    isolation.block("adapter:own", why="an order")
    assert call(isolation).passed_over[0].reason == "blocked"
    assert provider.asked == 0


def test_labels_latch_and_throttle_hold_for_a_forced_adapter(isolation: Isolation, provider: Provider) -> None:
    isolation.force("own", why="a drill")
    with failsoft.context(labels={"CUI"}):
        assert call(isolation).passed_over[0].reason == "labels"
    adapter = isolation._adapters["own"]
    now = isolation._clock.monotonic_ns()
    adapter.throttle.throttled(now, 10**12)
    assert call(isolation).passed_over[0].reason == "throttled"
    adapter.latch.trip("no money", True, "call", now)
    assert call(isolation).passed_over[0].reason == "latched"
    assert provider.asked == 0


def test_back_to_auto_the_breaker_decides_again(isolation: Isolation, provider: Provider) -> None:
    call(isolation, 5)
    isolation.force("own", why="a drill")
    isolation.automatic("own", why="the drill is over")
    assert call(isolation).passed_over[0].reason == "open"
    assert isolation.health().adapters["own"].mode == "auto"


def test_one_that_is_observed_is_asked_on_and_says_when_it_would_have_opened(
    provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with make(provider, tmp_path, mode="observe") as isolation, caplog.at_level(logging.WARNING, "failsoft"):
        call(isolation, 12)
        health = isolation.health().adapters["own"]
    assert provider.asked == 12
    assert (health.mode, health.state) == ("observe", "closed")
    told = [each.getMessage() for each in caplog.records if "breaker." in each.getMessage()]
    assert told == ["event=breaker.would_open adapter=own layer=health reason=consecutive capability="] * 2
    with read(tmp_path / "office.db") as reader:
        assert list(reader.records(kind="breaker.changed")) == []


def test_the_quality_of_an_observed_adapter_is_observed_too(provider: Provider, tmp_path: Path) -> None:
    with make(provider, tmp_path, mode="observe") as isolation:
        fits_no_more(isolation, provider)
        assert call(isolation).by_ai


def test_one_may_be_observed_while_it_runs(isolation: Isolation, provider: Provider) -> None:
    isolation.observe("own", why="new figures")
    call(isolation, 12)
    assert provider.asked == 12
    assert isolation.health().adapters["own"].mode == "observe"


def test_who_did_it_and_why_stands_in_the_record(isolation: Isolation, tmp_path: Path) -> None:
    isolation.force("own", why="a drill", actor="jdoe")
    isolation.block("adapter:own", why="an order", actor="boss")
    isolation.automatic("own", why="done", actor="jdoe")
    isolation.__exit__(None, None, None)
    with read(tmp_path / "office.db") as reader:
        told = [each.fields for each in reader.records(kind="block.changed")]
    isolation.__enter__()
    assert [(each["actor"]["id"], each["why"], each["blocked"], each.get("mode")) for each in told] == [
        ("jdoe", "a drill", False, "forced"),
        ("boss", "an order", True, None),
        ("jdoe", "done", True, "auto"),
    ]
    with read(tmp_path / "office.db") as reader:
        lines = [line_of(each, each.fields) for each in reader.records(kind="block.changed")]
        rows = [row_of(each, each.fields) for each in reader.records(kind="block.changed")]
    said = ("forced by jdoe: a drill", "blocked by boss: an order", "auto by jdoe: done")
    assert [each.endswith(told) for each, told in zip(lines, said, strict=True)] == [True] * 3
    assert [(each["blocked"], each["mode"]) for each in rows] == [(False, "forced"), (True, ""), (True, "auto")]
    assert verify(tmp_path / "office.db").problems == ()


def test_the_contexts_actor_is_named_unless_another_is(isolation: Isolation, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "failsoft"), failsoft.context(actor="u-7"):
        isolation.force("own", why="a drill")
    assert "actor=u-7" in caplog.records[-1].getMessage()
    assert "mode=forced" in caplog.records[-1].getMessage()


def test_a_decision_needs_a_reason_and_an_adapter(isolation: Isolation) -> None:
    with pytest.raises(ConfigurationError, match="say a reason"):
        isolation.force("own", why=" ")
    with pytest.raises(ConfigurationError, match='no adapter is named "owm"; there is own'):
        isolation.observe("owm", why="w")


def test_nobody_decides_where_it_couldnt_be_recorded(provider: Provider, tmp_path: Path) -> None:
    isolation = make(provider, tmp_path)
    with pytest.raises(IsolationClosed):
        isolation.force("own", why="a drill")
    assert isolation.health().adapters["own"].mode == "auto"


def test_it_holds_until_the_process_ends_and_no_longer(provider: Provider, tmp_path: Path) -> None:
    isolation = make(provider, tmp_path)
    with isolation:
        isolation.force("own", why="a drill")
    with isolation:
        assert isolation.health().adapters["own"].mode == "forced"
    with make(provider, tmp_path) as again:
        assert again.health().adapters["own"].mode == "auto"


@pytest.mark.parametrize(
    ("breaker", "problem"),
    [
        ({"slow_after_s": 9}, "slow_after_s"),
        ({"slow_rate": 101}, "slow_rate"),
        ({"window": "calls"}, "window"),
        ({"window": "count", "window_calls": 19}, "window_calls: must be at least min_calls"),
        ({"window_calls": 10_001}, "window_calls"),
        ({"slow_start_s": 601}, "slow_start_s"),
    ],
)
def test_figures_out_of_range_are_refused_at_the_start(breaker: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Isolation({"adapters": {"a": {"provider": "callable", "model": "m", "call": "math:sin", "breaker": breaker}}})
    assert [each for each in caught.value.problems if each.startswith("adapters.a.breaker." + problem)]
    assert len(caught.value.problems) == 1


def test_a_mode_that_is_none_is_refused(tmp_path: Path, provider: Provider) -> None:
    with pytest.raises(ConfigurationError, match=r"adapters\.own\.mode"):
        make(provider, tmp_path, mode="forced")
