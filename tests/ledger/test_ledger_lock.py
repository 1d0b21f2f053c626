"""A lock that was written anew, and one that a person approved: what the records say, what is verified, what a bundle tells."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from html import unescape
from pathlib import Path

import pytest
from signing import attack
from tests.bundled import CONFIG, JSON, Office, bundle, unzipped

from failsoft.core.evidence import LockApproved, LockChanged, Record
from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.bundles.wording import changed
from failsoft.ledger.records.draft import draft_of
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.verify import verify

OLD, NEW, OTHER = b'{"lock":1}', b'{"lock":2}', b'{"lock":3}'
REPORT = "text/csv", b"item,right\n1,yes\n"


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def draft(record: Record) -> Draft:
    return draft_of(record, lambda _: None)


def wrote(lock: bytes, *told: str, former: str | None = None, why: str = "reads better") -> LockChanged:
    return LockChanged(lock, former, told, "j.doe", why)


def approved(lock: bytes, *, report: tuple[str, bytes] | None = REPORT, why: str = "94 of 95") -> LockApproved:
    return LockApproved(lock, "a.smith", why, report)


class TestWhatTheySay:
    def test_a_change(self) -> None:
        made = draft(wrote(NEW, "adapter gpt: is new", former=digest(OLD)))
        assert made.kind == Kind.LOCK_CHANGED
        assert made.fields == {
            "lock_sha256": digest(NEW),
            "former_sha256": digest(OLD),
            "changed": ["adapter gpt: is new"],
            "person": "j.doe",
            "why": "reads better",
        }
        assert made.artifacts == (("application/json", NEW),)

    def test_a_first_lock(self) -> None:
        assert draft(wrote(NEW)).fields == {"lock_sha256": digest(NEW), "person": "j.doe", "why": "reads better"}

    def test_an_approval(self) -> None:
        made = draft(approved(NEW))
        assert made.kind == Kind.APPROVAL_RECORDED
        told = {"lock_sha256": digest(NEW), "person": "a.smith", "why": "94 of 95"}
        assert made.fields == {**told, "report_sha256": digest(REPORT[1])}
        assert made.artifacts == (("application/json", NEW), REPORT)
        without = draft(approved(NEW, report=None))
        assert (without.fields, without.artifacts) == (told, (("application/json", NEW),))

    @pytest.mark.parametrize(
        "record",
        [
            wrote(NEW, why=" "),
            approved(NEW, why=""),
            LockApproved(NEW, "a\nb", "w"),
            LockChanged(NEW, None, (), "", "w"),
        ],
    )
    def test_nobody_and_no_reason_are_refused(self, record: Record) -> None:
        with pytest.raises(ValueError, match=r"reason|person"):
            draft(record)

    @pytest.mark.parametrize(
        ("character", "number", "kept", "more"),
        [
            ("\U0001f980", 23, 23, None),
            ("\U0001f980", 24, 23, 1),
            ("\U0001f980", 100, 23, 77),
            ("\1", 16, 15, 1),
            ("x", 93, 93, None),
            ("x", 94, 93, 1),
        ],
    )
    def test_however_much_changed_it_fits_a_record(
        self, tmp_path: Path, character: str, number: int, kept: int, more: int | None
    ) -> None:
        made = draft(wrote(NEW, *(character * 600 for _ in range(number))))
        assert [len(each) for each in made.fields["changed"]] == [512] * kept
        assert made.fields.get("changed_omitted") == more
        office = Office(tmp_path / "x.db")
        office.first.say(made, 1)
        office.close()
        assert verify(office.path).exit_code == 0


@pytest.mark.parametrize(("last", "kept"), [(196, 94), (197, 93)])
def test_sentences_take_48_000_bytes_at_most(last: int, kept: int) -> None:
    made = draft(wrote(NEW, *["x" * 512] * 93, "y" * last))
    assert len(made.fields["changed"]) == kept
    assert sum(len(each) + 2 for each in made.fields["changed"]) <= 48_000


@pytest.mark.parametrize(
    ("record", "gone", "what"),
    [
        (wrote(NEW), NEW, "the lock that it names is missing"),
        (approved(NEW), NEW, "the lock that it names is missing"),
        (approved(NEW), REPORT[1], "the report that it names is missing"),
    ],
)
def test_what_they_name_is_there(tmp_path: Path, record: Record, gone: bytes, what: str) -> None:
    office = Office(tmp_path / "x.db")
    office.first.say(draft(record), 1)
    office.close()
    assert verify(office.path).exit_code == 0
    attack(office.path, f"DELETE FROM ledger_artifact WHERE sha256 = x'{digest(gone)}'")
    found = verify(office.path)
    assert found.exit_code == 1
    assert [str(each).startswith("record 2 ") and str(each).endswith(f": {what}") for each in found.problems] == [True]


def locked(office: Office, lock: bytes, second: float) -> None:
    """A configuration that's held to this lock."""
    office.first.digest = digest(CONFIG)
    fields = {"config_sha256": office.first.digest, "lock_sha256": digest(lock)}
    office.first.say(Draft(Kind.CONFIG_ACTIVATED, fields, (), ((JSON, CONFIG), (JSON, lock))), second)


def told_of(office: Office) -> tuple[dict[str, bytes], str]:
    """What a bundle of the call c1 holds, and the page's words."""
    office.publish()
    office.close()
    made = bundle(office.path, Wanted(calls=("c1",)))
    assert made.found.code == 0
    files = unzipped(made.data)
    return files, unescape(" ".join(re.sub("<[^>]*>", " ", files["report.html"].decode()).split()))


def test_a_bundle_tells_who_wrote_and_who_approved_what_was_in_force(tmp_path: Path) -> None:
    office = Office(tmp_path / "x.db")
    for second, record in enumerate([wrote(OTHER, why="another"), wrote(OLD), approved(OTHER), approved(OLD)], 1):
        office.first.say(draft(record), second)
    locked(office, OLD, 5)
    office.call("c1", 6, "1", "2")
    office.first.say(draft(approved(OLD, why="once more", report=None)), 7)
    office.first.say(draft(approved(NEW, why="not yet in force")), 8)
    files, page = told_of(office)
    in_force = "The prompts, models and rules in force here were"
    assert f"{in_force} written down by j.doe on 2026-11-23 14:00:02 UTC: reads better" in page
    assert f"{in_force} approved by a.smith on 2026-11-23 14:00:04 UTC: 94 of 95" in page
    assert f"{in_force} approved by a.smith on 2026-11-23 14:00:07 UTC: once more" in page
    assert page.count(f"What they went by stands beside this page: artifacts/{digest(REPORT[1])}.") == 1
    assert page.count(in_force) == 3
    assert "No person's decision about this is on record" in page
    assert files[f"artifacts/{digest(REPORT[1])}"] == REPORT[1]
    assert files[f"artifacts/{digest(OLD)}"] == OLD
    assert not {f"artifacts/{digest(each)}" for each in (OTHER, NEW)} & files.keys()


def test_a_bundle_tells_that_another_lock_came_later_and_what_changed(tmp_path: Path) -> None:
    office = Office(tmp_path / "x.db")
    locked(office, OLD, 1)
    office.first.say(draft(wrote(NEW, why="before it")), 2)
    office.first.say(draft(approved(NEW)), 3)
    began = office.first.start("c1", 3)
    office.first.say(draft(wrote(NEW, "a", "b", "c", "d", "e")), 4)
    office.first.say(draft(wrote(OLD, "back", why="worse")), 5)
    office.first.end("c1", 6, began)
    files, page = told_of(office)
    assert [json.loads(files[f"records/{each}.json"])["type"] for each in (6, 7)] == ["lock.changed"] * 2
    assert "records/3.json" not in files  # whatever was written down before isn't what changed since
    later = "j.doe wrote down other prompts, models or rules to be in force: "
    assert f"14:00:04 UTC: {later}reads better (a; b; c; and 2 changes more)" in page
    assert f"14:00:05 UTC: {later}worse (back); that's what was in force here again" in page
    assert page.count(later) == 2
    assert "were written down by" not in page
    assert "before it" not in page


@pytest.mark.parametrize("when", ["before it began", "before it ended"])
def test_of_two_processes_with_one_configuration_each_has_its_own_lock(tmp_path: Path, when: str) -> None:
    """As while a release is being rolled out."""
    office = Office(tmp_path / "x.db")
    locked(office, OLD, 1)
    for second, record in enumerate([approved(OLD, why="the old one"), approved(NEW, why="the new one")], 2):
        office.first.say(draft(record), second)
    other = office.log.process()
    fields = {"config_sha256": digest(CONFIG), "lock_sha256": digest(NEW)}
    activated = Draft(Kind.CONFIG_ACTIVATED, fields, (), ((JSON, CONFIG), (JSON, NEW)))
    if when == "before it began":
        other.say(activated, 5)
        office.call("c1", 6, "1", "2")
    else:
        began = office.first.start("c1", 6)
        other.say(activated, 7)
        office.first.end("c1", 8, began)
    files, page = told_of(office)
    assert "in force here were approved by a.smith on 2026-11-23 14:00:02 UTC: the old one" in page
    assert "the new one" not in page
    assert f"artifacts/{digest(OLD)}" in files
    assert f"artifacts/{digest(NEW)}" not in files


def test_a_call_that_was_held_to_no_lock_has_none_that_changed(tmp_path: Path) -> None:
    office = Office(tmp_path / "x.db")
    office.configure()
    office.call("c1", 3, "1", "2")
    office.first.say(draft(wrote(NEW, "a")), 4)
    office.first.say(draft(approved(NEW)), 5)
    files, page = told_of(office)
    assert "j.doe" not in page.partition("What has changed since")[2].partition("What was tried")[0]
    assert "a.smith" not in page
    assert f"artifacts/{digest(NEW)}" not in files


def test_words_for_a_change() -> None:
    fields = {"person": "p", "why": "w"}
    said = "p wrote down other prompts, models or rules to be in force: w"
    assert changed("lock.changed", fields) == said
    assert changed("lock.changed", {**fields, "changed": ["a", "b", "c"]}) == f"{said} (a; b; c)"
    assert changed("lock.changed", {**fields, "changed": ["a"] * 4}) == f"{said} (a; a; a; and 1 change more)"
    told = {**fields, "changed": ["a"] * 3, "changed_omitted": 2}
    assert changed("lock.changed", told) == f"{said} (a; a; a; and 2 changes more)"


def test_of_two_calls_the_one_that_is_held_to_no_lock_is_told_of_none(tmp_path: Path) -> None:
    office = Office(tmp_path / "x.db")
    office.configure()
    office.call("c1", 2, "1", "2")
    locked(office, OLD, 3)
    office.call("c2", 4, "1", "2")
    office.first.say(draft(wrote(NEW)), 5)
    office.publish()
    office.close()
    files = unzipped(bundle(office.path, Wanted(calls=("c1", "c2"))).data)
    first, second = files["report.html"].decode().split("What has changed since")[1:]
    assert "j.doe wrote down" not in first
    assert "j.doe wrote down" in second
