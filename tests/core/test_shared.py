"""Facts merge in one order: however they arrive, all processes end with the same. Leases are one owner's at a time."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.core.limits import DAY
from failsoft.core.shared import (
    BOUND,
    LONGEST_BODY,
    Fact,
    Facts,
    LeaseAsk,
    MemoryStore,
    fact,
    granted,
    is_past,
    known_kinds,
    leased,
    merged,
    news,
    sound,
)

facts = st.builds(Fact, st.integers(0, 3), st.integers(0, 3), st.sampled_from(["", '{"owner":"a"}', '{"owner":"b"}']))
states = st.dictionaries(st.sampled_from(["k/open", "k/throttle", "block/adapter:a"]), facts)
NAME = "k/lease"


@given(states, states, states)
def test_merging_is_associative(one: Facts, two: Facts, three: Facts) -> None:
    assert merged(merged(one, two), three) == merged(one, merged(two, three))


@given(states, states)
def test_merging_is_commutative(one: Facts, two: Facts) -> None:
    assert merged(one, two) == merged(two, one)


@given(states)
def test_merging_twice_changes_nothing(one: Facts) -> None:
    assert merged(one, one) == one


@given(st.lists(states, max_size=4))
def test_in_whichever_order_facts_arrive_the_end_is_the_same(several: list[Facts]) -> None:
    assert len({frozenset(merged(*each).items()) for each in permutations(several)}) == 1


@given(states, states)
def test_what_is_news_is_all_that_merging_changes(known: Facts, told: Facts) -> None:
    assert {**known, **news(told, known)} == merged(known, told)
    assert news(known, merged(known, told)) == {}


@given(states, states)
def test_the_greater_wins_whole(one: Facts, two: Facts) -> None:
    for name, each in merged(one, two).items():
        assert each in (one.get(name), two.get(name))


def test_closed_in_a_later_epoch_isnt_closed_until_what_an_earlier_one_said() -> None:
    opened, closed = fact(1, 100, owner="a"), fact(2, 0, owner="b")
    assert merged({"k/open": opened}, {"k/open": closed})["k/open"] is closed


def test_in_one_epoch_the_careful_one_wins() -> None:
    assert fact(1, 1, why="order") > fact(1, 0, when="now")


def test_a_body_is_canonical_and_says_who() -> None:
    assert fact(1, 2, b="ü", owner="a") == Fact(1, 2, '{"b":"\\u00fc","owner":"a"}')
    assert fact(1, 2, owner="a").owner == "a"


def test_a_body_that_isnt_ours_says_nothing() -> None:
    for body in ("", "nonsense", "[1]"):
        assert dict(Fact(1, 2, body).said) == {}
        assert Fact(1, 2, body).owner == ""


def test_daily_counts_are_past_two_days_later() -> None:
    assert not is_past("k/day/a", fact(10, 1), 11)
    assert is_past("k/day/a", fact(10, 1), 12)
    assert not is_past("k/open", fact(10, 1), 12)


# --- leases -----------------------------------------------------------------------------------------------------------


def ask(owner: str, floor: int = 0) -> LeaseAsk:
    return LeaseAsk(NAME, owner, floor, 10)


def test_a_free_lease_is_granted_with_an_epoch_above_all_that_were_known() -> None:
    assert leased(None, ask("a", 7), 100) == Fact(8, 110, '{"owner":"a"}')


def test_a_held_one_is_granted_to_nobody_else() -> None:
    held = leased(None, ask("a"), 100)
    assert leased(held, ask("b"), 109) is None


def test_its_holder_gets_more_time_in_the_same_epoch() -> None:
    held = leased(None, ask("a"), 100)
    assert held is not None
    assert leased(held, ask("a", 9), 105) == Fact(held.epoch, 115, held.body)


def test_one_that_ran_out_goes_to_the_next_with_a_higher_epoch() -> None:
    held = leased(None, ask("a"), 100)
    assert held is not None
    assert leased(held, ask("b"), 110) == Fact(held.epoch + 1, 120, '{"owner":"b"}')


def test_one_that_ran_out_is_a_new_one_for_its_holder_too() -> None:
    held = leased(None, ask("a"), 100)
    assert held is not None
    again = leased(held, ask("a"), 110)
    assert again is not None
    assert again.epoch == held.epoch + 1


def test_a_clock_that_was_set_back_binds_no_lease_for_long() -> None:
    held = leased(None, ask("a"), 1_000_000)
    assert leased(held, ask("b"), 100) is not None


def test_of_two_that_ask_at_once_one_gets_it() -> None:
    given = granted({}, [ask("a"), ask("b")], 100)
    assert given == {NAME: Fact(1, 110, '{"owner":"a"}')}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 15)), max_size=20))
def test_no_two_hold_it_at_once_and_epochs_rise(asks: list[tuple[str, int]]) -> None:
    store = MemoryStore()
    for owner, passed in asks:
        before = store.facts.get(NAME)
        store.now_ms += passed
        after = store.exchange({}, [ask(owner)]).facts[NAME]
        if before is not None and before.rank > store.now_ms:
            assert after.body == before.body
            assert after.epoch == before.epoch
        elif before is not None:
            assert after.epoch > before.epoch


def test_a_day_is_one_of_utc() -> None:
    assert DAY == 86_400 * 10**9


def test_a_body_nested_without_end_says_nothing() -> None:
    assert Fact(1, 1, "[" * 100_000).said == {}
    assert Fact(1, 1, '{"a":' * 100_000).owner == ""


@pytest.mark.parametrize(
    "odd",
    [Fact(BOUND, 1, ""), Fact(-1, 1, ""), Fact(1, BOUND, ""), Fact(1, -1, ""), Fact(1, 1, " " * (LONGEST_BODY + 1))],
)
def test_what_nobody_of_us_can_have_told_is_as_if_it_werent_there(odd: Fact) -> None:
    store, told = MemoryStore(), {"k/open": fact(1, 1, owner="a")}
    assert sound({"k/open": odd}) == {}
    store.facts = {"k/open": odd}
    assert store.exchange(told, ()).facts == told


def test_a_block_holds_however_long_its_reason() -> None:
    block = {"block/adapter:a": fact(1, 1, why="x" * LONGEST_BODY)}
    assert sound(block) == block


def test_the_longest_body_is_sound_and_one_character_more_isnt() -> None:
    short, long = Fact(0, 0, "x" * 4_096), Fact(0, 0, "x" * 4_097)
    assert sound({"k/open": short, "k/throttle": long, "block/adapter:a": long}) == {
        "k/open": short,
        "block/adapter:a": long,
    }


def test_an_epoch_or_rank_leaves_room_for_a_contradiction() -> None:
    last = 2**62 - 1
    assert sound({"k/open": Fact(last, last, "")})
    assert not sound({"k/open": Fact(last + 1, 0, "")})
    assert not sound({"k/open": Fact(0, last + 1, "")})


def test_what_kinds_are_known_is_by_their_names() -> None:
    one = fact(0, 0)
    known = ["block/adapter:a", "k/open", "k/throttle", "k/latch", "k/lease", "k/want", "k/day/20000"]
    told = dict.fromkeys([*known, "k/other", "blocks", "open"], one)
    assert list(known_kinds(told)) == known


def test_a_body_is_ascii_whatever_it_says() -> None:
    assert fact(0, 0, owner="jörg/gpt", cause="kaputt").body == '{"cause":"kaputt","owner":"j\\u00f6rg/gpt"}'


@pytest.mark.parametrize(("until", "has_it"), [(2_000, False), (2_001, True)])
def test_a_lease_is_believed_up_to_twice_as_long_as_one_lasts(until: int, has_it: bool) -> None:
    held = Fact(7, until, fact(0, 0, owner="a").body)
    given = leased(held, LeaseAsk(NAME, "b", 0, 1_000), 0)
    assert (given is not None) == has_it


def test_a_store_in_memory_says_what_it_is() -> None:
    store = MemoryStore()
    assert (store.kind, store.always, store.now_ms, store.down) == ("memory", False, 0, None)
