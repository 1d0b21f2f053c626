"""What has changed since a call, on a bundle's page: also that it's as it was then again, and never without end."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from signing import attack
from tests.bundled import CASE, PIN, SERVED, Office, artifacts, bundle, sha, unzipped
from tests.bundled import said as payload
from tests.logs import JSON, attempt
from tests.reported import page_of, sheet_of

from failsoft.ledger.bundles import concerned
from failsoft.ledger.bundles.selection import Selection, Wanted, select
from failsoft.ledger.bundles.sheet import BEYOND
from failsoft.ledger.bundles.since import changes_of
from failsoft.ledger.bundles.told import calls_of
from failsoft.ledger.read import read
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind

ONE = Wanted(calls=("c1",))
THEN, OTHER = "m-1-2026", "m-2-2027"
OTHERWISE = "gpt is asked for another model from here on: "
AGAIN = f"gpt is asked for the model of then again: {THEN}"


@pytest.fixture
def log(tmp_path: Path) -> Office:
    """A call under the first model."""
    made = Office(tmp_path / "x.db")
    made.configure()
    made.call("c1", 2, "1", "2")
    return made


def selected(log: Office, *calls: str) -> Selection:
    log.publish()
    with read(log.path) as reader:
        return select(reader, Wanted(calls=calls))


def told(log: Office, *calls: str) -> list[tuple[list[str], int]]:
    """Of each call: what has changed since, as (seconds after 14:00, sentence), and how often besides."""
    found = [changes_of(each) for each in calls_of(selected(log, *(calls or ("c1",))))]
    return [([f"{_seconds(when)} {what}" for when, what in each.lines], each.more) for each in found]


def _seconds(when: str) -> int:
    minutes, seconds = when[14:16], when[17:19]
    return int(minutes) * 60 + int(seconds)


def processes(log: Office, models: Sequence[tuple[int, str]]) -> None:
    """Each in its time started by a process of its own."""
    for second, model in models:
        log.first = log.log.process(second, second)
        log.configure(model, second)


def test_a_model_that_is_back_is_told(log: Office) -> None:
    log.configure(OTHER, 100)
    log.configure(THEN, 200)
    assert told(log) == [([f"100 {OTHERWISE}{OTHER}", f"200 {AGAIN}"], 0)]
    said = sheet_of(page_of(log, ONE))
    assert f"{AGAIN} What this page doesn't prove" in said


def test_the_same_again_by_another_process_is_no_change(log: Office) -> None:
    processes(log, [(100, THEN), (200, OTHER), (300, OTHER), (400, OTHER)])
    assert told(log) == [([f"200 {OTHERWISE}{OTHER}"], 0)]


def test_a_process_that_was_otherwise_before_the_call_and_stays_so_is_no_change(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    log.configure()
    own = log.first
    log.first = beside = log.log.process(7, 1)
    log.configure(OTHER, 1)
    log.first, digest = own, log.first.digest
    log.configure(THEN, 1)
    log.call("c1", 2, "1", "2")
    log.first, beside.digest = beside, digest
    log.configure(OTHER, 100)
    assert told(log) == [([], 0)]
    log.configure(THEN, 150)
    assert told(log) == [([], 0)]
    log.first = log.log.process(8, 190)
    log.configure(OTHER, 200)
    assert told(log) == [([f"200 {OTHERWISE}{OTHER}"], 0)]


def test_two_that_take_turns_without_end_are_told_with_the_first_and_the_last_time(log: Office) -> None:
    processes(log, [(second, (THEN, OTHER)[second % 2]) for second in range(101, 400)])
    lines = [f"101 {OTHERWISE}{OTHER}", f"102 {AGAIN}", f"398 {AGAIN}", f"399 {OTHERWISE}{OTHER}"]
    assert told(log) == [(lines, 295)]
    log.call("c2", 450, "1", "2")
    said = sheet_of(page_of(log, Wanted(calls=("c1", "c2"))))
    assert "Besides, this changed 295 times more, to what is on record in this copy already." in said
    assert "299 changes, latest 2026-11-23" in said
    assert "Where several programs of the application run side by side, what is told of a model" in said


def test_where_it_ended_is_told_however_often_it_turned(log: Office) -> None:
    processes(log, [(second, (THEN, OTHER)[second % 2]) for second in range(101, 105)])
    first = [f"101 {OTHERWISE}{OTHER}", f"102 {AGAIN}"]
    assert told(log) == [([*first, f"103 {OTHERWISE}{OTHER}", f"104 {AGAIN}"], 0)]
    processes(log, [(105, OTHER)])
    assert told(log) == [([*first, f"104 {AGAIN}", f"105 {OTHERWISE}{OTHER}"], 1)]


def test_one_change_more_is_told_as_one(log: Office) -> None:
    processes(log, [(101, OTHER), (102, THEN), (103, OTHER), (104, "m-3"), (105, OTHER)])
    assert told(log)[0][1] == 1
    assert "Besides, this changed once more, to" in sheet_of(page_of(log, ONE))


def test_where_it_ended_after_a_call_is_told_though_it_ended_so_before_it(log: Office) -> None:
    log.configure(OTHER, 10)
    log.call("c2", 20, "1", "2", tried=(attempt(pin={"model": OTHER, "served": [OTHER]}),))
    log.configure(THEN, 30)
    log.configure(OTHER, 40)
    log.configure(THEN, 50)
    log.call("c3", 60, "1", "2", tried=(attempt(pin=PIN),))
    log.configure(OTHER, 70)
    log.configure(THEN, 80)
    log.configure(OTHER, 90)
    lines = [f"70 {OTHERWISE}{OTHER}", f"80 {AGAIN}", f"90 {OTHERWISE}{OTHER}"]
    assert told(log, "c1", "c2", "c3")[-1] == (lines, 0)


def test_where_it_ended_for_a_call_is_told_though_another_one_began_so(log: Office) -> None:
    """A process that was set up earlier made that one."""
    processes(log, [(13, OTHER)])
    earlier = log.first
    processes(log, [(17, THEN)])
    log.first = earlier
    log.call("c2", 21, "1", "2", tried=(attempt(pin={"model": OTHER, "served": [OTHER]}),))
    processes(log, [(29, OTHER), (31, OTHER)])
    lines = [f"13 {OTHERWISE}{OTHER}", f"17 {AGAIN}", f"29 {OTHERWISE}{OTHER}"]
    assert told(log, "c1", "c2") == [(lines, 0), ([], 0)]
    assert told(log, "c1") == [(lines, 0)]


def test_the_same_again_by_a_process_that_had_it_hides_no_change_by_another_one(log: Office) -> None:
    earlier = log.first
    processes(log, [(10, OTHER)])
    log.first = earlier
    log.configure(THEN, 20)  # as it had it: no change, and nothing is told
    processes(log, [(30, THEN)])
    assert told(log) == [([f"10 {OTHERWISE}{OTHER}", f"30 {AGAIN}"], 0)]


def test_what_another_call_asked_is_no_change_of_this_one(log: Office) -> None:
    def asking(second: int, model: str) -> None:
        log.first = log.log.process(second, second)
        pin = {"model": model, "served": [model]}
        fields = {
            "config_sha256": sha(model),
            "adapters": [{"name": "claude", "adapter_version": "1", "pin": pin}],
        }
        log.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), artifacts(model)), second)
        log.first.digest = sha(model)

    asking(5, "k-1")
    log.call("c2", 6, "1", "2", tried=(attempt("claude", pin={"model": "k-1", "served": ["k-1"]}),))
    for second in range(10, 40, 10):
        asking(second, "k-2")
        asking(second + 5, "k-1")
    assert told(log, "c1", "c2")[0] == ([], 0)


def test_each_call_is_told_of_what_came_after_it(log: Office) -> None:
    log.configure(OTHER, 10)
    log.call("c2", 20, "1", "2", tried=(attempt(pin={"model": OTHER, "served": [OTHER]}),))
    log.configure(THEN, 30)
    log.call("c3", 40, "1", "2")
    log.configure(OTHER, 50)
    log.configure(THEN, 60)
    other, then = f"{OTHERWISE}{OTHER}", f"{OTHERWISE}{THEN}"
    again = f"gpt is asked for the model of then again: {OTHER}"
    assert told(log, "c1", "c2", "c3") == [
        ([f"10 {other}", f"30 {AGAIN}", f"50 {other}", f"60 {AGAIN}"], 0),
        ([f"30 {then}", f"50 {again}", f"60 {then}"], 0),
        ([f"50 {other}", f"60 {AGAIN}"], 0),
    ]


def test_what_only_one_of_the_calls_had_otherwise_is_taken_for_that_one(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    own = log.first
    log.first = beside = log.log.process(7, 0)
    log.configure(OTHER, 1)
    log.first = own
    log.configure(THEN, 1)
    log.call("c1", 2, "1", "2")
    log.first = beside
    log.call("c2", 3, "1", "2", tried=(attempt(pin={"model": OTHER, "served": [OTHER]}),))
    processes(log, [(100, OTHER), (200, OTHER)])
    assert told(log, "c1", "c2") == [([f"100 {OTHERWISE}{OTHER}"], 0), ([], 0)]


def test_what_is_taken_has_a_limit_and_the_last_is(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concerned, "MOST", 3)
    for number in range(2, 12):
        log.configure(OTHER, number * 10)
        log.configure(THEN, number * 10 + 5)
        log.call(f"c{number}", number * 10 + 6, "1", "2")
    log.configure("m-3", 200)
    log.configure(THEN, 210)
    calls = [f"c{number}" for number in range(1, 12)]
    selection = selected(log, *calls)
    assert len(selection.untaken) == 15
    new = f"200 {OTHERWISE}m-3"
    lines = [f"20 {OTHERWISE}{OTHER}", f"25 {AGAIN}", f"40 {OTHERWISE}{OTHER}", new, f"210 {AGAIN}"]
    assert (told(log, *calls)[0], told(log, *calls)[-1]) == ((lines, 2), ([new, f"210 {AGAIN}"], 0))
    assert [changes_of(each).beyond for each in calls_of(selection)] == [15, 15, 15, *range(14, -1, -2)]
    said = sheet_of(page_of(log, Wanted(calls=tuple(calls))))
    assert [said.count(BEYOND.format(count=count)) for count in (15, 14, 2, 0)] == [3, 1, 1, 0]
    assert "at least 7 changes, latest 2026-11-23" in said


def test_where_all_that_changed_is_too_much_that_is_told(log: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concerned, "MOST", 0)
    log.configure(OTHER, 10)
    log.configure(THEN, 20)
    log.call("c2", 30, "1", "2")
    both = Wanted(calls=("c1", "c2"))
    assert told(log, "c1", "c2") == [([], 0), ([], 0)]
    said = sheet_of(page_of(log, both))
    assert said.count(BEYOND.format(count=1)) == 1
    assert said.count("too much to be in this copy") == 1
    assert said.count("Nothing about what was asked is on record after it") == 1


def test_what_starts_beside_is_no_change(tmp_path: Path) -> None:
    """Two programs, each with a capability and a connection of its own, are started in turns."""
    log = Office(tmp_path / "x.db")

    def started(second: float, name: str, model: str) -> None:
        log.first = log.log.process(int(second), second)
        log.first.digest = sha(f"{name} {model}")
        fields = {
            "config_sha256": log.first.digest,
            "capabilities": [{"name": name, "version": "1"}],
            "adapters": [{"name": f"of {name}", "adapter_version": "1", "pin": {"model": model, "served": [model]}}],
        }
        log.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), artifacts(f"{name} {model}")), second)

    for number, name in enumerate(("a", "b"), 1):
        started(number, name, "m-1")
        tried = attempt(f"of {name}", pin={"model": "m-1", "served": ["m-1"]})
        log.call(f"c{number}", number + 0.1, "1", "2", tried=(tried,), capability={"name": name, "version": "1"})
    for second in range(10, 60, 2):
        started(second, "a", "m-1")
        started(second + 1, "b", "m-1")
    assert selected(log, "c1", "c2").later == ()
    started(70, "b", "m-2")
    lines = [
        "70 of b is asked for another model from here on: m-2",
        "70 the application has other settings from here on",
    ]
    assert told(log, "c1", "c2") == [([], 0), (lines, 0)]


def test_settings_that_came_with_another_lock_have_no_time_of_their_own(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    log.first.digest = sha("0")
    configured(log, 1, "0", "a")
    log.call("c1", 2, "1", "2")
    configured(log, 10, "1", "b")
    log.first = log.log.process(7, 20)
    configured(log, 20, "2", "b")
    log.first = log.log.process(8, 30)
    configured(log, 30, "1", "b")
    log.first = log.log.process(9, 50)
    configured(log, 50, "1", "b")
    of_lock = "10 the application is held to another state of its code and prompts from here on"
    settings = "the application has other settings from here on"
    assert told(log) == [([of_lock, f"20 {settings}", f"30 {settings}"], 0)]
    log = Office(tmp_path / "y.db")
    log.first.digest = sha("0")
    configured(log, 1, "0", "a")
    log.call("c1", 2, "1", "2")
    configured(log, 10, "1", "b")
    log.call("c2", 11, "1", "2", tried=())
    log.first = log.log.process(7, 50)
    configured(log, 50, "1", "b")
    assert told(log, "c1", "c2")[0] == ([of_lock], 0)


def configured(log: Office, second: float, settings: str, lock: str, version: str = "1", form: str = "d") -> None:
    capability = {"name": "rate-alternative", "version": version, "digest": sha(form)}
    fields = {"config_sha256": sha(settings), "lock_sha256": sha(lock), "capabilities": [capability]}
    log.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), artifacts(settings, lock, form)), second)


def test_capability_lock_and_settings_that_are_back_are_told(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    log.first.digest = sha("0")
    configured(log, 1, "0", "a")
    log.call("c1", 2, "1", "2")
    configured(log, 10, "1", "a", version="2", form="e")
    configured(log, 20, "0", "a")
    configured(log, 30, "1", "b")
    configured(log, 35, "2", "b")
    configured(log, 40, "1", "a")
    configured(log, 50, "0", "b")
    configured(log, 60, "0", "a")
    of_lock, settings = "the application is held to", "the application has"
    (found,) = told(log)
    assert found == (
        [
            "10 “rate-alternative” has another version from here on: 2",
            "10 what “rate-alternative” may answer has another form from here on",
            f"10 {settings} other settings from here on",
            "20 “rate-alternative” has the version of then again: 1",
            "20 what “rate-alternative” may answer has the form of then again",
            f"20 {settings} the settings of then again",
            f"30 {of_lock} another state of its code and prompts from here on",
            f"35 {settings} other settings from here on",
            f"40 {of_lock} the state of its code and prompts of then again",
            f"40 {settings} other settings from here on",
            f"50 {of_lock} another state of its code and prompts from here on",
            f"50 {settings} the settings of then again",
            f"60 {of_lock} the state of its code and prompts of then again",
        ],
        0,
    )


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_as_it_was_at_the_call_is_not_taken(tmp_path: Path, whole: bool) -> None:
    log = Office(tmp_path / "x.db")
    settings = {
        model: {
            "config_sha256": sha(digest),
            "capabilities": [{"name": "rate-alternative", "version": "1"}],
            "adapters": [{"name": "gpt", "adapter_version": "1", "pin": {"model": model, "served": [model]}}],
        }
        for model, digest in ((THEN, "0"), (OTHER, "1"))
    }
    bare = {key: value for key, value in settings[THEN].items() if whole or key == "config_sha256"}
    log.first.digest = sha("0")
    log.first.say(Draft(Kind.CONFIG_ACTIVATED, bare, (), artifacts("0")), 1)
    log.log.process(7, 1).tell(Kind.CONFIG_ACTIVATED, 1, **settings[OTHER])
    log.call("c1", 2, "1", "2")
    process = log.log.process(8, 90)
    adapters = {key: value for key, value in settings[THEN].items() if whole or key != "capabilities"}
    process.tell(Kind.CONFIG_ACTIVATED, 100, **adapters)
    assert selected(log, "c1").later == ()
    assert told(log) == [([], 0)]


def test_an_erasure_of_what_a_person_said_or_of_an_answer_that_was_withdrawn_is_told(log: Office) -> None:
    done = log.call("c2", 3, "1", '"AI"')
    named = {"call_id": "c2", "capability": {"name": "rate-alternative"}, "case": {"id": "T"}, "us": 1}
    ended = {**named, "outcome": "answered", "degraded": True, "source": {"kind": "fallback", "name": "x"}}
    log.first.tell(Kind.CALL_AMENDED, 4, **ended, refs={"completed": done.leaf.hex()})
    said = log.person(Kind.REVIEW_RECORDED, done, 5, "accepted", "why")
    for number, digest in enumerate((done.payloads[0][0].hex(), said.payloads[0][0].hex(), "0" * 64)):
        log.first.tell(Kind.PAYLOAD_ERASED, 10 + number, digests=[digest], person="e.f", basis=f"b{number}")
        attack(log.path, f"DELETE FROM ledger_payload WHERE digest = x'{digest}'")
    erased = "e.f had what was asked and answered erased: b"
    assert told(log, "c2") == [([f"10 {erased}0", f"11 {erased}1"], 0)]


def test_of_a_call_without_an_end_what_changed_of_its_plan_is_told(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    log.configure()
    opening = {"call_id": "c1", "capability": {"name": "rate"}, "case": CASE, "route": ["gpt", "local"]}
    fields = {**opening, "config_sha256": log.first.digest, "deadline_ms": 1}
    started = log.first.say(Draft(Kind.CALL_STARTED, fields, (payload("request", "1"),)), 2)
    log.first.tell(Kind.CALL_ORPHANED, 3, call_id="c1", case=CASE, refs={"started": started.leaf.hex()})
    log.first.tell(Kind.DRIFT_DETECTED, 9, adapter="local")
    log.first.tell(Kind.DRIFT_DETECTED, 9, adapter="another")
    log.configure(OTHER, 10)
    local = {"name": "local", "adapter_version": "1", "pin": PIN}
    log.first.tell(Kind.CONFIG_ACTIVATED, 20, config_sha256="1" * 64, adapters=[local])
    assert told(log) == [
        (["9 local: its answers were found to have changed", f"10 {OTHERWISE}{OTHER}"], 0),
    ]


def test_a_plan_says_nothing_of_a_call_that_says_whom_it_asked(log: Office) -> None:
    started = log.first.start("c9", 5, ("gpt", "local"))
    log.first.end("c9", 6, started, attempt(pin=PIN, served=SERVED))
    log.first.tell(Kind.CASE_EVENT, 8, case={"id": "another"}, event="e", date="2026-11-01", person="p", why="w")
    log.first.tell(Kind.DRIFT_DETECTED, 9, adapter="local")
    assert told(log, "c9") == [([], 0)]
    files = unzipped(bundle(log.path, Wanted(calls=("c9",))).data)
    assert not [name for name in files if name.startswith("records/") and b"drift.detected" in files[name]]


def test_a_block_of_another_kind_of_the_same_name_is_not_about_it(log: Office) -> None:
    for subject in ("capability:gpt", "adapter:rate-alternative", "other:gpt", "other:rate-alternative", "gpt"):
        log.first.tell(Kind.BLOCK_CHANGED, 9, subject=subject, blocked=True, actor={"id": "x"}, why="y")
    assert re.search("Nothing about what was asked is on record after it", sheet_of(page_of(log, ONE)))
    assert len(selected_files(log)) == 6


def selected_files(log: Office) -> list[str]:
    return [name for name in unzipped(bundle(log.path, ONE).data) if name.startswith("records/")]


# --- what isn't the application's own ---------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["acts", "trial"])
def test_what_a_review_or_a_trial_is_entered_with_changes_nothing(log: Office, purpose: str) -> None:
    fields = {"config_sha256": sha("z"), "adapters": [{"name": "gpt", "adapter_version": "1", "pin": {"model": OTHER}}]}
    log.first = log.log.process(20, 20)
    log.first.tell(Kind.CONFIG_ACTIVATED, 21, **fields, purpose=purpose)
    assert told(log) == [([], 0)]
    log.first.tell(Kind.CONFIG_ACTIVATED, 22, **fields)
    assert told(log) == [([f"22 {OTHERWISE}{OTHER}"], 0)]


def test_a_configuration_for_something_else_is_not_the_one_that_a_call_of_another_process_began_under(
    tmp_path: Path,
) -> None:
    log = Office(tmp_path / "x.db")
    log.configure()
    other = log.log.process(2, 2)
    fields = {"config_sha256": log.first.digest, "purpose": "acts"}
    other.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), artifacts("m-1-2026")), 3)
    caller = log.log.process(4, 4)
    caller.digest, log.first = log.first.digest, caller
    log.call("c1", 5, "1", "2")
    assert [each.index for each in selected(log, "c1").in_force.values()] == [2]


def application(log: Office, second: int, capability: str, model: str, lock: bytes | None = None) -> None:
    """Another process of an application with this one capability, and an adapter of the same name as others."""
    log.first = log.log.process(second, second)
    fields: dict[str, Any] = {
        "config_sha256": sha(f"{capability} {model}"),
        "capabilities": [{"name": capability, "version": "1"}],
        "adapters": [{"name": "gpt", "adapter_version": "1", "pin": {"model": model, "served": [model]}}],
    }
    log.first.digest = fields["config_sha256"]
    held = artifacts(f"{capability} {model}")
    if lock is not None:
        fields["lock_sha256"] = sha256(lock).hexdigest()
        held = (*held, (JSON, lock))
    log.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), held), second)


def test_what_changes_in_another_application_of_the_same_ledger_is_told_as_that(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    application(log, 1, "rate-alternative", "m-1")
    log.call("c1", 2, "1", "2", tried=(attempt(pin={"model": "m-1", "served": ["m-1"]}),))
    block: dict[str, Any] = {"subject": "adapter:gpt", "blocked": True, "actor": {"id": "eve"}, "why": "w"}
    application(log, 10, "summarise", "m-2")
    log.first.tell(Kind.BLOCK_CHANGED, 11, **block)
    log.first.tell(Kind.MODEL_IDENTITY_CHANGED, 12, adapter="gpt")
    by = "(put on record by a program that doesn't have “rate-alternative”)"
    lines = [
        "10 a program that doesn't have “rate-alternative” asks gpt for another model: m-2",
        f"11 eve switched gpt off: w {by}",
        f"12 gpt: another model than before was seen to answer {by}",
    ]
    assert told(log) == [(lines, 0)]
    application(log, 20, "rate-alternative", "m-1")
    log.first.tell(Kind.BLOCK_CHANGED, 21, **block)
    application(log, 30, "summarise", "m-2")
    application(log, 40, "summarise", "m-1")
    lines += [
        "21 eve switched gpt off: w",
        "40 a program that doesn't have “rate-alternative” asks gpt for the model of then: m-1",
    ]
    assert told(log) == [(lines, 0)]


def test_a_trial_of_an_adapter_is_of_no_application(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    application(log, 1, "rate-alternative", "m-1")
    log.call("c1", 2, "1", "2", tried=(attempt(pin={"model": "m-1", "served": ["m-1"]}),))
    log.first = log.log.process(10, 10)
    fields = {"config_sha256": sha("t"), "capabilities": [{"name": "failsoft-lock-question"}], "purpose": "trial"}
    log.first.tell(Kind.CONFIG_ACTIVATED, 10, **fields)
    log.first.tell(Kind.MODEL_IDENTITY_CHANGED, 12, adapter="gpt")
    assert told(log) == [(["12 gpt: another model than before was seen to answer"], 0)]


def test_another_applications_lock_is_none_of_this_ones(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    locks = {
        name: json.dumps({"capabilities": {capability: {}}, "n": name}).encode()
        for name, capability in (
            ("own", "rate-alternative"),
            ("next", "renamed"),
            ("again", "rate-alternative"),
            ("theirs", "s"),
        )
    }
    locks |= {"odd": b"[]", "bare": b"{}"}
    digests = {name: sha256(each).hexdigest() for name, each in locks.items()}
    application(log, 1, "rate-alternative", "m-1", locks["own"])
    log.call("c1", 2, "1", "2", tried=(attempt(pin={"model": "m-1", "served": ["m-1"]}),))

    def wrote(second: int, name: str, former: str | None) -> None:
        fields = {"lock_sha256": digests[name], "person": "p", "why": name}
        fields |= {} if former is None else {"former_sha256": digests[former]}
        log.first.say(Draft(Kind.LOCK_CHANGED, fields, (), ((JSON, locks[name]),)), second)

    wrote(10, "theirs", None)
    wrote(11, "theirs", "theirs")
    wrote(12, "next", "own")
    wrote(13, "theirs", "next")
    wrote(14, "again", None)
    wrote(15, "odd", None)
    wrote(16, "bare", None)
    said = "p wrote down other prompts, models or rules to be in force: "
    lines = [
        *(
            f"{second} {said}{name}"
            for second, name in ((12, "next"), (13, "theirs"), (14, "again"), (15, "odd"), (16, "bare"))
        )
    ]
    assert told(log) == [(lines, 0)]


def test_of_two_applications_calls_in_one_bundle_each_has_the_lock_that_followed_its_own(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    locks = {name: json.dumps({"capabilities": {name[0]: {}}, "n": name}).encode() for name in ("a1", "b1", "a2", "b2")}
    for second, name in ((1, "a"), (3, "b")):
        application(log, second, name, "m-1", locks[f"{name}1"])
        tried = attempt(pin={"model": "m-1", "served": ["m-1"]})
        log.call(f"c{name}", second + 1, "1", "2", tried=(tried,), capability={"name": name, "version": "1"})
    for second, name in ((10, "a2"), (11, "b2")):
        fields = {"lock_sha256": sha256(locks[name]).hexdigest(), "person": "p", "why": name}
        log.first.say(Draft(Kind.LOCK_CHANGED, fields, (), ((JSON, locks[name]),)), second)
    said = "p wrote down other prompts, models or rules to be in force: "
    assert told(log, "ca", "cb") == [([f"10 {said}a2"], 0), ([f"11 {said}b2"], 0)]


# --- records that waited for the database -----------------------------------------------------------------------------


def under(log: Office, policy: str, second: int, model: str) -> None:
    """How the process is set up."""
    snapshot = json.dumps({"adapters": {}, "on_ledger_failure": policy}).encode()
    fields: dict[str, Any] = {
        "config_sha256": sha256(snapshot).hexdigest(),
        "adapters": [{"name": "gpt", "adapter_version": "1", "pin": {"model": model, "served": [model]}}],
    }
    log.first.digest = fields["config_sha256"]
    log.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), ((JSON, snapshot),)), second)


@pytest.mark.parametrize(("policy", "said"), [("spool", True), ("fallback", False)])
def test_what_came_while_a_call_waited_for_the_database_is_told_though_it_stands_before_it(
    tmp_path: Path, policy: str, *, said: bool
) -> None:
    log = Office(tmp_path / "x.db")
    under(log, policy, 1, "m-1")
    cut_off = log.first
    log.first = log.log.process(5, 5)
    under(log, policy, 6, "m-1")
    log.first.tell(Kind.BLOCK_CHANGED, 9, subject="adapter:gpt", blocked=True, actor={"id": "ann"}, why="before")
    under(log, policy, 12, "m-2")
    log.first.tell(
        Kind.BLOCK_CHANGED, 13, subject="adapter:gpt", blocked=True, actor={"id": "eve"}, why="wrong answers"
    )
    log.first.tell(Kind.LOCK_CHANGED, 14, lock_sha256=sha("l"), person="p", why="w")
    log.first = cut_off
    log.call("c1", 10, "1", "2", tried=(attempt(pin={"model": "m-1", "served": ["m-1"]}),))
    lines = [f"12 {OTHERWISE}m-2", "13 eve switched gpt off: wrong answers"] if said else []
    assert told(log) == [(lines, 0)]
    log.first = log.log.process(20, 20)
    under(log, policy, 21, "m-2")  # as is known already, where what came meanwhile counts
    later = f"21 {OTHERWISE}m-2"
    assert told(log) == [(lines if said else [later], 0)]
    assert len(selected(log, "c1").later) == (2 if said else 1)


def test_of_hosts_whose_clocks_differ_none_hides_what_comes_later(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")

    def configured(second: int, model: str) -> None:
        log.first = log.log.process(second, second)
        under(log, "spool", second, model)

    configured(1, "m-1")
    asking = log.first
    configured(25, "m-1")  # by a clock that's ahead
    configured(8, "m-2")
    log.first = asking
    log.call("c1", 10, "1", "2", tried=(attempt(pin={"model": "m-1", "served": ["m-1"]}),))
    configured(30, "m-2")
    assert told(log) == [([f"30 {OTHERWISE}m-2"], 0)]
    log.first = asking
    log.call("c2", 35, "1", "2", tried=(attempt(pin={"model": "m-1", "served": ["m-1"]}),))
    configured(40, "m-3")
    assert told(log, "c2") == [([f"40 {OTHERWISE}m-3"], 0)]


def test_the_latest_change_is_so_by_time(tmp_path: Path) -> None:
    log = Office(tmp_path / "x.db")
    log.configure()
    log.call("c1", 2, "1", "2")
    log.call("c2", 3, "1", "2")
    for second in (86_500, 100):
        log.first.tell(Kind.BLOCK_CHANGED, second, subject="adapter:gpt", blocked=1, actor={"id": "x"}, why="y")
    assert "2 changes, latest 2026-11-24" in sheet_of(page_of(log, Wanted(calls=("c1", "c2"))))


def test_odd_configurations_and_blocks_are_told_as_far_as_they_say_something(log: Office) -> None:
    odd: dict[str, Any] = {"capabilities": [{"version": "2"}], "adapters": [{"adapter_version": "1"}, {"name": "gpt"}]}
    log.first.tell(Kind.CONFIG_ACTIVATED, 10, config_sha256=sha("o"), **odd)
    log.first.tell(Kind.CONFIG_ACTIVATED, 11, config_sha256=sha("o"), purpose="", **odd)
    log.first.tell(Kind.BLOCK_CHANGED, 12, subject="adapter:gpt", blocked=2, actor={"id": "x"}, why="y")
    assert told(log) == [(["12 x switched gpt off: y"], 0)]
