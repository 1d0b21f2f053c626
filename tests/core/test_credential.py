"""A credential that doesn't last: fetched once for all, renewed ahead of its end, once more after a 401, never shown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.credential import LOST, CredentialKeeper, Fetch, Issued, Unavailable
from failsoft.core.effects import Ask, HttpRequest, Promise
from failsoft.credentials import AwsCredentials, Credential, Token, aws_environment
from failsoft.io.drive_simulated import Simulation, VirtualClock
from tests.core.scripted import SECOND, Scene, StubCodec, ok, scripted, status
from tests.core.test_call import reasons, run

FOR_EVER = 10**9


class Desk:
    """Hands out tokens ``token-1``, ``token-2``, … each good for `life` seconds of its clock; what's `due` comes first."""

    def __init__(self, clock: VirtualClock, life: float | None = 3600.0) -> None:
        self.clock, self.life = clock, life
        self.calls = 0
        self.due: list[Any] = []

    def __call__(self) -> Any:
        self.calls += 1
        if self.due:
            first = self.due.pop(0)
            if isinstance(first, BaseException):
                raise first
            return first
        return Token(
            f"token-number-{self.calls}", None if self.life is None else self.clock.time_ns() / 1e9 + self.life
        )


def kept(**options: Any) -> tuple[CredentialKeeper, Desk, VirtualClock]:
    clock = VirtualClock()
    desk = Desk(clock, options.pop("life", 3600.0))
    return CredentialKeeper(desk, clock, **options), desk, clock


def fetched(keeper: CredentialKeeper, clock: VirtualClock) -> Issued:
    fetch = keeper.take(clock.now)
    assert isinstance(fetch, Fetch)
    assert fetch() is None
    issued = keeper.take(clock.now)
    assert isinstance(issued, Issued)
    return issued


def test_it_is_fetched_by_the_first_and_the_others_wait_for_it() -> None:
    keeper, desk, clock = kept()
    fetch, waiting = keeper.take(0), keeper.take(0)
    assert isinstance(fetch, Fetch)
    assert isinstance(waiting, Promise)
    assert not waiting.done
    fetch()
    assert waiting.done
    assert isinstance(keeper.take(clock.now), Issued)
    assert desk.calls == 1


def test_it_is_renewed_five_minutes_ahead_of_its_end_by_one_while_the_others_go_on() -> None:
    keeper, desk, clock = kept()
    first = fetched(keeper, clock)
    clock.now = 3_300 * SECOND - 1
    assert keeper.take(clock.now) is first
    clock.now += 1
    renewal = keeper.take(clock.now)
    assert isinstance(renewal, Fetch)
    assert keeper.take(clock.now) is first
    renewal()
    second = keeper.take(clock.now)
    assert isinstance(second, Issued)
    assert second is not first
    assert desk.calls == 2


def test_a_short_lived_one_is_renewed_in_the_last_fifth_of_its_life() -> None:
    keeper, _, clock = kept(life=10.0)
    first = fetched(keeper, clock)
    assert keeper.take(8 * SECOND - 1) is first
    assert isinstance(keeper.take(8 * SECOND), Fetch)


def test_at_its_end_it_is_not_used_any_more() -> None:
    keeper, _, clock = kept(life=10.0)
    fetched(keeper, clock)
    assert isinstance(keeper.take(9 * SECOND), Fetch)  # under way
    assert isinstance(keeper.take(10 * SECOND - 1), Issued)
    assert isinstance(keeper.take(10 * SECOND), Promise)


def test_one_that_says_no_end_is_kept_or_fetched_anew_as_told() -> None:
    keeper, desk, clock = kept(life=None)
    first = fetched(keeper, clock)
    assert keeper.take(FOR_EVER * SECOND) is first
    keeper, desk, clock = kept(life=None, refresh=60 * SECOND)
    first = fetched(keeper, clock)
    assert keeper.take(60 * SECOND - 1) is first
    assert isinstance(keeper.take(60 * SECOND), Fetch)
    assert desk.calls == 1


def test_what_is_known_from_the_start_needs_no_fetch() -> None:
    keeper, desk, clock = kept(first=Token("known"))
    issued = keeper.take(clock.now)
    assert isinstance(issued, Issued)
    assert issued.value == Token("known")
    assert desk.calls == 0


@pytest.mark.parametrize(
    ("brought", "told"),
    [
        (RuntimeError("the vault's own words: hunter2"), "it raised RuntimeError"),
        (None, "it returned NoneType, no Token"),
        (7, "it returned int, no Token"),
        ("two words", "it returned a text that can't be a token"),
        ("", "it returned a text that can't be a token"),
        (Token("old", -5.0), "it returned one that has expired"),
        (Token("old", 0.0), "it returned one that has expired"),
    ],
)
def test_what_is_no_credential_is_told_in_our_words_and_not_asked_for_at_once_again(brought: Any, told: str) -> None:
    keeper, desk, clock = kept()
    desk.due = [brought] * 9
    pauses = []
    for _ in range(9):
        fetch = keeper.take(clock.now)
        assert isinstance(fetch, Fetch)
        assert fetch() is None
        assert keeper.problem == told
        assert keeper.take(clock.now) == Unavailable(told)
        begun = clock.now
        while isinstance(keeper.take(clock.now), Unavailable):
            clock.now += SECOND // 2
        pauses.append((clock.now - begun) / SECOND)
        keeper.after_fork()  # the take above began a fetch
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    fetched(keeper, clock)
    assert keeper.problem == ""


def test_one_that_ends_at_this_very_moment_has_expired() -> None:
    keeper, _, clock = kept(life=0.0)
    fetch = keeper.take(clock.now)
    assert isinstance(fetch, Fetch)
    fetch()
    assert keeper.take(clock.now) == Unavailable("it returned one that has expired")


def test_after_one_that_came_the_pauses_begin_anew() -> None:
    keeper, desk, clock = kept()
    desk.due = [OSError(), OSError(), OSError()]
    for pause in (1, 2, 4):
        fetch = keeper.take(clock.now)
        assert isinstance(fetch, Fetch)
        fetch()
        clock.now += pause * SECOND
    keeper.refused(fetched(keeper, clock))
    desk.due = [OSError()]
    fetch = keeper.take(clock.now)
    assert isinstance(fetch, Fetch)
    fetch()
    assert isinstance(keeper.take(clock.now), Unavailable)
    assert isinstance(keeper.take(clock.now + SECOND), Fetch)


def test_one_that_came_late_ends_the_pause_too() -> None:
    keeper, desk, clock = kept()
    hanging = keeper.take(0)
    assert isinstance(hanging, Fetch)
    clock.now = 60 * SECOND
    second = keeper.take(clock.now)
    assert isinstance(second, Fetch)
    desk.due = [OSError()]
    second()
    assert isinstance(keeper.take(clock.now), Unavailable)
    hanging()
    issued = keeper.take(clock.now)
    assert isinstance(issued, Issued)
    keeper.refused(issued)
    assert isinstance(keeper.take(clock.now), Fetch)


def test_in_a_child_the_first_to_ask_fetches_whoever_did_in_the_parent() -> None:
    keeper, _, clock = kept()
    assert isinstance(keeper.take(0), Fetch)
    keeper._lock.acquire()  # a thread of the parent's that isn't in the child
    keeper.after_fork()
    fetched(keeper, clock)


def test_while_renewing_fails_what_is_still_valid_is_used() -> None:
    keeper, desk, clock = kept(life=100.0)
    first = fetched(keeper, clock)
    desk.due = [OSError()]
    clock.now = 80 * SECOND
    renewal = keeper.take(clock.now)
    assert isinstance(renewal, Fetch)
    renewal()
    assert keeper.take(clock.now) is first
    clock.now += SECOND
    assert isinstance(keeper.take(clock.now), Fetch)


def test_a_plain_text_is_a_token_and_so_are_an_awaitables_results() -> None:
    keeper, desk, clock = kept()
    desk.due = ["plain-text"]
    assert fetched(keeper, clock).value == Token("plain-text")

    async def later() -> Token:
        await asyncio.sleep(0)
        return Token("later")

    keeper, desk, clock = kept()
    desk.due = [later()]
    fetch = keeper.take(0)
    assert isinstance(fetch, Fetch)
    awaited = fetch()
    assert awaited is not None
    asyncio.run(awaited)  # type: ignore[arg-type]
    issued = keeper.take(clock.now)
    assert isinstance(issued, Issued)
    assert issued.value == Token("later")


@pytest.mark.parametrize("error", [OSError(), asyncio.CancelledError()])
def test_an_awaitable_that_raises_ends_its_fetch_and_a_cancelled_one_says_nothing_of_the_source(
    error: BaseException,
) -> None:
    async def fails() -> Token:
        raise error

    keeper, desk, clock = kept()
    desk.due = [fails()]
    fetch, waiting = keeper.take(0), keeper.take(0)
    assert isinstance(fetch, Fetch)
    assert isinstance(waiting, Promise)
    awaited: Any = fetch()
    if isinstance(error, Exception):
        asyncio.run(awaited)
        assert isinstance(keeper.take(clock.now), Unavailable)
    else:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(awaited)
        assert isinstance(keeper.take(clock.now), Fetch)
    assert waiting.done


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2)])
def test_what_ends_the_program_passes_and_is_a_failure_of_the_source(error: BaseException) -> None:
    keeper, desk, clock = kept()
    desk.due = [error]
    fetch = keeper.take(0)
    assert isinstance(fetch, Fetch)
    with pytest.raises(type(error)):
        fetch()
    assert keeper.take(clock.now) == Unavailable(f"it raised {type(error).__name__}")


def test_one_that_is_cancelled_again_and_again_is_not_asked_at_once_for_ever() -> None:
    keeper, desk, clock = kept()
    desk.due = [asyncio.CancelledError(), asyncio.CancelledError()]
    for _ in range(2):
        fetch = keeper.take(clock.now)
        assert isinstance(fetch, Fetch)
        with pytest.raises(asyncio.CancelledError):
            fetch()
    assert isinstance(keeper.take(clock.now), Unavailable)
    clock.now += SECOND
    fetched(keeper, clock)
    keeper.refused(keeper.take(clock.now))  # type: ignore[arg-type]
    desk.due = [asyncio.CancelledError()]
    fetch = keeper.take(clock.now)
    assert isinstance(fetch, Fetch)
    with pytest.raises(asyncio.CancelledError):
        fetch()
    assert isinstance(keeper.take(clock.now), Fetch)  # the first again: something had come between


def test_a_credential_that_its_provider_cannot_take_is_told_so() -> None:
    keeper, desk, clock = kept(takes=(Token,))
    desk.due = [AwsCredentials("AKID", "hunter2-hunter2")]
    fetch = keeper.take(0)
    assert isinstance(fetch, Fetch)
    fetch()
    assert keeper.take(clock.now) == Unavailable("it returned AwsCredentials, which isn't what this provider takes")


def test_an_unsound_one_says_what_is_wrong_in_our_words() -> None:
    def naive() -> Token:
        return Token("hunter2-hunter2", datetime(2026, 1, 1))  # type: ignore[arg-type]  # noqa: DTZ001

    keeper = CredentialKeeper(naive, VirtualClock())
    fetch = keeper.take(0)
    assert isinstance(fetch, Fetch)
    fetch()
    assert "a moment without a time zone could be any" in keeper.problem
    assert "hunter2" not in keeper.problem


def test_a_fetch_that_hangs_is_given_up_and_what_it_brings_late_replaces_nothing_newer_under_way() -> None:
    keeper, desk, clock = kept()
    hanging = keeper.take(0)
    assert isinstance(hanging, Fetch)
    assert isinstance(keeper.take(60 * SECOND - 1), Promise)
    second = keeper.take(60 * SECOND)
    assert isinstance(second, Fetch)
    assert second is not hanging
    hanging()
    late = keeper.take(clock.now)
    assert isinstance(late, Issued)
    keeper.refused(late)
    assert keeper.take(60 * SECOND) is second.over  # the newer one is still under way
    second()
    assert desk.calls == 2
    assert isinstance(keeper.take(clock.now), Issued)


def test_what_a_fetch_that_was_given_up_comes_to_says_nothing_where_something_newer_came() -> None:
    keeper, desk, clock = kept()
    lost = keeper.take(clock.now)
    clock.now += LOST
    slow = keeper.take(clock.now)
    clock.now += LOST
    newest = fetched(keeper, clock)
    assert isinstance(lost, Fetch)
    assert isinstance(slow, Fetch)
    desk.due = [Token("old")]
    lost()
    desk.due = [ValueError("too late")]
    slow()
    assert keeper.take(clock.now) is newest
    assert keeper.problem == ""
    keeper.refused(newest)
    assert isinstance(keeper.take(clock.now), Fetch)  # no pause for what the lost one came to
    assert lost.over.done
    assert slow.over.done


def test_a_refused_one_is_dropped_if_it_is_still_in_use() -> None:
    keeper, _, clock = kept()
    first = fetched(keeper, clock)
    keeper.refused(first)
    second = fetched(keeper, clock)
    keeper.refused(first)  # somebody's late 401: of the one before
    assert keeper.take(clock.now) is second


def test_a_wall_clock_that_is_set_expires_nothing() -> None:
    keeper, _, clock = kept()
    first = fetched(keeper, clock)
    clock.epoch_ns += 10_000 * SECOND
    assert keeper.take(clock.now) is first


@given(st.lists(st.tuples(st.sampled_from(["take", "run", "fail", "refuse"]), st.integers(0, 90)), max_size=60))
def test_there_is_never_more_than_one_fetch_under_way_and_none_that_has_expired_is_given(
    steps: list[tuple[str, int]],
) -> None:
    keeper, desk, clock = kept(life=50.0)
    open_fetches: list[tuple[int, Fetch]] = []
    last: Issued | None = None
    for what, seconds in steps:
        clock.now += seconds * SECOND
        if what == "take":
            found = keeper.take(clock.now)
            if isinstance(found, Fetch):
                assert all(clock.now - begun >= LOST for begun, _ in open_fetches)
                open_fetches.append((clock.now, found))
            elif isinstance(found, Issued):
                assert found.ends_at is None or clock.now < found.ends_at
                last = found
        elif what in ("run", "fail") and open_fetches:
            _, fetch = open_fetches.pop(0)
            desk.due = [ValueError()] if what == "fail" else []
            fetch()
        elif what == "refuse":
            keeper.refused(last)


# --- the values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "two words", "tab\t", "ümlaut", "line\n", None, 5])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(value: Any) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Token(value)
    assert not value or str(value) not in str(caught.value)


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), 1e300, "soon", True, datetime(2026, 1, 1)])  # noqa: DTZ001
def test_an_end_that_is_no_moment_is_refused(moment: Any) -> None:
    with pytest.raises(ValueError, match="expires_at"):
        Token("t", moment)


def test_an_end_may_be_a_datetime() -> None:
    assert Token("t", datetime(1970, 1, 2, tzinfo=UTC)).expires_at == 86_400  # type: ignore[arg-type]


def test_a_session_token_is_held_to_the_same() -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        AwsCredentials("AKID", "secret", "a\nb")


def test_no_repr_shows_a_secret() -> None:
    shown = repr([Token("hunter2-hunter2"), AwsCredentials("AKIA", "hunter2-hunter2", "hunter2-session")])
    assert "hunter2" not in shown
    assert "AKIA" in shown
    assert AwsCredentials("AKIA", "one", "two").secrets == ("one", "two")
    assert AwsCredentials("AKIA", "one").secrets == ("one",)


# --- calls ------------------------------------------------------------------------------------------------------------


class KeyedCodec(StubCodec):
    """Shows the token in a header of the request."""

    secrets = ("fixed-secret",)

    def __init__(self) -> None:
        self.sent: list[str] = []

    def authorize(self, request: HttpRequest, credential: Credential, now_ns: int) -> HttpRequest:
        assert isinstance(credential, Token)
        self.sent.append(credential.value)
        return evolve(request, headers=(*request.headers, ("authorization", credential.value)))

    def encode(self, ask: Ask) -> HttpRequest:
        return HttpRequest("http://stub/v1", (), ask.request_json)


def keyed(life: float | None = 3600.0, **options: Any) -> tuple[Scene, KeyedCodec, Desk]:
    scene = Scene()
    codec, desk = KeyedCodec(), Desk(scene.clock, life)
    scene.add("first", codec, keeper=CredentialKeeper(desk, scene.clock), **options)
    return scene, codec, desk


def test_each_request_carries_the_credential_and_it_is_fetched_once() -> None:
    scene, codec, desk = keyed()
    for _ in range(3):
        assert run(scene, ok()).by_ai
    assert codec.sent == ["token-number-1"] * 3
    assert desk.calls == 1
    assert "credential.failed" not in scene.events.names
    assert scene.adapters[0].secrets == ("fixed-secret", "token-number-1")


def test_calls_that_come_together_wait_for_one_fetch() -> None:
    scene, codec, desk = keyed()
    simulation = Simulation(scripted([ok()] * 20), scene.clock)
    running = [simulation.start(scene.call().run()) for _ in range(20)]
    simulation.run()
    assert all(each.value.by_ai for each in running)
    assert desk.calls == 1
    assert codec.sent == ["token-number-1"] * 20


def test_after_a_401_it_is_fetched_anew_once_and_then_the_latch_closes() -> None:
    scene, codec, desk = keyed()
    assert run(scene, status(401), ok()).by_ai
    assert codec.sent == ["token-number-1", "token-number-2"]
    assert scene.adapters[0].latch.clear
    outcome = run(scene, status(401), status(401))
    assert reasons(outcome) == [("first", "unauthenticated")] * 2
    assert desk.calls == 3
    assert not scene.adapters[0].latch.clear
    assert reasons(run(scene)) == [("first", "latched")]


def test_both_the_new_and_the_refused_one_are_struck_from_replies() -> None:
    scene, _, _ = keyed()
    run(scene, status(401), ok())
    assert scene.adapters[0].secrets == ("fixed-secret", "token-number-2", "token-number-1")


@pytest.mark.parametrize(("token", "struck"), [("none", ()), ("12345678", ("12345678",)), ("1234567", ())])
def test_one_of_fewer_than_eight_characters_is_a_placeholder_and_is_not_struck(
    token: str, struck: tuple[str, ...]
) -> None:
    scene, _, desk = keyed()
    desk.due = [token]
    run(scene, ok())
    assert scene.adapters[0].secrets == ("fixed-secret", *struck)


def test_without_one_the_adapter_is_passed_over_and_somebody_is_told() -> None:
    scene, codec, desk = keyed()
    desk.due = [OSError("hunter2")]
    outcome = run(scene)
    assert outcome.degraded
    assert [(each.reason, each.detail) for each in outcome.passed_over] == [("no_credential", "it raised OSError")]
    assert ("credential.failed", "it raised OSError") in [(n, f.get("reason")) for n, f in scene.events.events]
    assert "hunter2" not in repr(scene.events.events)
    assert codec.sent == []
    scene.clock.now += SECOND
    assert run(scene, ok()).by_ai


def test_the_next_adapter_is_asked_instead() -> None:
    scene, _, desk = keyed()
    scene.add("second")
    desk.due = [OSError()]
    assert run(scene, ok()).source.name == "second"


def test_a_driver_that_fails_as_it_fetches_is_a_bug_and_the_fallback_answers() -> None:
    scene, _, _ = keyed()
    steps = scene.call().run()
    next(steps)  # Invoke
    with pytest.raises(StopIteration) as ended:
        steps.throw(RuntimeError("driver"))
    assert ended.value.value.degraded
    assert [each.detail for each in ended.value.value.passed_over] == ["a bug"]
    assert "attempt.alert" in scene.events.names


def test_a_fetch_that_takes_the_attempts_time_passes_the_adapter_over() -> None:
    scene, _, _ = keyed()
    held = scene.adapters[0].keeper
    assert held is not None
    held.take(0)  # somebody fetches, and never comes back
    outcome = run(scene)
    assert [(each.reason, each.detail) for each in outcome.passed_over] == [("no_credential", "it took too long")]
    assert outcome.degraded


def test_a_late_renewal_leaves_no_slot_and_no_permit_taken() -> None:
    scene, _, desk = keyed(limit=1)
    desk.due = [OSError()]
    run(scene)
    assert scene.adapters[0].bulkhead.in_use == 0
    scene.clock.now += SECOND
    assert run(scene, ok()).by_ai


def test_awss_variables_are_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    with pytest.raises(LookupError, match="must be set"):
        aws_environment()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert aws_environment() == AwsCredentials("AKID", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    assert aws_environment() == AwsCredentials("AKID", "secret", "session")
