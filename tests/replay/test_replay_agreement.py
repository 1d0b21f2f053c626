"""Recorded questions put again: what's compared, how it's counted, and how sure a share is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.replay.shop import asked, erase, made, tampering

from failsoft import FallbackFailed
from failsoft.ledger.read import read
from failsoft.replay.agreement import Agreement, Compared, Given, Question, Tally, Unasked, put, question, wilson
from failsoft.testing import faults


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def question_of(place: Path, call_id: str) -> Any:
    with read(place) as reader:
        return question(reader, call_id)


class TestQuestions:
    def test_are_a_request_and_what_its_caller_got(self, place: Path) -> None:
        found = question_of(place, asked(place).call_id)
        assert (found.request, found.response) == (b'{"name":"bolt"}', b'{"stars":3}')
        assert found.call.case == ("T-17", None, None)
        assert "bolt" not in repr(found)
        assert "stars" not in repr(found)
        assert "stars" not in repr(Given("new", b'{"stars":3}'))

    def test_also_of_a_fallbacks_answer(self, place: Path) -> None:
        assert question_of(place, asked(place, faults.SERVER_ERROR).call_id).response == b'{"stars":0}'

    @pytest.mark.parametrize(
        ("path", "why"),
        [("request", "its request isn't kept"), ("response", "its answer isn't kept")],
    )
    def test_that_were_erased_arent_put(self, path: str, why: str, place: Path) -> None:
        call_id = asked(place).call_id
        erase(place, call_id, path)
        found = question_of(place, call_id)
        assert isinstance(found, Unasked)
        assert found.reason == f"{why}: it was erased, or never recorded"

    def test_of_which_something_was_taken_out_arent_put(self, place: Path) -> None:
        call_id = asked(place, name="AKIA" + "IOSFODNN7EXAMPLE").call_id
        with read(place) as reader:
            found = question(reader, call_id)
        assert isinstance(found, Unasked)
        assert found.reason.startswith("what looked like a credential was taken out")

    def test_whose_answer_was_never_recorded_arent_put(self, place: Path) -> None:
        from tests.replay.test_replay_hostile import wrote

        wrote(place, end={"source": {"kind": "fallback", "name": "x"}})
        assert question_of(place, "c1").reason == "its answer isn't kept: it was erased, or never recorded"

    def test_of_a_call_that_nobody_answered_arent_put(self, place: Path) -> None:
        broken = made(fallback=lambda self, request: 1 // 0)
        with pytest.raises(FallbackFailed):
            asked(place, faults.SERVER_ERROR, capability=broken)
        with read(place) as reader:
            (start,) = reader.records("call.started")
            found = question(reader, str(start.call_id))
        assert found == Unasked(str(start.call_id), "nobody was given an answer, so there's none to compare with")

    def test_of_a_damaged_record_arent_put(self, place: Path) -> None:
        call_id = asked(place).call_id
        with tampering(place) as connection:
            connection.execute("UPDATE ledger_record SET leaf = zeroblob(32) WHERE type = 'call.completed'")
        assert question_of(place, call_id).reason.startswith("record 4 isn't what it was when it was written")


def ask(place: Path, **given: Any) -> Compared:
    found = question_of(place, asked(place).call_id)
    (only,) = put([found], lambda _: Given("new", **given))
    return only


class TestAnswers:
    @pytest.mark.parametrize(
        ("response", "result", "at"),
        [
            (b'{"stars":3}', Agreement.AGREES, ()),
            (b'{ "stars": 3 }', Agreement.AGREES, ()),
            (b'{"stars":3,"b":1,"a":2}', Agreement.DISAGREES, ("a", "b")),
            (b'{"stars":4}', Agreement.DISAGREES, ("stars",)),
            (b'{"stars":true}', Agreement.DISAGREES, ("stars",)),
            (b'{"stars":3,"why":"x"}', Agreement.DISAGREES, ("why",)),
            (b"3", Agreement.DISAGREES, ()),
            (b"[" * 100_000, Agreement.DISAGREES, ()),
            (b'{"stars":', Agreement.DISAGREES, ()),
        ],
    )
    def test_agree_if_they_are_the_same_value(
        self, response: bytes, result: Agreement, at: tuple[str, ...], place: Path
    ) -> None:
        found = ask(place, response=response)
        assert (found.result, found.at) == (result, at)
        assert (found.new_call_id, found.recorded) == ("new", '{"stars":3}')

    def test_agree_whatever_the_order_of_their_fields(self, place: Path) -> None:
        found = question_of(place, asked(place).call_id)
        both = evolve(found, response=b'{"a":{"c":1,"b":2},"d":3}')
        (only,) = put([both], lambda _: Given("new", b'{"d":3,"a":{"b":2,"c":1}}'))
        assert only.result is Agreement.AGREES

    def test_true_isnt_one(self, place: Path) -> None:
        found = question_of(place, asked(place).call_id)
        one = evolve(found, response=b'{"stars":1}')
        (only,) = put([one], lambda _: Given("new", b'{"stars":true}'))
        assert only.result is Agreement.DISAGREES

    def test_that_dont_come(self, place: Path) -> None:
        found = ask(place, reason="gpt: server_error")
        assert (found.result, found.now, found.reason) == (Agreement.NO_ANSWER, None, "gpt: server_error")
        assert ask(place, reason="x", asked=False).result is Agreement.NOT_ASKED

    def test_of_questions_that_cant_be_put_nobody_is_asked(self) -> None:
        def never(asked: Question) -> Given:
            raise AssertionError(asked)

        (only,) = put([Unasked("c1", "it's gone")], never)
        assert (only.call_id, only.result, only.reason) == ("c1", Agreement.NOT_ASKED, "it's gone")


def tally(**counts: int) -> Tally:
    found = Tally()
    for name, count in counts.items():
        result = Agreement[name.upper()]
        for _ in range(count):
            found.add(Compared("c", result, at=("stars",) if result is Agreement.DISAGREES else ()))
    return found


class TestTheWhole:
    @pytest.mark.parametrize(
        ("counts", "code"),
        [
            ({"agrees": 3}, 0),
            ({"agrees": 3, "disagrees": 1}, 1),
            ({"disagrees": 1, "no_answer": 1}, 1),
            ({"agrees": 3, "no_answer": 1}, 2),
            ({"agrees": 3, "not_asked": 1}, 2),
            ({"not_asked": 1}, 2),
            ({}, 2),
        ],
    )
    def test_has_an_exit_code(self, counts: dict[str, int], code: int) -> None:
        assert tally(**counts).exit_code == code

    def test_is_told_to_programs(self) -> None:
        found = dict(tally(agrees=3, disagrees=1, no_answer=2).document())
        low, high = found.pop("low"), found.pop("high")
        assert found == {
            "agrees": 3,
            "disagrees": 1,
            "no_answer": 2,
            "not_asked": 0,
            "share": 0.75,
            "fields_that_differ": {"stars": 1},
        }
        assert (low, high) == wilson(3, 4)
        assert tally().document()["share"] is None

    @pytest.mark.parametrize(
        ("hits", "of", "low", "high"),
        [  # Newcombe 1998, table I: method 3
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ],
    )
    def test_wilsons_interval_is_the_published_one(self, hits: int, of: int, low: float, high: float) -> None:
        found = wilson(hits, of)
        assert [round(each, 4) for each in found] == [low, high]
        mirrored = wilson(of - hits, of)
        assert math.isclose(mirrored[0], 1 - found[1], abs_tol=1e-12)
        assert math.isclose(mirrored[1], 1 - found[0], abs_tol=1e-12)

    def test_of_no_answers_everything_is_possible(self) -> None:
        assert wilson(0, 0) == (0.0, 1.0)
        assert wilson(7, 7)[1] == 1.0
        assert wilson(0, 7)[0] == 0.0
