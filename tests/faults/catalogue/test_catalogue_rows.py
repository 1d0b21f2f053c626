"""Each fault of the catalogue that a provider can show: through a real isolation with a ledger, by `await` and `sync`.

To the one adapter of a route (by `await` over both transports), to the first of two, and to five callers at once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from catalogue_data import AT_ONCE, CASES, EMPTY, FAILURE, NEUTRAL, SUCCESS, Case
from catalogue_shows import GOOD, Shown, show
from catalogue_stack import MODES, adapter, ask, health_of, idle, quality_of, reasons, records, stack

from failsoft.testing import FaultServer

ATTEMPT = "150ms"
NO_SOCKET = frozenset({"faults.PROXY_REFUSED", "faults.POOL_EXHAUSTED", "faults.UPLOAD_CUT"})
SLOW = frozenset({"attempt_timeout", "connect_timeout"})


def cases(test: str) -> Any:
    """The cases, each under its name."""
    params: list[Any] = []
    for each in CASES:
        if test == "aiohttp" and each.show in NO_SOCKET:
            continue
        if test in ("beside", "five") and each.fault in SLOW and each.row != 11:
            continue  # it takes its time, and is a time-out like that of row 11
        if test == "five" and each.health == SUCCESS:
            continue  # alone, it's been counted as a success already: a hundred of them open nothing
        params.append(pytest.param(each, id=f"{each.row}-{each.show.partition('.')[2]}"))
    return pytest.mark.parametrize("case", params)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def shown(case: Case, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    with show(case.show)(monkeypatch) as provider:
        yield provider


def faulty(case: Case, shown: Shown, attempts: int) -> dict[str, Any]:
    cap: dict[str, Any] = {"attempt_timeout": ATTEMPT} if case.fault in SLOW else {}
    if case.show.startswith("streams."):
        patience = ATTEMPT if case.fault == "stream_stalled" else "5s"
        cap = {"stream": True, "stream_first": patience, "stream_gap": patience}
    return adapter(shown.base_url, attempts=attempts, **cap)


def transports(shown: Shown) -> dict[str, Any]:
    return {} if shown.transport is None else {"transport": shown.transport, "sync_transport": shown.transport}


@cases("alone")
def test_the_one_adapter_of_a_route(
    case: Case, shown: Shown, mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone(case, shown, mode, tmp_path, caplog)


@cases("aiohttp")
def test_the_one_adapter_of_a_route_over_aiohttp(
    case: Case, shown: Shown, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("aiohttp")
    alone(case, shown, "async", tmp_path, caplog, {"transport": "aiohttp"})


def alone(
    case: Case, shown: Shown, mode: str, folder: Path, caplog: pytest.LogCaptureFixture, top: Mapping[str, Any] = EMPTY
) -> None:
    caplog.set_level(logging.INFO, "failsoft")
    isolation = stack(folder, {"first": faulty(case, shown, 2)}, top=top, **transports(shown))
    seen: dict[str, Any] = {}

    def look() -> None:
        shown.release()
        seen["health"], seen["quality"] = health_of(isolation), quality_of(isolation)
        told = isolation.health().adapters["first"]
        seen["throttled"], seen["latched"] = told.throttled_for, told.latched is not None

    (outcome,) = ask(isolation, mode, look=look)

    # who answered, and why not the adapter
    assert outcome.degraded
    assert outcome.source.kind == "fallback"
    met = reasons(outcome)
    tries = case.attempts or len(met)
    assert met == [case.fault] * tries
    if shown.requests is not None:
        assert shown.requests() == tries

    # how it was settled
    state, calls, failures = seen["health"]
    counted = 0 if case.health == NEUTRAL else tries
    assert (state, calls, failures) == ("closed", counted, counted if case.health == FAILURE else 0)
    assert seen["quality"] == (
        "open" if case.quality == "open" else "closed",
        *[case.told * (case.quality == "fail")] * 2,
    )
    assert case.throttle - 3 <= seen["throttled"] <= case.throttle or not case.throttle
    assert bool(seen["throttled"]) == bool(case.throttle) or case.show == "own.LIMITED_FOR_50_MS"
    assert seen["latched"] == (case.latch == AT_ONCE)
    assert any("attempt.alert" in each.getMessage() for each in caplog.records) == case.alert

    # what's on record
    (end,) = records(folder)
    assert (end.fields["outcome"], end.fields["degraded"]) == ("answered", True)
    assert end.fields["source"]["kind"] == "fallback"
    assert [each["fault"] for each in end.fields["attempts"]] == [case.fault] * tries
    assert len(records(folder, "call.started")) == 1
    assert {each.fields["layer"] for each in records(folder, "breaker.changed")} == set(layers_of(case))
    assert idle(isolation)


def layers_of(case: Case) -> Iterator[str]:
    """The guards whose change is on record after one call."""
    if case.throttle or case.show == "own.LIMITED_FOR_50_MS":
        yield "throttle"
    if case.latch == AT_ONCE:
        yield "latch"
    if case.quality == "open":
        yield "quality"


@cases("beside")
def test_the_first_adapter_of_two(case: Case, shown: Shown, mode: str, tmp_path: Path) -> None:
    if shown.transport is not None:
        first = shown.transport
        first.play([next(iter(first._script.reactions)), GOOD])
        second = "http://127.0.0.1:9/v1"
        isolation = stack(
            tmp_path,
            {"first": faulty(case, shown, 1), "second": adapter(second)},
            **transports(shown),
        )
        (outcome,) = ask(isolation, mode, look=shown.release)
    else:
        with FaultServer(GOOD) as server:
            adapters = {"first": faulty(case, shown, 1), "second": adapter(server.base_url)}
            isolation = stack(tmp_path, adapters)
            (outcome,) = ask(isolation, mode, look=shown.release)
    assert reasons(outcome) == [case.fault]
    (end,) = records(tmp_path)
    asked = [(each["adapter"], each.get("fault")) for each in end.fields["attempts"]]
    assert asked[0] == ("first", case.fault)
    if case.answered == "second":
        assert (outcome.source.name, outcome.value.grade, outcome.degraded) == ("second", 7, False)
        assert asked[1:] == [("second", None)]
        assert health_of(isolation, "second")[1:] == (1, 0)
    elif case.answered == "fallback":
        assert outcome.source.kind == "fallback"
        assert asked[1:] == []
    assert idle(isolation)


@cases("five")
def test_five_callers_at_once(case: Case, shown: Shown, mode: str, tmp_path: Path) -> None:
    isolation = stack(tmp_path, {"first": faulty(case, shown, 1)}, deadline="3s", **transports(shown))
    seen: list[Any] = []

    def look() -> None:
        shown.release()
        seen.append((health_of(isolation)[0], isolation.health().adapters["first"].latched is not None))

    outcomes = ask(isolation, mode, 5, look=look, at_once=True)
    assert all(each.degraded for each in outcomes)
    ((state, latched),) = seen
    if not (case.throttle or (case.latch and case.health == FAILURE)):  # with one, who comes later isn't let through
        assert state == ("open" if case.health == FAILURE else "closed")
    assert latched == bool(case.latch)
    assert len(records(tmp_path)) == 5
    assert idle(isolation)


def test_the_catalogue_says_only_what_it_can() -> None:
    assert {each.health for each in CASES} == {FAILURE, NEUTRAL, SUCCESS}
    assert len({each.show for each in CASES}) == len(CASES)
    assert json.dumps(sorted({each.answered for each in CASES})) == '["", "fallback", "second"]'
