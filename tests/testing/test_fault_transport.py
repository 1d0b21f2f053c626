"""The transport that fails as told: scripts, rates, hints, delays, and what it remembers."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from grading import FALLBACK, MODEL, Grade, ask, grades, office, reasons

from failsoft.fault import FaultKind
from failsoft.testing import USUAL, FaultTransport, Rates, Reaction, chat_answer, chat_text, faults, http_reply, wire
from failsoft.testing.reaction import Told, seconds
from failsoft.testing.replies import asked_model

OK = chat_answer(Grade(grade=7))


def post(body: bytes = b"{}", **timeout: float) -> httpx.Request:
    return httpx.Request("POST", "https://gpt.invalid/v1", content=body, extensions={"timeout": timeout})


def drawn(transport: FaultTransport, count: int) -> list[Reaction]:
    for _ in range(count):
        try:
            transport.handle_request(post())
        except httpx.TransportError:
            continue
    return transport.reactions


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_reactions_come_in_order_and_the_last_one_stays(mode: str) -> None:
    faulty = FaultTransport([faults.TRUNCATED, OK, faults.REFUSED])
    outcomes = ask(office(transport=faulty, sync_transport=faulty), mode, times=4)
    assert grades(outcomes) == [FALLBACK, 7, FALLBACK, FALLBACK]
    assert faulty.reactions == [faults.TRUNCATED, OK, faults.REFUSED, faults.REFUSED]


def test_a_retry_meets_the_next_reaction() -> None:
    faulty = FaultTransport([faults.SERVER_ERROR, OK])
    (outcome,) = ask(office(attempts=2, sync_transport=faulty))
    assert outcome.source.attempt == 2
    assert reasons(outcome) == ["server_error"]


def test_without_a_transport_of_its_own_sync_goes_through_the_same_one() -> None:
    faulty = FaultTransport(OK)
    assert grades(ask(office(transport=faulty), "sync")) == [7]
    assert len(faulty.requests) == 1


def test_another_script_can_be_played_meanwhile() -> None:
    faulty = FaultTransport(OK)
    first = drawn(faulty, 1)[:]
    faulty.play(faults.HTML)
    assert drawn(faulty, 1) == [*first, faults.HTML]


def test_the_request_is_kept_as_it_was_sent() -> None:
    faulty = FaultTransport(OK)
    ask(office(sync_transport=faulty))
    (request,) = faulty.requests
    assert str(request.url) == "https://gpt.invalid/v1/chat/completions"
    assert asked_model(request.content) == MODEL


def test_a_body_that_comes_in_parts_is_read() -> None:
    faulty = FaultTransport(chat_answer({}))

    def parts() -> Any:
        yield b'{"model": '
        yield b'"m-7"}'

    response = faulty.handle_request(httpx.Request("POST", "https://gpt.invalid/v1", content=parts()))
    assert b'"model": "m-7"' in response.read()


# --- rates ------------------------------------------------------------------------------------------------------------


def test_rates_draw_the_same_for_the_same_seed() -> None:
    rates = {faults.HTML: 0.3, faults.RESET: 0.1}
    first, again, other = (drawn(FaultTransport(Rates(rates, seed=seed)), 200) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_rates_are_kept() -> None:
    counts = Counter(drawn(FaultTransport(Rates({faults.HTML: 0.3, faults.EMPTY: 0.1}, seed=1)), 2_000))
    assert 540 <= counts[faults.HTML] <= 660
    assert 150 <= counts[faults.EMPTY] <= 250
    assert counts[USUAL] == 2_000 - counts[faults.HTML] - counts[faults.EMPTY]


def test_the_usual_answer_comes_where_nothing_is_drawn() -> None:
    faulty = FaultTransport(Rates({faults.HTML: 0.0}), usual=OK)
    assert grades(ask(office(sync_transport=faulty))) == [7]


def test_a_rate_of_nothing_is_never_drawn() -> None:
    assert set(drawn(FaultTransport(Rates({faults.HTML: 0.0, faults.EMPTY: 0.01})), 1_000)) == {faults.EMPTY, USUAL}


def test_a_rate_of_one_leaves_nothing_else() -> None:
    assert set(drawn(FaultTransport(Rates({faults.HTML: 0.5, faults.EMPTY: 0.5})), 100)) == {faults.HTML, faults.EMPTY}


@pytest.mark.parametrize(
    ("rates", "problem"),
    [
        ({faults.HTML: 1.1}, "html: 1.1 is not from 0 to 1"),
        ({faults.HTML: -0.1, faults.EMPTY: float("nan")}, "html: -0.1 is not from 0 to 1; empty: nan"),
        ({faults.HTML: 0.6, faults.EMPTY: 0.6}, "sum up to 1.2"),
    ],
)
def test_rates_that_make_no_sense_are_refused(rates: dict[Reaction, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Rates(rates)


@pytest.mark.parametrize("script", [wire.TWO_LENGTHS, [OK, wire.TWO_LENGTHS], Rates({wire.TWO_LENGTHS: 0.1})])
def test_what_only_shows_on_the_wire_is_refused(script: Any) -> None:
    with pytest.raises(ValueError, match="two lengths: only shows on the wire"):
        FaultTransport(script)


def test_a_script_without_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        FaultTransport([])


# --- hints ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["seconds", "milliseconds", "date", "reset"])
@pytest.mark.parametrize("fault", [faults.RATE_LIMITED, faults.OVERLOADED])
def test_a_hint_is_understood_however_it_is_told(told: Told, fault: Any) -> None:
    faulty = FaultTransport(fault(after="90s", told=told))
    isolation = office(sync_transport=faulty)
    with isolation:
        ask(isolation)
        throttled = isolation.health().adapters["gpt"]
        outcomes = ask(isolation)
    assert reasons(outcomes[0]) == ["throttled"]
    assert len(faulty.requests) == 1
    assert "throttle" in str(throttled)


def test_hints_are_exact() -> None:
    def header(told: Told, name: str, after: str | float = "1.5s") -> str:
        return dict(faults.RATE_LIMITED(after, told).headers)[name]

    assert header("seconds", "retry-after") == "1.5"
    assert header("seconds", "retry-after", 3) == "3"
    assert header("milliseconds", "retry-after-ms") == "1500"
    assert header("reset", "x-ratelimit-reset-requests") == "1500ms"
    assert header("reset", "x-ratelimit-remaining-requests") == "0"
    assert header("date", "retry-after", "3662s") == "Thu, 01 Jan 2026 01:01:02 GMT"
    assert header("date", "date") == "Thu, 01 Jan 2026 00:00:00 GMT"


def test_an_unavailable_server_that_says_when_counts_as_overloaded() -> None:
    assert faults.UNAVAILABLE.fault is FaultKind.SERVER_ERROR
    told = faults.UNAVAILABLE(after="2s")
    (outcome,) = ask(office(sync_transport=FaultTransport(told)))
    assert reasons(outcome) == [told.fault] == ["overloaded"]


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Grade(grade=3), '{"grade":3}'),
        ({"grade": 3}, '{"grade":3}'),
        ("now", '{"value":"now"}'),
        ([1], '{"value":[1]}'),
    ],
)
def test_an_answer_travels_as_an_object(answer: object, text: str) -> None:
    body = httpx.Response(200, content=chat_answer(answer).body("m")).json()
    assert body["choices"][0]["message"]["content"] == text


def test_the_model_that_was_asked_for_answers_unless_another_is_named() -> None:
    (outcome,) = ask(office(sync_transport=FaultTransport(OK)))
    assert outcome.served is not None
    assert outcome.served.model == MODEL
    (other,) = ask(office(sync_transport=FaultTransport(chat_answer(Grade(grade=7), model="m-2"))))
    assert reasons(other) == ["served_model_mismatch"]


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"model": 7}', b"\xff"])
def test_a_request_without_a_model_has_an_unknown_one(body: bytes) -> None:
    assert asked_model(body) == "unknown-model"


def test_a_reply_of_ones_own_is_sent_as_it_stands() -> None:
    reply = http_reply("<p>", status=418, headers={"Content-Type": "text/html", "X-A": "b"}, name="teapot")
    response = FaultTransport(reply).handle_request(post())
    assert (response.status_code, response.read()) == (418, b"<p>")
    assert response.headers.multi_items() == [("content-type", "text/html"), ("x-a", "b"), ("content-length", "3")]
    assert str(reply) == "teapot"
    assert str(http_reply(status=418)) == "status 418"


def test_text_is_sent_as_it_stands() -> None:
    (outcome,) = ask(office(sync_transport=FaultTransport(chat_text('{"grade": 9}', headers={"Retry-After": "60"}))))
    assert outcome.value == Grade(grade=9)


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("reaction", [OK.delayed("10s"), USUAL.delayed("10s")], ids=str)
def test_what_comes_later_than_its_attempt_is_a_time_out(reaction: Reaction, mode: str) -> None:
    late = FaultTransport(reaction, usual=OK)
    (outcome,) = ask(office(deadline="100ms", transport=late, sync_transport=late), mode)
    assert reasons(outcome) == ["attempt_timeout"]


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_what_comes_late_but_in_time_is_an_answer(mode: str) -> None:
    late = FaultTransport(USUAL.delayed(0.01), usual=OK)
    assert grades(ask(office(transport=late, sync_transport=late), mode)) == [7]


def test_a_delay_adds_up_and_is_named() -> None:
    late = faults.HTML.delayed("20ms").delayed(0.01)
    assert late.delay == pytest.approx(0.03)
    assert str(late) == "html after 20ms after 0.01"


@pytest.mark.parametrize("wrong", ["soon", "-1s", -1, float("inf"), float("nan")])
def test_what_is_no_duration_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(wrong)


@pytest.mark.parametrize("wait", [faults.HANG, OK.delayed("5s")], ids=str)
def test_the_requests_own_time_out_holds(wait: Reaction) -> None:
    transport = FaultTransport(wait)
    with pytest.raises(httpx.ReadTimeout):
        transport.handle_request(post(read=0.01))
    with pytest.raises(httpx.ReadTimeout):
        asyncio.run(transport.handle_async_request(post(read=0.01)))


@pytest.mark.parametrize("wait", [faults.HANG, OK.delayed("60s")], ids=str)
def test_closing_ends_what_waits(wait: Reaction) -> None:
    transport = FaultTransport(wait)
    begun = threading.Event()
    ended: list[type[Exception]] = []

    def body() -> Iterator[bytes]:
        begun.set()
        yield b"{}"

    def hang() -> None:
        try:
            transport.handle_request(httpx.Request("POST", "https://gpt.invalid/v1", content=body()))
        except httpx.ReadTimeout as error:
            ended.append(type(error))

    thread = threading.Thread(target=hang)
    thread.start()
    assert begun.wait(5)
    transport.close()
    thread.join(5)
    assert ended == [httpx.ReadTimeout]


async def test_a_hang_is_cancelled_with_its_caller() -> None:
    task = asyncio.ensure_future(FaultTransport(faults.HANG).handle_async_request(post()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_many_threads_share_one_script() -> None:
    transport = FaultTransport([*[faults.HTML] * 40, faults.EMPTY])
    work: Callable[[], object] = lambda: drawn(transport, 10)  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert Counter(transport.reactions) == {faults.HTML: 40, faults.EMPTY: 40}
