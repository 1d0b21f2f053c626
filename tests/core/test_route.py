"""Who may be asked: the first layer that refuses is named, in the order block, labels, latch, throttle, health."""

from __future__ import annotations

import random
from typing import Any

import pytest

from failsoft.core.breaker import Permit
from failsoft.core.quality import Quality
from failsoft.core.route import GuardedAdapter, NoBlocks, Refusal, Route, plan
from failsoft.fault import Settlement
from failsoft.io.drive_simulated import VirtualClock
from failsoft.outcome import PassedOver
from tests.core.scripted import SECOND, guarded


class Blocked:
    def adapter(self, name: str, now: int) -> Refusal | None:
        return ("blocked", "by jdoe") if name == "a" else None

    def capability(self, name: str, now: int) -> Refusal | None:
        return ("blocks_unknown", "the store is down") if name == "forbidden" else None


def adapter(name: str = "a", **options: Any) -> GuardedAdapter:
    return guarded(name, VirtualClock(), **options)


def opened(one: GuardedAdapter) -> None:
    for _ in range(20):
        permit = one.breaker.acquire(0, SECOND)
        if not isinstance(permit, Permit):
            return
        permit.settle(Settlement.FAILURE, 0)


def test_nothing_is_blocked_where_there_are_no_blocks() -> None:
    assert NoBlocks().adapter("a", 0) is None
    assert NoBlocks().capability("a", 0) is None


def test_an_adapter_in_order_is_admitted() -> None:
    assert adapter().refusal(0, frozenset(), NoBlocks()) is None
    assert adapter().admit(0) is None


def test_one_of_which_nothing_is_said_is_asked_three_times_and_held_to_its_pin() -> None:
    assert (adapter().attempts, adapter().on_mismatch) == (3, "refuse")


def test_a_blocked_one_says_by_whom() -> None:
    assert adapter().refusal(0, frozenset(), Blocked()) == ("blocked", "by jdoe")


def test_one_that_lacks_a_label_says_which() -> None:
    one = adapter(labels=frozenset({"CUI"}))
    assert one.refusal(0, frozenset({"CUI"}), NoBlocks()) is None
    assert one.refusal(0, frozenset({"CUI", "PII", "ITAR"}), NoBlocks()) == ("labels", "may not see ITAR, PII")


def test_a_latched_one_says_what_to_mend() -> None:
    one = adapter()
    one.latch.trip("unauthenticated", True, "call-1", 0)
    refusal = one.refusal(0, frozenset(), NoBlocks())
    assert refusal is not None
    assert refusal[0] == "latched"
    assert "unauthenticated" in refusal[1]
    assert one.admit(0) == ("latched", refusal[1])


def test_a_throttled_one_waits() -> None:
    one = adapter()
    one.throttle.throttled(0, 5 * SECOND)
    assert one.refusal(0, frozenset(), NoBlocks()) == ("throttled", "")
    assert one.admit(0) == ("throttled", "")


def test_an_open_one_says_why() -> None:
    one = adapter()
    opened(one)
    refusal = one.refusal(0, frozenset(), NoBlocks())
    assert refusal is not None
    assert refusal[0] == "open"


def test_one_whose_answers_dont_fit_says_so_before_its_health_is_looked_at() -> None:
    one, quality = adapter(), Quality(VirtualClock(), random.Random(1))
    opened(one)
    for _ in range(20):
        quality.settle(0, 0, "fail")
    assert one.refusal(0, frozenset(), NoBlocks(), quality) == ("quality", "open")
    assert one.refusal(60 * SECOND, frozenset(), NoBlocks(), quality) is None


@pytest.mark.parametrize("layers", range(5))
def test_the_first_layer_that_refuses_is_named(layers: int) -> None:
    one = adapter()
    opened(one)
    if layers < 4:
        one.throttle.throttled(0, 5 * SECOND)
    if layers < 3:
        one.latch.trip("unauthenticated", True, "call-1", 0)
    labels = frozenset({"CUI"}) if layers < 2 else frozenset[str]()
    refusal = one.refusal(0, labels, Blocked() if layers < 1 else NoBlocks())
    assert refusal is not None
    assert refusal[0] == ("blocked", "labels", "latched", "throttled", "open")[layers]


def test_looking_takes_nothing() -> None:
    one = adapter()
    before = one.breaker.snapshot(0)
    for _ in range(9):
        one.refusal(0, frozenset(), NoBlocks())
    assert one.breaker.snapshot(0) == before


def test_a_latch_of_the_credential_stops_everybody_who_shares_it() -> None:
    one = adapter("a")
    two = adapter("b", credential=one.credential)
    one.credential.trip("unauthenticated", True, "call-1", 0)
    assert two.refusal(0, frozenset(), NoBlocks()) == ("latched", "unauthenticated")
    assert two.admit(0) == ("latched", "unauthenticated")
    assert two.latch.clear


def test_its_own_latch_stops_it_alone() -> None:
    one = adapter("a")
    two = adapter("b", credential=one.credential)
    two.latch.trip("model_not_found", True, "call-1", 0)
    assert two.refusal(0, frozenset(), NoBlocks()) == ("latched", "model_not_found")
    assert one.refusal(0, frozenset(), NoBlocks()) is None


def test_of_a_trial_that_one_latch_allows_and_the_other_doesnt_nothing_is_spent() -> None:
    one = adapter("a")
    two = adapter("b", credential=one.credential)
    two.credential.trip("unauthenticated", True, "call-1", 0)
    later = 400 * SECOND  # a trial of the credential is due
    two.latch.trip("model_not_found", True, "call-2", later)
    assert two.admit(later) == ("latched", "model_not_found")
    assert one.admit(later) is None
    assert one.admit(later) == ("latched", "unauthenticated")


def test_of_a_blocked_capability_nobody_is_asked() -> None:
    admissible, passed_over = plan(Route((adapter("b"),), 0), "forbidden", 0, frozenset(), Blocked())
    assert admissible == []
    assert passed_over == [PassedOver("b", "blocks_unknown", detail="the store is down")]


def test_a_plan_keeps_the_order_and_says_why_others_arent_in_it() -> None:
    one, two, three = adapter("a"), adapter("b"), adapter("c")
    three.throttle.throttled(0, 5 * SECOND)
    admissible, passed_over = plan(Route((two, one, three), 0), "rate", 0, frozenset(), Blocked())
    assert admissible == [two]
    assert passed_over == [PassedOver("a", "blocked", detail="by jdoe"), PassedOver("c", "throttled")]
