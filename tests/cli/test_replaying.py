"""`failsoft ledger replay`: what people and programs see of it, and with which code it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest

pytest.importorskip("typer")

from pydantic import BaseModel
from typer.testing import Result

import failsoft
from failsoft import Audit, Capability, Isolation, Prompt, Required
from failsoft.cli import replaying
from failsoft.cli.app import app
from failsoft.context import Case
from failsoft.core.contract import Contract
from failsoft.io.clock import SystemClock
from failsoft.ledger.acts.erasure import Acting
from failsoft.ledger.acts.pruning import prune
from failsoft.ledger.acts.retention import Retention
from failsoft.ledger.read import read
from failsoft.ledger.reading.query import COMPARISON
from failsoft.testing import FaultServer, ScriptedProvider, chat_answer, faults
from tests.commands import CliRunner
from tests.replay.shop import Item, RateItem, Rating, erase, isolated, made, tampering

CONFIG = """
[ledger]
url = "sqlite:///now.db"

[adapters.gpt]
provider = "openai-compatible"
base_url = "{base_url}"
model = "m-1"
attempts = 1

[capabilities.rate-item]
class = "{path}"
adapters = ["gpt"]
deadline = "7s"
"""
ALL = ["--since", "2h"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    configure()
    return tmp_path


def configure(path: str = "tests.replay.shop:RateItem", base_url: str = "http://127.0.0.1:9/v1") -> None:
    Path("failsoft.toml").write_text(CONFIG.format(path=path, base_url=base_url))


def calls(*scripts: Any, **context: Any) -> list[str]:
    """Calls on record in x.db, each of its own script: their identifiers."""
    found: list[str] = []
    for number, script in enumerate(scripts):
        adapter = {"labels": context.get("labels", ())}
        isolation = isolated(Path("x.db"), script, adapter=adapter, state={"url": "none"})
        with isolation, failsoft.context(**context):
            found.append(isolation["rate-item"].sync(Item(name=f"bolt {number}")).call_id)
    return found


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["ledger", "replay", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def documents(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*arguments, "--json", code=code).stdout.splitlines()]


def told(result: Result) -> str:
    return " ".join(result.output.split())


def test_help_has_an_example_and_the_exit_codes() -> None:
    said = told(run("--help"))
    assert "Example: failsoft ledger replay" in said
    assert "2 something couldn't be replayed, or there was nothing to replay" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give either --call or --since"),
        (["--call", "c", "--since", "2h"], "give either --call or --since"),
        (["--call", "c", "--until", "2h"], "--until and --capability go with --since"),
        (["--call", "c", "--capability", "rate-item"], "--until and --capability go with --since"),
        (["--since", "2h", "--yes"], "--most, --yes and --actor go with --against"),
        (["--since", "2h", "--most", "3"], "--most, --yes and --actor go with --against"),
        (["--since", "2h", "--actor", "jdoe"], "--most, --yes and --actor go with --against"),
        (["--since", "2h", "--against", "gpt", "--most", "0"], "--most"),
        (["--since", "soon"], "is no moment"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: list[str], problem: str) -> None:
    assert problem in told(run("x.db", *arguments, code=64))


class TestReplaying:
    def test_one_call(self) -> None:
        (call_id,) = calls(chat_answer({"stars": 3}))
        said = run("x.db", "--call", call_id).output.splitlines()
        assert said[0].endswith(f"call {call_id}  rate-item: same")
        assert said[1:7] == [
            "  same            call",
            "  same            request",
            "  same            prompt",
            "  same            decode of attempt 1 (gpt)",
            "  same            schema of attempt 1 (gpt)",
            "  same            accept of attempt 1 (gpt)",
        ]
        assert said[7] == '  note: the fallback says: {"stars":0}'
        assert said[8] == (
            "1 calls: 1 same, 0 differs, 0 not replayable; 6 steps: 6 same, 0 differs, 0 not replayable; nobody was asked: "
            "what a model said is evidenced, not reproduced"
        )

    def test_writes_nothing_and_needs_no_keys(self, folder: Path) -> None:
        Path("failsoft.toml").write_text(
            Path("failsoft.toml").read_text().replace("attempts = 1", 'api_key = { env = "NOT_THERE" }')
        )
        (call_id,) = calls(chat_answer({"stars": 3}))
        before = Path("x.db").read_bytes()
        run("x.db", "--call", call_id)
        assert Path("x.db").read_bytes() == before
        assert not Path("now.db").exists()

    def test_notes(self) -> None:
        call_id = calls(faults.CONNECT_REFUSED)[0]
        said = told(run("x.db", "--call", call_id))
        assert "note: attempt 1 (gpt) brought no reply: connect_refused" in said
        assert "the fallback says" not in said

    def test_a_window_of_which_records_are_missing_isnt_the_same(self) -> None:
        calls(chat_answer({"stars": 3}), chat_answer({"stars": 4}))
        with read("x.db") as reader:
            first, second = (each.ts or "" for each in reader.records("call.started"))
        acting = Acting("x.db", SystemClock())
        done = prune(acting, second, why="over", person="u-7", retention=Retention(), caseless=True)
        assert (done.records, done.finished) == (2, True)
        said = told(run("x.db", "--since", first, code=2))
        assert "1 calls: 1 same" in said
        assert "some may be missing here: records of calls up to" in said
        run("x.db", "--since", second)

    def test_a_window_shows_what_isnt_the_same(self) -> None:
        calls(chat_answer({"stars": 3}), chat_answer({"stars": 9}))
        changed(accept=lambda self, request, response: None)
        said = run("x.db", *ALL, code=1).output.splitlines()
        assert [each.rpartition(": ")[2] for each in said if " call " in each][:2] == ["same", "differs"]
        assert said[2] == "  differs         accept of attempt 1 (gpt): accept() accepts its answer today"
        assert said[3].startswith("2 calls: 1 same, 1 differs, 0 not replayable; 13 steps: 12 same, 1 differs")

    def test_of_one_capability_in_a_time(self) -> None:
        calls(chat_answer({"stars": 3}))
        assert len(documents("x.db", "--since", "2h", "--capability", "rate-item")) == 1
        assert documents("x.db", "--since", "2h", "--capability", "other", code=2) == []
        assert documents("x.db", "--since", "2h", "--until", "1h", code=2) == []
        assert told(run("x.db", "--since", "2h", "--until", "1h", code=2)).startswith("0 calls: ")

    def test_for_programs_one_object_a_call(self) -> None:
        ids = calls(chat_answer({"stars": 3}), chat_answer({"stars": 4}))
        erase(Path("x.db"), ids[1], "reply/1")
        first, second = documents("x.db", *ALL, code=2)
        assert (first["call_id"], first["result"], first["capability"]) == (ids[0], "same", "rate-item")
        assert first["fallback_says"] == '{"stars":0}'
        assert first["steps"][0] == {"step": "call", "result": "same"}
        assert second["steps"][-1] == {
            "step": "decode",
            "result": "not replayable",
            "reason": "its reply isn't kept: it was erased, or never recorded",
            "attempt": 1,
            "adapter": "gpt",
        }

    def test_a_start_that_names_no_call(self) -> None:
        calls(chat_answer({"stars": 3}))
        with tampering(Path("x.db")) as connection:
            connection.execute("UPDATE ledger_record SET call_id = NULL, capability = NULL WHERE type = 'call.started'")
        (found,) = documents("x.db", *ALL, code=2)
        assert found["steps"] == [
            {
                "step": "call",
                "result": "not replayable",
                "reason": f"record {found['index']} names no call by its index: run `failsoft verify` on the ledger",
            }
        ]

    def test_two_hundred_calls(self) -> None:
        with isolated(Path("x.db")) as isolation:
            for each in range(200):
                isolation["rate-item"].sync(Item(name=str(each)))
        found = documents("x.db", *ALL)
        assert len(found) == 200
        assert {each["result"] for each in found} == {"same"}


def changed(**attributes: Any) -> None:
    """The configuration's capability is another one, with the same version."""
    module = ModuleType("changed_app")
    module.RateItem = made(**attributes)  # type: ignore[attr-defined]
    sys.modules["changed_app"] = module
    configure("changed_app:RateItem")


class TestWhatCantBeUsed:
    def test_a_ledger(self) -> None:
        assert "gone.db" in told(run("gone.db", *ALL, code=3))
        Path("text.db").write_text("no ledger" * 1000)
        run("text.db", *ALL, code=3)
        assert documents("text.db", *ALL, code=3)[0]["ok"] is False

    def test_a_configuration(self) -> None:
        calls(chat_answer({"stars": 3}))
        run("x.db", *ALL, "--config", "gone.toml", code=3)
        configure("tests.replay.shop:Nothing")
        assert "rate-item" in told(run("x.db", *ALL, code=3))

    def test_a_call_that_isnt_there(self) -> None:
        calls(chat_answer({"stars": 3}))
        assert "no record of a call nobody" in told(run("x.db", "--call", "nobody", code=2))
        assert "no record of a call nobody" in told(run("x.db", "--call", "nobody", "--against", "gpt", code=2))


class Letter(BaseModel, frozen=True):
    name: str
    sender: Annotated[str, Audit.omitted] = "unknown"


class RateLetter(Capability[Letter, Rating]):
    """How many stars?"""

    name = "rate-item"

    def fallback(self, request: Letter) -> Rating:
        return Rating(stars=0)


def scripted(
    *answers: Any, monkeypatch: pytest.MonkeyPatch, capability: Any = RateItem, **changes: Any
) -> ScriptedProvider:
    """An application whose adapter ``own`` is a script, as `scripted_app:isolation`."""
    provider = ScriptedProvider(answers, model="m-2")
    config: dict[str, Any] = {
        "ledger": {"url": "sqlite:///now.db"},
        "capabilities": {"rate-item": {"adapters": ["own"], "deadline": "7s"}},
        "on_bug": "fallback",
        **changes,
    }
    isolation = Isolation(config, capabilities=[capability])
    isolation.adapter("own", model="m-2", served=provider.served, attempts=1, labels={"CUI"})(provider)
    module = ModuleType("scripted_app")
    module.isolation = isolation  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scripted_app", module)
    return provider


OWN = [*ALL, "--app", "scripted_app:isolation", "--against", "own"]


class TestAskingAgain:
    def test_tells_how_far_answers_agree(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = calls(*(chat_answer({"stars": each}) for each in (3, 4, 5)))
        provider = scripted({"stars": 3}, {"stars": 4}, {"stars": 1}, monkeypatch=monkeypatch)
        before = Path("x.db").read_bytes()
        said = run("x.db", *OWN, code=1)
        lines = said.stdout.splitlines()
        assert "own will be asked 3 times at most" in said.stderr
        assert [each.request.name for each in provider.asked] == ["bolt 0", "bolt 1", "bolt 2"]
        assert lines[0].startswith(f"call {ids[2]}: disagrees (asked again as ")
        assert lines[1:] == [
            '  then: {"stars":5}',
            '  now:  {"stars":1}',
            "own agrees with 2 of 3 recorded answers (66.7%, 95 % interval 20.8% to 93.9%)",
            "  stars differs in 1",
            "0 without an answer, 0 not asked",
            "Agreement says nothing of who is right, and nothing of other questions than these.",
        ]
        assert Path("x.db").read_bytes() == before

    def test_takes_no_order_of_a_set_for_another_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Tag(Capability[Item, set[str]]):
            name = "rate-item"

            def fallback(self, request: Item) -> set[str]:
                raise NotImplementedError

        dump = Contract.dump_response

        def backwards(contract: Contract[Any, Any], value: Any) -> bytes:
            return json.dumps(json.loads(dump(contract, value))[::-1]).encode()

        with monkeypatch.context() as patch:
            patch.setattr(Contract, "dump_response", backwards)
            isolation = isolated(Path("x.db"), chat_answer({"value": ["a", "b"]}), Tag, state={"url": "none"})
            with isolation:
                assert isolation["rate-item"].sync(Item(name="bolt")).value == {"a", "b"}
        scripted(["a", "b"], monkeypatch=monkeypatch, capability=Tag)
        assert "own agrees with 1 of 1 recorded answers" in told(run("x.db", *OWN))
        scripted(["a", "c"], monkeypatch=monkeypatch, capability=Tag)
        assert "own agrees with 0 of 1 recorded answers" in told(run("x.db", *OWN, code=1))

    def test_leaves_evidence_in_the_configurations_ledger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (call_id,) = calls(
            chat_answer({"stars": 3}), case=Case("T-17", "ticket", "tickets"), actor="asker", labels={"CUI"}
        )
        scripted({"stars": 3}, monkeypatch=monkeypatch)
        (found, whole) = documents("x.db", *OWN, "--actor", "jdoe")
        assert (found["call_id"], found["result"], found["now"]) == (call_id, "agrees", '{"stars":3}')
        assert whole["adapter"] == "own"
        assert whole["agreement"]["share"] == 1.0
        with read("now.db") as reader:
            start, end = (each.fields for each in reader.call(found["new_call_id"]))
            (configured,) = (each.fields for each in reader.records(kind="config.activated"))
        assert configured["purpose"] == "trial"
        shown = CliRunner().invoke(app, ["log", "now.db", "--case", "T-17"]).output
        assert shown.count("asked again by jdoe to compare]") == 1
        listed = CliRunner().invoke(app, ["log", "now.db", "--case", "T-17", "--csv"]).output
        assert listed.count('"jdoe","replay"') == 1
        assert start["actor"] == {"id": "jdoe", "kind": COMPARISON}
        assert start["case"] == {"id": "T-17", "kind": "ticket", "series": "tickets"}
        assert start["labels"] == ["CUI"]
        assert start["deadline_ms"] == 7000
        assert start["route"] == ["own"]
        assert end["source"]["name"] == "own"

    @pytest.mark.parametrize("leaving", ["accept", "fallback"])
    def test_a_capability_that_leaves_ends_nothing(self, leaving: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def leaves(self: Any, *arguments: Any) -> Any:
            raise SystemExit(0)

        calls(chat_answer({"stars": 3}))
        scripted({"stars": 9}, monkeypatch=monkeypatch, capability=made(**{leaving: leaves}))
        found, whole = documents("x.db", *OWN, code=2)
        assert (found["result"], found["reason"]) == ("no answer", "the call failed (SystemExit)")
        assert whole["agreement"]["no_answer"] == 1

    def test_data_goes_only_where_its_labels_may(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}), labels={"CUI", "NOFORN"})
        provider = scripted({"stars": 3}, monkeypatch=monkeypatch)
        found, whole = documents("x.db", *OWN, code=2)
        assert (found["result"], found["reason"]) == ("no answer", "own: labels (may not see NOFORN)")
        assert provider.asked == []
        assert whole["agreement"]["no_answer"] == 1

    def test_an_adapter_that_fails_gives_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}))
        scripted(TimeoutError(), monkeypatch=monkeypatch)
        said = run("x.db", *OWN, code=2).stdout.splitlines()
        assert said[1] == "  own: attempt_timeout (TimeoutError)"
        assert said[2:4] == ["own agrees with 0 of 0 recorded answers", "1 without an answer, 0 not asked"]

    def test_nor_does_one_whose_fallback_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}))
        scripted(TimeoutError(), monkeypatch=monkeypatch)
        monkeypatch.setattr(RateItem, "fallback", lambda self, request: 1 // 0)
        (found, _) = documents("x.db", *OWN, code=2)
        assert (found["result"], found["reason"]) == ("no answer", "the call failed (FallbackFailed)")

    def test_what_cant_be_put_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = calls(chat_answer({"stars": 3}), chat_answer({"stars": 4}))
        erase(Path("x.db"), first, "request")
        with tampering(Path("x.db")) as connection:
            connection.execute(
                "UPDATE ledger_record SET call_id = NULL WHERE type = 'call.started' AND call_id = ?",
                (second,),
            )
        provider = scripted({"stars": 3}, monkeypatch=monkeypatch)
        one, other, _ = documents("x.db", *OWN, code=2)
        assert (one["result"], one["reason"]) == (
            "not asked",
            "its request isn't kept: it was erased, or never recorded",
        )
        assert other["reason"].endswith("names no call by its index")
        assert provider.asked == []

    def test_a_request_that_doesnt_fit_isnt_put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}))
        scripted({"stars": 3}, monkeypatch=monkeypatch)

        def refuses(self: Any, text: Any) -> Any:
            raise ArithmeticError

        monkeypatch.setattr("failsoft.isolated.Isolated.parse_request", refuses)
        (found, _) = documents("x.db", *OWN, code=2)
        assert (found["result"], found["reason"]) == (
            "not asked",
            "its request doesn't fit today's request type (ArithmeticError)",
        )

    def test_nor_one_that_would_be_another_question(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A field that has another name today is passed over in silence, and one that's left out of records is gone."""

        class Renamed(BaseModel):
            title: str = "unnamed"

        class RateRenamed(Capability[Renamed, Rating]):
            """How many stars?"""

            name = "rate-item"

            def fallback(self, request: Renamed) -> Rating:
                return Rating(stars=0)

        def prompt(self: Any, request: Item) -> Prompt:
            return Prompt.of(f"{request.name} of today")

        def fails(self: Any, request: Item) -> Prompt:
            raise ArithmeticError

        (call_id,) = calls(chat_answer({"stars": 3}))
        another = "today's request type writes its request in other bytes: it would be another question"
        for capability, reason in (
            (RateRenamed, another),
            (made(prompt=prompt), "today's prompt is another"),
            (made(prompt=fails), "its question can't be made today (ArithmeticError)"),
        ):
            provider = scripted({"stars": 3}, monkeypatch=monkeypatch, capability=capability)
            (found, whole) = documents("x.db", *OWN, code=2)
            assert (found["result"], found["reason"]) == ("not asked", reason)
            assert provider.asked == []
            assert whole["agreement"]["share"] is None
        erase(Path("x.db"), call_id, "prompt")
        scripted({"stars": 3}, monkeypatch=monkeypatch)
        (found, _) = documents("x.db", *OWN, code=2)
        assert found["reason"].startswith("its prompt isn't kept: ")
        assert found["reason"].endswith("so nobody can tell whether today's is the same")

    def test_one_of_which_no_prompt_was_made_is_put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with isolated(Path("x.db"), chat_answer({"stars": 3}), RateItem, state={"url": "none"}) as isolation:
            isolation.block("adapter:gpt", actor="a", why="a test")
            assert isolation["rate-item"].sync(Item(name="bolt")).value == Rating(stars=0)
        scripted({"stars": 3}, monkeypatch=monkeypatch)
        (found, _) = documents("x.db", *OWN, code=1)
        assert (found["result"], found["now"]) == ("disagrees", '{"stars":3}')

    def test_nor_one_with_hostile_labels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}))
        provider = scripted({"stars": 3}, monkeypatch=monkeypatch)
        usual = replaying.question

        def hostile(reader: Any, call_id: str) -> Any:
            import attrs

            found: Any = usual(reader, call_id)
            return attrs.evolve(found, call=attrs.evolve(found.call, labels=frozenset({"\x1b[2J"})))

        monkeypatch.setattr(replaying, "question", hostile)
        (found, _) = documents("x.db", *OWN, code=2)
        assert (found["result"], found["reason"]) == (
            "not asked",
            "its request, case or labels can't be those of a call",
        )
        assert provider.asked == []

    def test_nor_one_of_a_capability_that_isnt_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}))
        scripted({"stars": 3}, monkeypatch=monkeypatch)
        app_module: Any = sys.modules["scripted_app"]
        monkeypatch.setattr(app_module.isolation, "_contracts", {})
        (found, _) = documents("x.db", *OWN, code=2)
        assert found["reason"] == 'there is no capability named "rate-item" here'

    def test_nor_one_of_which_a_part_is_on_no_record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}))
        provider = scripted({"stars": 3}, monkeypatch=monkeypatch, capability=RateLetter)
        (found, _) = documents("x.db", *OWN, code=2)
        assert (found["result"], found["reason"]) == (
            "not asked",
            "a part of its request is on no record (`Audit.omitted`)",
        )
        assert provider.asked == []

    def test_nobody_reviews_what_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}))
        scripted({"stars": 3}, monkeypatch=monkeypatch, capability=made(review=Required()))
        (found, _) = documents("x.db", *OWN)
        with read("now.db") as reader:
            assert "review" not in reader.call(found["new_call_id"])[-1].fields

    def test_more_than_so_many_need_a_yes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}), chat_answer({"stars": 3}))
        provider = scripted({"stars": 3}, monkeypatch=monkeypatch)
        said = run("x.db", *OWN, "--most", "1", code=3)
        assert "that's more than 1: say --yes, or --most 2" in told(said)
        assert documents("x.db", *OWN, "--most", "1", code=3)[0]["ok"] is False
        assert provider.asked == []
        run("x.db", *OWN, "--most", "1", "--yes")
        run("x.db", *OWN, "--most", "2")
        assert len(provider.asked) == 4

    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 3)])
    def test_on_a_terminal_people_are_asked(self, answer: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
        calls(chat_answer({"stars": 3}), chat_answer({"stars": 3}))
        provider = scripted({"stars": 3}, monkeypatch=monkeypatch)
        monkeypatch.setattr(replaying, "_at_a_terminal", lambda: True)
        arguments = ["ledger", "replay", "x.db", *OWN, "--most", "1"]
        result = CliRunner().invoke(app, arguments, input=answer)
        assert result.exit_code == code, result.output
        assert len(provider.asked) == (2 if code == 0 else 0)

    def test_an_adapter_that_isnt_there(self) -> None:
        calls(chat_answer({"stars": 3}))
        assert 'no adapter named "gone"' in told(run("x.db", *ALL, "--against", "gone", code=3))

    def test_into_the_ledger_that_is_replayed_where_thats_the_configurations(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls(chat_answer({"stars": 3}))
        scripted({"stars": 3}, monkeypatch=monkeypatch, ledger={"url": "sqlite:///x.db"})
        (found, _) = documents("x.db", *OWN)
        with read("x.db") as reader:
            assert [each.kind for each in reader.call(found["new_call_id"])] == ["call.started", "call.completed"]
        assert len(documents("x.db", *ALL, code=2)) == 2
        again = run("x.db", *OWN)
        assert "1 calls asked again themselves: they're left out" in told(again)
        assert "own will be asked 1 times at most" in told(again)
        assert "own agrees with 1 of 1" in told(again)
        assert "own agrees with 1 of 1" in told(run("x.db", "--call", found["new_call_id"], *OWN[2:]))

    def test_over_http(self) -> None:
        calls(chat_answer({"stars": 3}))
        with FaultServer(chat_answer(Rating(stars=3))) as server:
            configure(base_url=server.base_url)
            (found, whole) = documents("x.db", *ALL, "--against", "gpt")
        assert found["result"] == "agrees"
        assert whole["agreement"]["agrees"] == 1
