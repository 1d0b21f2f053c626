"""What a reply's headers announce of an end is told once, is on record, and changes no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failsoft.core.effects import SECOND, HttpReply
from failsoft.core.evidence import RetirementNotice
from failsoft.ledger.records.draft import draft_of
from tests.core.scripted import Scene, StubLedger
from tests.core.test_call import run

SUNSET = {"model": "m-1", "sunset": "Thu, 14 Jan 2027 00:00:00 GMT", "link": '<https://x.example/end>; rel="sunset"'}


def said(**headers: str) -> HttpReply:
    return HttpReply(200, {"model": "m-1", **headers}, b'{"grade": 7}')


def scene_with() -> Scene:
    scene = Scene(ledger=StubLedger())
    scene.add("first")
    return scene


def notices(scene: Scene) -> list[Any]:
    assert scene.ledger is not None
    return scene.ledger.of(RetirementNotice)


def test_it_is_told_and_recorded_once_and_the_answer_stands() -> None:
    scene = scene_with()
    for _ in range(3):
        assert run(scene, said(**SUNSET)).by_ai
    told = [fields for name, fields in scene.events.events if name == "deprecation.announced"]
    assert told == [
        {
            "adapter": "first",
            "deprecated": None,
            "sunset": "2027-01-14T00:00:00+00:00",
            "text": "",
            "link": "https://x.example/end",
        }
    ]
    (notice,) = notices(scene)
    assert (notice.adapter, notice.model, notice.sunset) == ("first", "m-1", "2027-01-14T00:00:00+00:00")
    draft = draft_of(notice, lambda _: None)
    assert draft.fields == {"adapter": "first", "model": "m-1", "sunset": "2027-01-14T00:00:00+00:00"}
    assert [(path, data) for path, _, data in draft.payloads] == [("notice", b"https://x.example/end")]
    assert "x.example" not in json.dumps(dict(draft.fields))


def test_another_notice_is_told_too_but_at_most_once_an_hour() -> None:
    scene = scene_with()
    scene.clock.now = 7_200 * SECOND
    run(scene, said(deprecation="@1790000000"))
    told = scene.adapters[0].noticed
    on_its_way = told - 7_200 * SECOND
    run(scene, said(deprecation="@1790000001"))
    scene.clock.now = told + 3_600 * SECOND - 1 - on_its_way
    run(scene, said(deprecation="@1790000001"))
    assert len(notices(scene)) == 1
    scene.clock.now = told + 3_600 * SECOND - on_its_way
    run(scene, said(deprecation="@1790000002"))
    assert [each.deprecated for each in notices(scene)] == ["2026-09-21T14:13:20+00:00", "2026-09-21T14:13:22+00:00"]
    assert "deprecated" in draft_of(notices(scene)[0], lambda _: None).fields


@pytest.mark.parametrize(
    "headers", [{}, {"sunset": "soon"}, {"x-api-warning": "your card expires"}, {"deprecation": ""}]
)
def test_what_announces_nothing_is_not_told(headers: dict[str, str]) -> None:
    scene = scene_with()
    assert run(scene, said(**headers)).by_ai
    assert "deprecation.announced" not in scene.events.names
    assert notices(scene) == []


def test_an_error_may_announce_it_as_well_and_no_ledger_is_needed() -> None:
    scene = Scene()
    scene.add("first", attempts=1)
    headers = {"x-api-warning": "model m-1 is deprecated"}
    assert run(scene, HttpReply(400, headers, b"")).degraded
    assert [f["text"] for n, f in scene.events.events if n == "deprecation.announced"] == ["model m-1 is deprecated"]
    scene.clock.now += 7_200 * SECOND
    assert run(scene, said(**SUNSET)).by_ai


def test_a_link_that_is_no_text_is_recorded_as_well_as_it_can_be() -> None:
    scene = scene_with()
    link = '<https://x.example/\udcff>; rel="sunset"'
    assert run(scene, said(deprecation="true", link=link)).by_ai
    assert [each.text for each in notices(scene)] == [b"https://x.example/?"]
