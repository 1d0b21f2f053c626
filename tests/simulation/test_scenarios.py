"""The scenarios: one small run of the harness for each promise that can't be bargained over."""

from __future__ import annotations

from benchmarks import scenarios
from benchmarks.simulated.incidents import poisson
from benchmarks.simulated.world import ANSWER, ERROR_503, FAST_FAILURE, Happening, Stage

from failsoft.core.effects import SECOND


def test_arrivals_at_random_have_their_rate_and_repeat() -> None:
    moments = poisson(10, 1_000 * SECOND, 1)
    assert 9_500 < len(moments) < 10_500
    assert moments == sorted(moments) == poisson(10, 1_000 * SECOND, 1)
    assert moments != poisson(10, 1_000 * SECOND, 2)


def test_low_traffic_is_answered_repeats_and_sees_its_outage() -> None:
    one = scenarios.low_traffic()
    assert one == scenarios.low_traffic()
    assert (one["unanswered"], one["late"]) == (0, 0)
    assert one["openings"] >= 1
    assert one["let_in"] < 100


def test_an_outage_tells_what_was_let_in_and_when_it_was_seen() -> None:
    begin, end = 60 * SECOND, 120 * SECOND

    def happens(now: int) -> Happening:
        return (FAST_FAILURE, ERROR_503) if begin <= now < end else (SECOND, ANSWER)

    stage = Stage({"A": happens})
    stage.run(range(0, 240 * SECOND, SECOND // 4))
    told = scenarios.outage(stage, begin, end)
    meanwhile = [moment for moment in stage.sent["A"] if begin <= moment < end]
    assert told["let_in"] == len(meanwhile) < 60
    assert told["let_in_before_opening"] <= told["let_in"]
    assert 0 < told["from_first_request_s"] <= told["time_to_open_s"] < 10
    assert 0 < told["time_to_recover_s"] < 75


def test_one_sick_process_of_twenty_misleads_none_of_the_others() -> None:
    figures = scenarios.one_sick_process(minutes=3)
    assert figures["healthy_without_ai"] == 0
    assert figures["disagreed"] > 0
    assert figures["unanswered"] == 0


def test_one_that_is_sick_from_the_start_holds_the_others_only_until_one_of_them_has_tried() -> None:
    figures = scenarios.one_sick_process(processes=6, since=0)
    assert figures["healthy_without_ai"] < 0.05


def test_of_a_fleet_in_an_outage_one_process_tries_at_a_time() -> None:
    figures = scenarios.fleet_outage(processes=6)
    assert figures["let_in"] - figures["let_in_before_opening"] < 40
    assert figures["time_to_recover_s"] < 75
    assert (figures["unanswered"], figures["late"]) == (0, 0)


def test_a_figure_over_seeds_is_a_median_but_what_must_not_happen_is_summed() -> None:
    runs = iter(
        [
            {"late": 1, "share": 3.0, "never": None},
            {"late": 0, "share": 1.0, "never": None},
            {"late": 2, "share": 2.0, "never": 5},
        ]
    )
    assert scenarios.seeded(lambda seed: next(runs)) == {"late": 3, "share": 2.0, "never": 5}
