"""``locked = true``: entering is refused unless the lock says just what is in force; and the commands about it."""

from __future__ import annotations

import functools
import json
import sqlite3
import types
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from failsoft import Capability, Isolation, capability
from failsoft.errors import ConfigurationError
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify
from failsoft.lockfile.compare import differences
from failsoft.lockfile.document import read_lock
from failsoft.lockfile.facts import _versions
from failsoft.lockfile.plain import state_of
from tests.lockfile.shop import change, isolation, locked


def activated(ledger: Path) -> list[dict[str, Any]]:
    with read(ledger) as reader:
        return [json.loads(each.body or b"{}") for each in reader.records(kind="config.activated", last=100)]


def test_without_a_lock_nothing_starts(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"failsoft\.lock: there is no lock"), isolation(folder):
        pass
    assert not (folder / "shop.db").exists()


def test_with_a_lock_that_fits_it_starts_and_puts_its_digest_on_record(folder: Path) -> None:
    made = locked(folder)
    made.write(folder / "failsoft.lock")
    with isolation(folder):
        pass
    assert [body["lock_sha256"] for body in activated(folder / "shop.db")] == [made.digest]
    assert verify(folder / "shop.db").exit_code == 0
    with read(folder / "shop.db") as reader:
        kept = reader.artifact(made.digest)
    assert kept == ("application/json", made.in_force())
    assert json.loads(made.in_force())["capabilities"].keys() >= {"grade-item"}
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        connection.execute("DROP TRIGGER ledger_artifact_no_delete")
        connection.execute("DELETE FROM ledger_artifact WHERE sha256 = ?", (bytes.fromhex(made.digest),))
        connection.commit()
    assert "the lock that it names is missing" in "; ".join(map(str, verify(folder / "shop.db").problems))


def test_with_a_stale_lock_nothing_starts_and_what_differs_is_told(folder: Path) -> None:
    locked(folder).write(folder / "failsoft.lock")
    change(folder, "shop/words.py", "text.lower()", "text.casefold()")
    with pytest.raises(ConfigurationError) as caught, isolation(folder):
        pass
    assert caught.value.problems == (
        "capability grade-item: the fallback's code: changed shop.words:plain",
        "failsoft.lock: is stale: if all of this is meant, write it anew: failsoft lock",
    )
    assert not (folder / "shop.db").exists()


@pytest.mark.parametrize("key", ['on_mismatch = "record"', 'mode = "observe"', 'labels = ["CUI"]'])
def test_nobody_switches_a_pin_off_or_shows_an_adapter_more_while_it_is_locked(folder: Path, key: str) -> None:
    locked(folder).write(folder / "failsoft.lock")
    change(folder, "failsoft.toml", "[adapters.gpt]", f"[adapters.gpt]\n{key}")
    with pytest.raises(ConfigurationError, match=r"(?s)adapter gpt: .*is stale"), isolation(folder):
        pass


def test_without_locked_no_lock_is_asked_for_and_none_put_on_record(folder: Path) -> None:
    change(folder, "failsoft.toml", "locked = true", "locked = false")
    with isolation(folder):
        pass
    assert ["lock_sha256" in body for body in activated(folder / "shop.db")] == [False]


# --- declared in code -----------------------------------------------------------------------------------------------------


class Item(BaseModel, frozen=True):
    text: str


def _declared(**attributes: Any) -> type:
    def body(names: dict[str, Any]) -> None:
        names |= {"fallback": lambda self, request: "", **attributes}

    return types.new_class("K", (Capability[Item, str],), exec_body=body)


@pytest.mark.parametrize("given", ["table.csv", ["table.csv"], (1,), ("",)])
def test_artefacts_are_a_tuple_of_texts(given: Any) -> None:
    with pytest.raises(TypeError, match=r"K\.artefacts must be a tuple of files, such as \(\"table\.csv\",\), not"):
        _declared(artefacts=given)
    with pytest.raises(TypeError, match=r"k\.artefacts must be"):

        @capability(artefacts=given)
        def k(request: Item) -> str:
            return ""


def test_golden_inputs_are_a_tuple() -> None:
    with pytest.raises(TypeError, match=r"K\.golden must be a tuple of requests, such as \(Item\(…\),\), not Item\("):
        _declared(golden=Item(text="x"))


@capability(golden=(Item(text="nut"), Item(text="x" * 300)), artefacts=("shop.py", "test_locked*"))
def name_item(request: Item) -> str:
    """What is it called?"""
    return _cut(request.text)


def _cut(text: str) -> str:
    return text


def test_a_function_is_locked_like_a_class() -> None:
    lock = Isolation({"ledger": {"url": "none"}}, capabilities=[name_item]).lock()
    (found,) = lock.capabilities.values()
    assert found.fallback_code == [f"{__name__}:Item", f"{__name__}:_cut", f"{__name__}:name_item"]
    assert list(found.artefacts) == ["shop.py", "test_locked.py"]
    assert [(each.request, each.answer) for each in found.golden] == [('{"text":"nut"}', '"nut"'), (None, None)]
    assert found.instruction_sha256


def test_a_bad_pattern_is_told_and_the_lock_lies_where_the_program_runs_without_a_file() -> None:
    class Wrong(Capability[Item, str]):
        artefacts = ("**x/[",)

        def fallback(self, request: Item) -> str:
            return ""

    made = Isolation({"ledger": {"url": "none"}}, capabilities=[Wrong])
    assert made.lock_path == Path.cwd() / "failsoft.lock"
    with pytest.raises(ConfigurationError) as caught:
        made.lock()
    assert len(caught.value.problems) == 1


class Told(Capability[Item, str]):
    """Its instruction is told by its own prompt."""

    def __init__(self, clean: Any = None) -> None:
        self.clean = clean

    def fallback(self, request: Item) -> str:
        return request.text

    def prompt(self, request: Item) -> Any:
        from failsoft import Prompt

        return Prompt.of(request.text, system=self.instruction)


def test_an_own_prompt_that_tells_the_docstring_holds_it() -> None:
    lock = Isolation({"ledger": {"url": "none"}}, capabilities=[Told(_cut)]).lock()
    assert lock.capabilities["told"].instruction_sha256
    assert f"{__name__}:_cut" in lock.capabilities["told"].fallback_code


def test_a_request_without_a_schema_is_locked_by_its_name() -> None:
    class Odd:
        def __init__(self, x: int) -> None:
            self.x = x

    class OddItem(Capability[Any, str]):
        def fallback(self, request: Any) -> str:
            return ""

    from pydantic import InstanceOf

    class Odder(Capability[InstanceOf[Odd], str]):
        def fallback(self, request: Odd) -> str:
            return ""

    lock = Isolation({"ledger": {"url": "none"}}, capabilities=[OddItem, Odder]).lock()
    assert lock.capabilities["odder"].request_fields == []


# --- commands -------------------------------------------------------------------------------------------------------------

typer = pytest.importorskip("typer")


def run(*arguments: str, code: int = 0) -> str:
    from failsoft.cli.app import app
    from tests.commands import CliRunner
    from tests.lockfile.shop import forget

    forget()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def said(*arguments: str, code: int = 0) -> str:
    """What stands on standard output, alone."""
    from failsoft.cli.app import app
    from tests.commands import CliRunner

    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.stdout


GPT, LOCAL = "adapter gpt", "adapter local"


def test_the_command_writes_checks_and_says_what_changed(folder: Path) -> None:
    assert run("lock", "--check", code=1) == "failsoft.lock: there is no lock: write one: failsoft lock\n"
    assert run("lock") == (
        "failsoft.lock is written: 2 capabilities, 2 adapters\n"
        "note: capability name-item: no golden inputs: it's held to its code, not to what it answers\n"
    )
    assert run("lock", "--check") == "failsoft.lock: nothing differs\n"
    change(folder, "shop/words.py", "text.lower()", "text.casefold()")
    told = "capability grade-item: the fallback's code: changed shop.words:plain"
    here = f"{told} (shop/words.py:5)"
    assert run("lock", "--check", code=1) == said("lock", "--check", code=1) == f"{here}\n"
    found = json.loads(run("lock", "--check", "--json", code=1))
    assert (found["ok"], [each["what"] for each in found["differences"]]) == (False, ["fallback"])
    (folder / "old.lock").write_bytes((folder / "failsoft.lock").read_bytes())
    assert f"  {here}\n" in run("lock")
    assert said("diff", "old.lock", "failsoft.lock", code=1) == f"{told}\n"
    assert run("diff", "failsoft.lock", "failsoft.lock") == "failsoft.lock: nothing differs\n"
    assert json.loads(run("diff", "old.lock", "old.lock", "--json")) == {"ok": True, "differences": []}
    assert "no lock" in run("diff", "old.lock", "nowhere.lock", code=1)
    (folder / "failsoft.lock").write_text("broken")
    assert json.loads(run("lock", "--json")) == {
        "ok": True, "digest": read_lock(folder / "failsoft.lock").digest, "changed": [], "unanswered": []
    }  # fmt: skip


def test_weights_that_are_not_there_are_told_by_check_too(folder: Path) -> None:
    run("lock")
    assert "adapters.local" not in run("check")
    (folder / "small.gguf").unlink()
    assert "adapters.local.weights: small.gguf: No such file or directory\n" in run("check", code=1)


def test_checking_and_verifying_at_once_is_a_wrong_command_line(folder: Path) -> None:
    assert "--check writes nothing" in run("lock", "--check", "--verify", code=64)


ASKED = """
from failsoft import Capability
from shop.capabilities import GradeItem, NameItem


class Reply:
    model = "asked-1"


def asks(ask):
    if ask.request.text != "a fine nut":
        raise RuntimeError
    return {"stars": 4}


def who(reply):
    return "asked-1"


def silent(ask):
    raise ConnectionRefusedError
"""


def test_verifying_asks_each_adapter_once_and_notes_who_answered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "shop/asked.py").write_text(ASKED)
    text = (folder / "failsoft.toml").read_text().partition("[adapters.gpt]")
    (folder / "failsoft.toml").write_text(
        text[0]
        + """
[adapters.gpt]
provider = "callable"
model = "asked-1"
call = "shop.asked:asks"
served_by = "shop.asked:who"
[adapters.local]
provider = "callable"
model = "silent-1"
call = "shop.asked:silent"
attempts = 1
[adapters.free]
provider = "callable"
model = "free-1"
call = "shop.asked:silent"
[adapters.http]
provider = "openai-compatible"
base_url = "http://127.0.0.1:9/v1"
model = "m"
attempts = 1
[capabilities.grade-item]
class = "shop.capabilities:GradeItem"
adapters = ["gpt", "local"]
[capabilities.name-item]
class = "shop.capabilities:NameItem"
adapters = ["free", "http"]
"""
    )
    told = run("lock", "--verify", code=1)
    assert "note: adapter local: didn't answer: local: connect_refused" in told
    assert "note: adapter free: wasn't asked: what it takes is the application's own" in told
    assert "note: adapter http: didn't answer: http: connect_refused" in told
    seen = read_lock(folder / "failsoft.lock").adapters["gpt"].seen
    assert seen is not None
    assert (seen.served, seen.grade, seen.first) == ("asked-1", "unknown", seen.last)
    assert read_lock(folder / "failsoft.lock").adapters["local"].seen is None
    assert json.loads(run("lock", "--verify", "--json", code=1))["changed"] == []
    with pytest.raises(ConfigurationError, match='no adapter named "nobody"'):
        isolation(folder).only("nobody", name_item)
    assert verify(folder / "shop.db").exit_code == 0


def test_an_answer_may_name_nobody(folder: Path) -> None:
    from failsoft.cli.locking import _asked

    made = Isolation({"ledger": {"url": "none"}}, capabilities=[Golden])

    @made.adapter("mute", model="m")
    def mute(ask: Any) -> str:
        return '{"value": "x"}'

    made._settings["golden"] = made._settings["golden"].model_copy(update={"adapters": ("mute",)})
    found = _asked(made, "mute", "callable")
    assert not isinstance(found, str)
    assert found.model is None


class Golden(Capability[Item, str]):
    golden = (Item(text="x"),)

    def fallback(self, request: Item) -> str:
        return ""


def test_code_whose_source_cannot_be_read_is_said_to_be_unseen(folder: Path) -> None:
    run("lock")
    before = locked(folder)
    (folder / "shop/rules.py").write_text(
        "def grade(text):\n    if not text:\n        from shop import broken\n        return broken.x\n    return 1\n"
    )
    (folder / "shop/broken.py").write_text("def (")
    told = run("lock")
    assert "note: capability grade-item: the source of shop.broken can't be read: changes there aren't seen\n" in told
    found = [str(each) for each in differences(before, locked(folder)) if each.what == "fallback"]
    assert "capability grade-item: the source that can't be read: shop.broken" in found


def test_a_distribution_that_is_removed_meanwhile_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "failsoft.lockfile.facts._distributions", lambda: {"x": ["no-such-distribution"], "y": ["attrs"]}
    )
    assert list(_versions({"x", "y", "z"})) == ["attrs"]


def test_a_stale_lock_keeps_nobody_from_the_kill_switch(folder: Path) -> None:
    assert "no lock" in run("call", "name-item", '{"text": "x"}', code=1)
    assert "adapter:local blocked" in run("block", "adapter:local", "--why", "wrong answers")
    assert "is unblocked" in run("unblock", "adapter:local", "--why", "mended")


def test_what_a_function_closes_over_is_state() -> None:
    def made(stars: int) -> Any:
        def fallback(request: Item) -> int:
            return stars

        return fallback

    three, four = made(3), made(4)
    assert state_of(three) == [3]
    assert state_of(functools.partial(three, four)) == [[3], [{"object": f"{__name__}:{four.__qualname__}"}], {}]

    def digest(stars: int) -> str:
        found = capability(name="made")(made(stars))
        return Isolation({"ledger": {"url": "none"}}, capabilities=[found]).lock().capabilities["made"].state

    assert digest(3) == digest(3) != digest(4)


def test_a_golden_input_that_no_model_may_see_is_answered_all_the_same(folder: Path) -> None:
    change(
        folder,
        "shop/capabilities.py",
        "return Prompt.of(words",
        'if "old" in request.text:\n            raise ValueError("not this")\n        return Prompt.of(words',
    )
    before = locked(folder)
    assert [each.answer for each in before.capabilities["grade-item"].golden] == ['{"stars":4}', '{"stars":2}']
    change(folder, "shop/capabilities.py", '"not this"', '"never this"')
    told = [str(each) for each in differences(before, locked(folder))]
    assert told == [
        "capability grade-item: how the prompt is made: changed shop.capabilities:GradeItem.prompt",
        'capability grade-item: for {"text":"old"} a model is asked in other words',
    ]


# --- who reviews


def test_what_a_reviews_condition_reaches_and_closes_over_is_locked(folder: Path) -> None:
    change(
        folder,
        "shop/words.py",
        "REFUSED = 0",
        "REFUSED = 0\n\ndef over(most):\n    return lambda q, o: len(q.text) > most\n",
    )
    written = "when=lambda request, outcome: len(request.text) > 80"
    change(folder, "shop/capabilities.py", written, "when=words.over(80)")
    before = locked(folder)
    review = before.capabilities["name-item"]
    assert review.review == "when shop.words:over.<locals>.<lambda>"
    assert review.review_code == ["shop.words:over"]
    change(folder, "shop/capabilities.py", "words.over(80)", "words.over(90)")
    assert [str(each) for each in differences(before, locked(folder))] == [
        "capability name-item: what it's constructed with is other data"
    ]


@pytest.mark.parametrize(("review", "told"), [("Required()", "always"), ("Required(sample=0.5)", "sample 0.5")])
def test_a_review_without_a_condition_is_a_word_in_the_lock(folder: Path, review: str, told: str) -> None:
    change(folder, "shop/capabilities.py", "Required(when=lambda request, outcome: len(request.text) > 80)", review)
    found = locked(folder).capabilities
    assert (found["name-item"].review, found["name-item"].review_code) == (told, [])
    assert found["grade-item"].review == ""
