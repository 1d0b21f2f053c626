"""Announced retirements: what is known on a day, what moved, who is told; and the recordings' models against other lists."""

from __future__ import annotations

import csv
import json
import logging
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from failsoft import Isolation
from failsoft.adapters.name_class import bare, name_class
from failsoft.errors import ConfigurationError
from failsoft.outcome import Pin
from failsoft.retirements.table import (
    COLUMNS,
    Announcement,
    Retirements,
    Standing,
    State,
    known_to,
    parse,
    read,
    shipped,
    written,
)
from failsoft.retirements.watch import PinStanding, RetirementWatch, standing_of
from failsoft.testing import SimulatedIsolation

TODAY = date(2026, 11, 29)
HEAD = ",".join(COLUMNS) + "\n"


def announcement(**given: Any) -> Announcement:
    usual = {
        "provider": "openai", "model": "m", "announced": date(2026, 1, 1), "retires": date(2026, 6, 1), "replacement": "n",
        "as_of": date(2026, 2, 1), "source": "page",
    }  # fmt: skip
    return Announcement(**{**usual, **given})


def test_a_model_is_unknown_then_announced_then_retired() -> None:
    one = announcement()
    known = Retirements((one,))
    assert known.standing("openai", "m", date(2025, 12, 31)) == Standing(State.UNKNOWN)
    assert known.standing("openai", "m", date(2026, 1, 1)) == Standing(State.ANNOUNCED, 151, one)
    assert known.standing("openai", "m", date(2026, 5, 31)) == Standing(State.ANNOUNCED, 1, one)
    assert known.standing("openai", "m", date(2026, 6, 1)) == Standing(State.RETIRED, 0, one)
    assert known.standing("openai", "other", date(2026, 6, 1)) == Standing(State.UNKNOWN)
    assert known.standing("anthropic", "m", date(2026, 6, 1)) == Standing(State.UNKNOWN)


def test_without_a_day_it_is_deprecated() -> None:
    one = announcement(retires=None)
    assert Retirements((one,)).standing("openai", "m", TODAY) == Standing(State.DEPRECATED, None, one)


def test_a_date_that_moved_is_what_was_known_on_each_day() -> None:
    first = announcement()
    moved = announcement(retires=date(2026, 9, 1), as_of=date(2026, 5, 1))
    known = Retirements((moved, first))
    assert known.history("openai", "m") == (first, moved)
    assert known.standing("openai", "m", date(2026, 4, 30)).announcement == first
    assert known.standing("openai", "m", date(2026, 5, 1)).announcement == moved


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openrouter", "openai/m"), ("openrouter", "openai/m:free"), ("openai-compatible", "m"), ("callable", "m"), ("somebody", "m"),
    ],
)  # fmt: skip
def test_behind_a_router_or_a_label_the_vendors_announcement_counts(provider: str, model: str) -> None:
    assert Retirements((announcement(),)).standing(provider, model, TODAY).state is State.RETIRED


def test_at_another_service_it_does_not() -> None:
    known = Retirements((announcement(model="claude-x", provider="anthropic"),))
    assert known.standing("bedrock", "us.anthropic.claude-x-v1:0", TODAY).state is State.UNKNOWN
    assert known.standing("openrouter", "elsewhere/claude-x", TODAY).state is State.UNKNOWN


def test_a_prefix_says_where_and_is_not_in_the_name() -> None:
    found = shipped().standing("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", TODAY)
    assert found.announcement is not None
    assert found.announcement.retires == date(2027, 4, 8)


# --- the table ------------------------------------------------------------------------------------------------------------


def test_the_table_that_is_shipped_is_sorted_and_its_facts_hold_together() -> None:
    found = shipped().announcements
    assert 60 <= len(found) <= 150
    assert [str(each) for each in found] == [str(each) for each in parse(written(found), "again")]
    for each in found:
        assert each.as_of <= TODAY
        assert each.announced is None or each.announced <= each.as_of
        assert each.announced is None or each.retires is None or each.announced <= each.retires
        assert each.replacement != each.model
        assert each.source.startswith(("https://", "litellm 1."))


def test_dates_that_moved_are_kept() -> None:
    moved = {each.model: [str(one.retires) for one in shipped().history("gemini", each.model)] for each in shipped().announcements
             if each.provider == "gemini" and len(shipped().history("gemini", each.model)) > 1}  # fmt: skip
    assert moved == {
        "gemini-2.5-flash": ["2026-06-17", "2026-10-16", "2026-12-01"],
        "gemini-2.5-pro": ["2026-06-17", "2026-12-01"],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["t.csv: its first line must be provider,model,announced,retires,replacement,as_of,source"]),
        ("a,b\n", ["t.csv: its first line must be provider,model,announced,retires,replacement,as_of,source"]),
        (HEAD + "a,b\n", ["t.csv: line 2: 7 columns are wanted, not 2"]),
        (HEAD + "p,,2026-13-01,x,,,s\n", ["t.csv: line 2: model, announced, retires, as_of: a text of 1 to 256 characters, or a day such "
         "as 2027-01-14, is wanted"]),
        (HEAD + "p,m,,,\x1b[1m,2026-01-01,s\n", ["t.csv: line 2: replacement: a text of 1 to 256 characters, or a day such as 2027-01-14, "
         "is wanted"]),
        (HEAD + 'p,"m\n', ["t.csv: line 2: isn't CSV: unexpected end of data"]),
        (HEAD + "x\n" * 12, [*(f"t.csv: line {n}: 7 columns are wanted, not 1" for n in range(2, 12)), "t.csv: 2 more lines are wrong"]),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_line_by_line(text: str, told: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "t.csv")
    assert list(caught.value.problems) == told


def test_dates_that_are_mixed_up_are_told_and_to_take_over_what_cannot_have_been_read() -> None:
    row = "opnai,m,2026-06-01,2026-01-01,,2026-11-30,s\n"
    mixed_up = "t.csv: line 2: announced: 2026-06-01 is after retires, 2026-01-01: are the two mixed up?"
    with pytest.raises(ConfigurationError) as caught:
        parse(HEAD + row, "t.csv")
    assert list(caught.value.problems) == [mixed_up]
    with pytest.raises(ConfigurationError) as caught:
        parse(HEAD + row + "zzz,m,,,,2026-11-29,s\n", "t.csv", TODAY)
    assert list(caught.value.problems) == [
        mixed_up,
        "t.csv: line 2: as_of: 2026-11-30 is yet to come: it's the day on which the announcement was read",
        't.csv: line 2: provider: no provider is named "opnai": did you mean "openai"?',
        't.csv: line 3: provider: no provider is named "zzz": name it as configuration does',
    ]
    assert len(parse(HEAD + "openrouter,qwen/q,2026-01-01,2026-01-01,,2026-11-29,s\n", "t.csv", TODAY)) == 1


def test_a_routers_own_announcement_counts_before_the_vendors() -> None:
    known = Retirements((announcement(), announcement(provider="openrouter", model="openai/m", retires=None)))
    assert known.standing("openrouter", "openai/m:free", TODAY).state is State.DEPRECATED
    assert known.standing("openai", "m", TODAY).state is State.RETIRED


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"t\.csv: can't be read: No such file"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"t\.csv: isn't UTF-8"):
        read(tmp_path / "t.csv")
    monkeypatch.setattr("failsoft.retirements.table.MAX_FILE", 0)
    with pytest.raises(ConfigurationError, match=r"t\.csv: has more than 0 MiB"):
        read(tmp_path / "t.csv")


def test_an_applications_own_file_adds_to_what_is_shipped(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        known_to(Path("x" * 300))
    path = tmp_path / "own.csv"
    assert known_to(path) == known_to(None) == shipped()
    later = announcement(model="gpt-5", retires=date(2027, 1, 1), as_of=date(2026, 11, 28))
    path.write_text(written([later, later]) + "\n")
    assert known_to(path).standing("openai", "gpt-5", TODAY).announcement == later
    assert len(known_to(path).announcements) == len(shipped().announcements) + 1


# --- pins -----------------------------------------------------------------------------------------------------------------


def standing(left: int | None) -> PinStanding:
    one = announcement()
    return PinStanding("a", "openai", "m", name_class("openai", "m"), "m", Standing(State.ANNOUNCED, left, one))


@pytest.mark.parametrize(
    ("left", "threshold"),
    [(91, None), (90, 90), (31, 90), (30, 30), (8, 30), (7, 7), (1, 7), (0, 0), (-5, 0), (None, None)],
)
def test_each_threshold_is_reached_on_its_day(left: int | None, threshold: int | None) -> None:
    assert standing(left).threshold == threshold


def test_each_threshold_is_told_once() -> None:
    told: list[tuple[str, Any]] = []
    watch = RetirementWatch(lambda name, **fields: told.append((name, fields["days_left"])))
    for left in (100, 90, 89, 30, 29, 7, 6, 5, 0, -1, None):
        watch.look([standing(left)])
    assert told == [("pin.retiring", each) for each in (90, 30, 7, 0)]
    later = RetirementWatch(lambda name, **fields: told.append((name, fields)))
    later.look([standing(5)])
    assert told[-1][1] == {
        "adapter": "a", "model": "m", "days_left": 5, "retires": "2026-06-01", "replacement": "n", "source": "page"
    }  # fmt: skip


def test_a_pin_is_looked_up_by_what_is_served_where_the_asked_name_says_nothing() -> None:
    known = shipped()
    found = standing_of("azure", "azure-openai", Pin("ours", ("gpt-4o-2024-08-06",)), known, TODAY)
    assert (found.model, found.retiring, found.name_class.value) == ("ours", "gpt-4o-2024-08-06", "opaque")
    assert str(found.standing.announcement and found.standing.announcement.retires) == "2027-04-14"
    assert standing_of("x", "azure-openai", Pin("ours"), known, TODAY).standing == Standing(State.UNKNOWN)


CONFIG = {
    "ledger": {"url": "none"},
    "adapters": {
        name: {"provider": "openai-compatible", "base_url": "http://127.0.0.1:1/v1", "model": model}
        for name, model in (("late", "gpt-4.1-2025-04-14"), ("soon", "gpt-5-2025-08-07"), ("own", "our-model"))
    },
}


def test_an_isolation_tells_of_its_pins_as_it_is_entered_and_day_by_day(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    isolation = SimulatedIsolation(CONFIG, capabilities=[])
    day = isolation._upkeep.today()
    first, left = (date(2026, 12, 11) - day).days, (date(2027, 1, 14) - day).days
    assert (str(day), first, left) == ("2026-09-21", 81, 115)
    with caplog.at_level(logging.WARNING, "failsoft"), isolation:
        told = [each.getMessage() for each in caplog.records]
        assert told == [
            "event=pin.retiring adapter=soon model=gpt-5-2025-08-07 days_left=81 retires=2026-12-11 replacement=gpt-5.6-sol source="
            "https://developers.openai.com/api/docs/deprecations"
        ]
        isolation.health()
        assert len(caplog.records) == 1
        for _ in range(60):  # two months
            isolation.clock.now += 86_400 * 10**9
            isolation.health()
        days = [each.getMessage().split("days_left=")[1].split()[0] for each in caplog.records]
        assert days == ["81", "90", "30"] or days == ["81", "30", "90"]
    assert [each.adapter for each in isolation.pin_standings(TODAY)] == ["soon", "late", "own"]


def test_an_own_file_that_is_none_is_told_and_stops_nothing(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failsoft.retirements.csv").write_text("nonsense")
    isolation = Isolation(CONFIG, capabilities=[])
    with caplog.at_level(logging.WARNING, "failsoft"), isolation:
        assert "event=retirements.unreadable reason=" in caplog.text
    with pytest.raises(ConfigurationError):
        isolation.pin_standings()


# --- against the recordings, and lists of others --------------------------------------------------------------------------

SERVICES = {
    "openai": "openai", "text-completion-openai": "openai", "azure": "azure-openai", "anthropic": "anthropic", "gemini": "gemini",
    "together_ai": "together", "groq": "groq", "mistral": "mistral", "deepseek": "deepseek", "xai": "xai", "bedrock": "bedrock",
    "bedrock_converse": "bedrock", "vertex_ai-anthropic_models": "vertex", "vertex_ai-language-models": "vertex",
    "vertex_ai-embedding-models": "vertex",
}  # fmt: skip
ELSEWHERE = {
    ("bedrock", "claude-haiku-4-5-20251001"): "stated for one region's profile only",
}


@pytest.fixture(scope="module")
def stated(data: Path) -> dict[tuple[str, str], str]:
    """The last date that the list of November 2026 gives for a model at a service."""
    found: dict[tuple[str, str], str] = {}
    with (data / "retirements" / "litellm_deprecation_dates.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            service, day = SERVICES.get(row["litellm_provider"]), row["deprecation_date_v1.109.1"]
            model = row["model"].removeprefix(row["litellm_provider"].partition("-")[0] + "/")
            if service and day and not (service in ("azure-openai", "bedrock") and "/" in model):
                found[service, bare(service, model)] = day
    return found


@pytest.fixture(scope="module")
def used(data: Path) -> set[tuple[str, str]]:
    """Every model that the recordings asked for, or that answered."""
    ours = {"azure_openai": "azure-openai"}
    found: set[tuple[str, str]] = set()
    for path in sorted((data / "recordings").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            service = ours.get(row["provider"], row["provider"])
            if service in SERVICES.values() and not row["suspect"]:
                asked = (
                    [] if service == "azure-openai" else [row["requested_model"]]
                )  # a deployment's name says nothing
                found |= {(service, bare(service, each)) for each in (*asked, row["served_model"]) if each}
    return {each for each in found if each[0] != "azure-openai" or name_class(*each) == "dated"}


def test_every_recorded_model_has_its_state_as_of_today(
    stated: dict[tuple[str, str], str], used: set[tuple[str, str]]
) -> None:
    known = shipped()
    wrong: list[Any] = []
    for service, model in sorted(used):
        day = stated.get((service, model))
        found = known.standing(service, model, TODAY)
        told = found.announcement and str(found.announcement.retires)
        if day is not None and told != day and (service, model) not in ELSEWHERE:
            wrong.append((service, model, told, day))
        if day is not None and (service, model) not in ELSEWHERE:
            assert (found.state is State.RETIRED) == (date.fromisoformat(day) <= TODAY)
    assert wrong == []
    assert len([each for each in used if each in stated]) >= 60


def test_the_table_agrees_with_the_list_wherever_both_speak(stated: dict[tuple[str, str], str]) -> None:
    known = shipped()
    both = {(each.provider, each.model) for each in known.announcements} & set(stated)
    differ = {
        each: (str(last.retires), stated[each])
        for each in both
        if str((last := known.history(*each)[-1]).retires) != stated[each]
    }
    assert differ == {}
    assert len(both) >= 80


def test_announcements_that_the_other_list_dates_agree_or_were_moved(data: Path) -> None:
    services = {"OpenAI": "openai", "Anthropic": "anthropic", "Google": "gemini"}
    known, checked, differ = shipped(), 0, {}
    for row in json.loads((data / "retirements" / "deprecations_info.json").read_text(encoding="utf-8")):
        history = known.history(services.get(row["provider"], "none of ours"), row["model_id"])
        if history and row["shutdown_date"]:
            checked += 1
            if row["shutdown_date"] not in {str(each.retires) for each in history}:
                differ[row["model_id"]] = row["shutdown_date"]
    assert differ == {}
    assert checked >= 15


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failsoft.toml").write_text(
        """
[ledger]
url = "none"
[adapters.gpt]
provider = "openai-compatible"
base_url = "http://127.0.0.1:1/v1"
model = "gpt-4.1-2025-04-14"
[adapters.old]
provider = "openai-compatible"
base_url = "http://127.0.0.1:1/v1"
model = "gpt-3.5-turbo-0613"
[adapters.own]
provider = "openai-compatible"
base_url = "http://127.0.0.1:1/v1"
model = "our-model"
"""
    )
    return tmp_path


def run(*arguments: str, code: int = 0) -> str:
    pytest.importorskip("typer")
    from tests.commands import CliRunner

    from failsoft.cli.app import app

    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["pins", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_the_command_tells_each_pin_and_fails_ci_in_time(folder: Path) -> None:
    told = run("--as-of", "2026-11-29")
    lines = [" ".join(each.split()) for each in told.splitlines()]
    assert "as of 2026-11-29" in lines
    assert "old gpt-3.5-turbo-0613 dated 2024-09-13: it has ended gpt-3.5-turbo" in lines
    assert "gpt gpt-4.1-2025-04-14 dated 2027-01-14, in 46 days gpt-6-luna" in lines
    assert "own our-model label nothing is announced" in lines
    assert (
        "gpt: gpt-4.1-2025-04-14: read on 2026-11-26 from https://developers.openai.com/api/docs/deprecations" in lines
    )
    run("--as-of", "2026-11-29", "--fail-within", "30d", code=1)
    (folder / "failsoft.toml").write_text((folder / "failsoft.toml").read_text().replace("gpt-3.5-turbo-0613", "x"))
    run("--as-of", "2026-11-29", "--fail-within", "45d")
    run("--as-of", "2026-11-29", "--fail-within", "46d", code=1)
    found = json.loads(run("--as-of", "2026-11-29", "--json"))["pins"]
    assert found[0] == {
        "adapter": "gpt", "provider": "openai-compatible", "model": "gpt-4.1-2025-04-14", "class": "dated", "state": "announced",
        "days_left": 46, "below": None, "retiring": "gpt-4.1-2025-04-14", "retires": "2027-01-14", "announced": "2026-10-14",
        "replacement": "gpt-6-luna", "read_on": "2026-11-26", "source": "https://developers.openai.com/api/docs/deprecations",
    }  # fmt: skip
    assert [each["state"] for each in found] == ["announced", "unknown", "unknown"]
    assert "as of 20" in run()


def test_announcements_are_taken_over_and_earlier_ones_kept(folder: Path) -> None:
    own = announcement(provider="openai", model="our-model", retires=date(2026, 12, 1), as_of=date(2026, 11, 1))
    (folder / "a.csv").write_text(written([own]))
    assert run("update", "a.csv") == "failsoft.retirements.csv: 1 new announcements, 1 in all\n"
    moved = announcement(provider="openai", model="our-model", retires=None, as_of=date(2026, 11, 20))
    (folder / "b.csv").write_text(written([own, moved]))
    assert run("update", "b.csv") == "failsoft.retirements.csv: 1 new announcements, 2 in all\n"
    assert read(folder / "failsoft.retirements.csv") == [moved, own]
    assert "deprecated; no day is known" in run("--as-of", "2026-11-29")
    assert "2026-12-01, in 28 days" in run("--as-of", "2026-11-03")
    (folder / "d.csv").write_bytes(b"\xef\xbb\xbf" + (folder / "b.csv").read_bytes())
    assert run("update", "d.csv") == "failsoft.retirements.csv: 0 new announcements, 2 in all\n"
    (folder / "later.csv").write_text(HEAD + "openai,m,,,,2999-01-01,s\n")
    assert "later.csv: line 2: as_of: 2999-01-01 is yet to come" in run("update", "later.csv", code=1)
    (folder / "other.toml").write_text((folder / "failsoft.toml").read_text())
    assert run("update", "-c", "other.toml", "a.csv") == "other.retirements.csv: 1 new announcements, 1 in all\n"
    assert run("-c", "other.toml", "update", "b.csv") == "other.retirements.csv: 1 new announcements, 2 in all\n"
    (folder / "c.csv").write_text(HEAD)
    assert "holds no announcement" in run("update", "c.csv", code=1)
    assert "its first line must be" in run("update", "failsoft.toml", code=1)


def test_what_lies_below_a_name_is_said_with_it(folder: Path) -> None:
    (folder / "failsoft.toml").write_text((folder / "failsoft.toml").read_text())
    from failsoft.adapters import pins

    given = dict(pins.BELOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("failsoft.cli.pins.BELOW", {**given, "openai-compatible": "the file"})
        assert "own: its name doesn't pin the file" in run("--as-of", "2026-11-29")


@pytest.mark.parametrize(
    "arguments", [["--fail-within", "30"], ["--fail-within", "9999d"], ["--as-of", "tomorrow"], ["update"], ["nothing"]]
)
def test_a_wrong_command_line_has_a_code_of_its_own(folder: Path, arguments: list[str]) -> None:
    run(*arguments, code=64)


def test_the_help_says_how(folder: Path) -> None:
    for arguments in ([], ["update"]):
        told = " ".join(run(*arguments, "--help").split())
        assert "Example: failsoft pins" in told
        assert "Exit code: 0 " in told
