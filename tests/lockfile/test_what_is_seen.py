"""Any single change of what decides an answer is seen and named; one that decides nothing isn't."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from failsoft.errors import ConfigurationError
from failsoft.lockfile.compare import differences
from failsoft.lockfile.files import matching
from failsoft.lockfile.places import place_of
from failsoft.lockfile.words import changed_words
from tests.lockfile.shop import change, importable, locked, make

GRADE, NAME = "capability grade-item", "capability name-item"

# what is changed → what is said, word for word
SEEN: dict[str, tuple[str, str, str, list[str]]] = {
    "the prompt's text": (
        "shop/capabilities.py", '"You grade items."', '"You rate items."',
        [
            f"{GRADE}: how the prompt is made: changed shop.capabilities:_SYSTEM",
            f'{GRADE}: for {{"text":"a fine nut"}} a model is asked in other words',
            f'{GRADE}: for {{"text":"old"}} a model is asked in other words',
        ],
    ),
    "how a request is shown": (
        "shop/words.py", '"Item: {text}"', '"The item: {text}"',
        [
            f"{GRADE}: how the prompt is made: changed shop.words:shown",
            f'{GRADE}: for {{"text":"a fine nut"}} a model is asked in other words',
            f'{GRADE}: for {{"text":"old"}} a model is asked in other words',
        ],
    ),
    "a docstring that is the prompt": (
        "shop/capabilities.py", "What is this item called?", "How is this item called?",
        [f'{NAME}: the instruction that a model is given is worded otherwise: "What is this item …" → "How is this item …"'],
    ),
    "the request's schema": (
        "shop/types.py", "    text: str\n", "    text: str\n    size: int = 0\n",
        [
            f"{GRADE}: the request's schema: new size",
            f"{GRADE}: the acceptance rule: changed shop.types:Item",
            f"{GRADE}: the types' own checks: changed shop.types:Item",
            f"{GRADE}: the fallback's code: changed shop.types:Item",
            f'{GRADE}: a golden input is new: {{"size":0,"text":"a fine nut"}}',
            f'{GRADE}: a golden input is new: {{"size":0,"text":"old"}}',
            f'{GRADE}: a golden input is gone: {{"text":"a fine nut"}}',
            f'{GRADE}: a golden input is gone: {{"text":"old"}}',
            f"{GRADE}: how the prompt is made: changed shop.types:Item",
            f"{NAME}: the request's schema: new size",
            f"{NAME}: the types' own checks: changed shop.types:Item",
            f"{NAME}: the fallback's code: changed shop.types:Item",
        ],
    ),
    "the response's bounds": (
        "shop/types.py", "le=5", "le=6",
        [
            f"{GRADE}: the response's schema: the same names, but other types, limits or descriptions",
            f"{GRADE}: the acceptance rule: changed shop.types:Rating",
            f"{GRADE}: the types' own checks: changed shop.types:Rating",
            f"{GRADE}: the fallback's code: changed shop.types:Rating",
        ],
    ),
    "a description that a model is shown": (
        "shop/types.py", "A rating.", "Some rating.",
        [f"{GRADE}: the response's schema: the same names, but other types, limits or descriptions"],
    ),
    "a validator that no schema shows": (
        "shop/types.py", "value == 4 and", "value == 3 and",
        [
            f"{GRADE}: the acceptance rule: changed shop.types:Rating",
            f"{GRADE}: the types' own checks: changed shop.types:Rating",
            f"{GRADE}: the fallback's code: changed shop.types:Rating",
        ],
    ),
    "the acceptance rule": (
        "shop/capabilities.py", 'ValueError("never")', 'ValueError("not this")',
        [f"{GRADE}: the acceptance rule: changed shop.capabilities:GradeItem.accept"],
    ),
    "a constant of the acceptance rule in another module": (
        "shop/words.py", "REFUSED = 0", "REFUSED = 1",
        [f"{GRADE}: the acceptance rule: changed shop.words:REFUSED"],
    ),
    "a review that is switched off": (
        "shop/capabilities.py", "    review = Required(when=lambda request, outcome: len(request.text) > 80)\n", "",
        [
            f"{NAME}: reviewed by a person: never, before: when shop.capabilities:NameItem.<lambda>",
            f"{NAME}: which answers a person reviews: gone shop.capabilities:NameItem.review",
        ],
    ),
    "which answers are reviewed": (
        "shop/capabilities.py", "> 80", "> 90",
        [f"{NAME}: which answers a person reviews: changed shop.capabilities:NameItem.review"],
    ),
    "a sample beside the condition": (
        "shop/capabilities.py", "> 80)", "> 80, sample=0.05)",
        [
            f"{NAME}: reviewed by a person: when shop.capabilities:NameItem.<lambda>, sample 0.05, before: when "
            "shop.capabilities:NameItem.<lambda>",
            f"{NAME}: which answers a person reviews: changed shop.capabilities:NameItem.review",
        ],
    ),
    "the fallback's method": (
        "shop/capabilities.py", "min(5,", "min(4,",
        [f"{GRADE}: the fallback's code: changed shop.capabilities:GradeItem.fallback"],
    ),
    "a method that the fallback uses": (
        "shop/capabilities.py", "return self.bonus\n", "return self.bonus + 0\n",
        [f"{GRADE}: the fallback's code: changed shop.capabilities:GradeItem._extra"],
    ),
    "its constructor": (
        "shop/capabilities.py", "bonus: int = 0", "bonus: int = 1",
        [
            f"{GRADE}: how the prompt is made: changed shop.capabilities:GradeItem.__init__",
            f"{GRADE}: the acceptance rule: changed shop.capabilities:GradeItem.__init__",
            f"{GRADE}: the fallback's code: changed shop.capabilities:GradeItem.__init__",
            f"{GRADE}: what it's constructed with is other data",
            f'{GRADE}: to {{"text":"a fine nut"}} the fallback answered {{"stars":4}}, now '
            '{"stars":5}',
            f'{GRADE}: to {{"text":"old"}} the fallback answered {{"stars":2}}, now '
            '{"stars":3}',
        ],
    ),
    "a helper two modules away": (
        "shop/words.py", "text.lower()", "text.casefold()",
        [f"{GRADE}: the fallback's code: changed shop.words:plain"],
    ),
    "a table behind a star import": (
        "shop/_tables.py", '"nut": 3', '"nut": 2',
        [f"{GRADE}: the fallback's code: changed shop._tables:BY_WORD"],
    ),
    "what fills a table when it is imported": (
        "shop/_tables.py", '("old", "broken")', '("broken",)',
        [
            f"{GRADE}: the fallback's code: changed shop._tables:_fill",
            f'{GRADE}: to {{"text":"old"}} the fallback answered {{"stars":2}}, now '
            '{"stars":1}',
        ],
    ),
    "an artefact": (
        "shop/table.csv", "fine,4", "fine,5", [f"{GRADE}: the file table.csv has another content"],
    ),
    "sampling": (
        "shop/capabilities.py", "max_tokens=64", "max_tokens=65",
        [f"{GRADE}: sampling: max_tokens 64 became 65"],
    ),
    "sampling that gets a stop": (
        "shop/capabilities.py", "max_tokens=64", 'max_tokens=64, seed=None, stop=(";",)',
        [f"{GRADE}: sampling: seed 0 became none, stop none became ['; ']".replace("; ", ";")],
    ),
    "a repair": (
        "shop/capabilities.py", "    sampling =", "    repair = True\n    sampling =", [f"{GRADE}: its repair: false became true"],
    ),
    "its version": (
        "shop/capabilities.py", "    sampling =", '    version = "2"\n    sampling =', [f"{GRADE}: its version: none became 2"],
    ),
    "the pin": (
        "failsoft.toml", "gpt-4.1-2025-04-14", "gpt-5.6-sol",
        [
            "adapter gpt: asks for gpt-5.6-sol (fixed) instead of gpt-4.1-2025-04-14 (dated)",
            "adapter gpt: expects gpt-5.6-sol instead of gpt-4.1-2025-04-14",
        ],
    ),
    "what may be served": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nserved_pattern = "small-.*"',
        ["adapter local: expects small-.* instead of small"],
    ),
    "where it is": (
        "failsoft.toml", "127.0.0.1:1/", "127.0.0.1:2/",
        [
            "adapter local: its endpoint: http://127.0.0.1:1/v1/chat/completions became http://127.0.0.1:2/v1/chat/completions",
        ],
    ),
    "what is asked for in its URL": (
        "failsoft.toml", "127.0.0.1:1/v1", "127.0.0.1:1/v1?api-version=2", ["adapter local: its query: none became api-version=2"],
    ),
    "that it may float": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nfloating = true', ["adapter local: its floating: false became true"],
    ),
    "the file behind a label": ("small.gguf", "weights", "other", ["adapter local: the file of its weights is another one"]),
    "that another model is taken": (
        "failsoft.toml", 'model = "small"', 'model = "small"\non_mismatch = "record"',
        ["adapter local: its on_mismatch: refuse became record"],
    ),
    "how far a name must be believed": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nrequire_grade = "echoed"',
        ["adapter local: its require_grade: none became echoed"],
    ),
    "which calls it may see": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nlabels = ["CUI", "A"]',
        ["adapter local: may see calls labelled A, CUI, before: in no way"],
    ),
    "a header": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nheaders = { X-Team = { env = "SHOP_KEY" } }',
        ["adapter local: its header x-team is new"],
    ),
    "that it streams": ("failsoft.toml", 'model = "small"', 'model = "small"\nstream = true', ["adapter local: its stream: false became true"]),
    "when its stream is whole": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nstream = true\nstream_end = "done"',
        ["adapter local: its stream: false became true", "adapter local: its stream_end: none became done"],
    ),
    "which prompts it gets": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nmax_prompt_bytes = 100',
        ["adapter local: its max_prompt_bytes: none became 100"],
    ),
    "that it may be reached in the clear": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nallow_http = true', ["adapter local: its allow_http: false became true"],
    ),
    "that its breaker refuses nothing": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nmode = "observe"', ["adapter local: its mode: auto became observe"],
    ),
    "who gives its credential": (
        "failsoft.toml", 'model = "small"', 'model = "small"\nauth = "time:monotonic"', ["adapter local: its auth: none became time:monotonic"],
    ),
    "who answers without a ledger": (
        "failsoft.toml", "[ledger]", 'on_ledger_failure = "continue"\n[ledger]', ["policy: on_ledger_failure: fallback became continue"],
    ),
    "who answers at a bug": ("failsoft.toml", "[ledger]", 'on_bug = "raise"\n[ledger]', ["policy: on_bug: fallback became raise"]),
    "the route": (
        "failsoft.toml", '["gpt", "local"]', '["local", "gpt"]',
        [f"{GRADE}: asks local → gpt → fallback instead of gpt → local → fallback"],
    ),
    "a golden input": (
        "shop/capabilities.py", ' Item(text="old")', "", [f'{GRADE}: a golden input is gone: {{"text":"old"}}'],
    ),
    "a dependency": (
        "shop/rules.py", "    # the best", "    import packaging\n    packaging\n    # the best",
        [f"{GRADE}: the fallback's code: changed shop.rules:grade", f"{GRADE}: packaging is new"],
    ),
}  # fmt: skip

UNSEEN: dict[str, tuple[str, str, str]] = {
    "a comment": ("shop/rules.py", "# the best word counts", "# so it is"),
    "layout": ("shop/rules.py", "return max((TABLE", "return max(\n        (TABLE"),
    "a helper's docstring": ("shop/rules.py", '"""Stars for a text."""', '"""Stars."""'),
    "a fallback's docstring": ("shop/capabilities.py", '"""By its words."""', '"""By words."""'),
    "a docstring that isn't the prompt": ("shop/capabilities.py", "How good is this item?", "How good?"),
    "quotes": ("shop/rules.py", '"[a-z]+"', "'[a-z]+'"),
    "how a number is spelt": ("shop/words.py", "REFUSED = 0", "REFUSED = 0x0"),
    "what nobody uses": ("shop/rules.py", "return 7", "return 8"),
    "a new function beside": ("shop/rules.py", "import re\n", "import re\n\n\ndef more():\n    return 1\n"),
    "an import that nothing follows from": ("shop/rules.py", "import re\n", "import re\nimport math\n"),
    "a deadline": ("failsoft.toml", 'adapters = ["local"]', 'adapters = ["local"]\ndeadline = "9s"'),
    "attempts and times": (
        "failsoft.toml",
        'model = "small"',
        'model = "small"\nattempts = 1\nattempt_timeout = "2s"\nconcurrency = 3\nmax_waiting = 1',
    ),
    "where evidence is kept": ("failsoft.toml", 'url = "none"', 'url = "sqlite:///other.db"'),
    "a program's start": ("shop/rules.py", "_WORD =", 'if __name__ == "__main__":\n    print(TABLE)\n\n_WORD ='),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SHOP_KEY", "unread-key")
    with importable(tmp_path):
        yield make(tmp_path)


@pytest.mark.parametrize("what", SEEN)
def test_a_change_is_seen_and_named(folder: Path, what: str) -> None:
    file, old, new, told = SEEN[what]
    before = locked(folder)
    change(folder, file, old, new)
    after = locked(folder)
    assert sorted(map(str, differences(before, after))) == sorted(told)
    assert before.digest != after.digest


@pytest.mark.parametrize("what", UNSEEN)
def test_what_decides_nothing_is_not_seen(folder: Path, what: str) -> None:
    file, old, new = UNSEEN[what]
    before = locked(folder)
    change(folder, file, old, new)
    after = locked(folder)
    assert differences(before, after) == []
    assert before.text() == after.text()


def test_of_a_header_the_origin_stands_in_the_lock_and_never_the_value(folder: Path) -> None:
    change(folder, "failsoft.toml", 'model = "small"', 'model = "small"\nheaders = { x-a = { env = "SHOP_KEY" } }')
    before = locked(folder)
    assert before.adapters["local"].headers == {"x-a": '{"env": "SHOP_KEY"}'}
    assert "unread-key" not in before.text()
    change(folder, "failsoft.toml", '"SHOP_KEY" } }', '"PATH" } }')
    assert [str(each) for each in differences(before, locked(folder))] == [
        'adapter local: its header x-a {"env": "SHOP_KEY"} became {"env": "PATH"}'
    ]


def test_a_second_adapter_beside_the_first_is_told(folder: Path) -> None:
    change(folder, "shop/capabilities.py", "    sampling =", "    idempotent = True\n    sampling =")
    before = locked(folder)
    change(folder, "failsoft.toml", '["gpt", "local"]', '["gpt", "local"]\nhedge_after = "1s"')
    after = locked(folder)
    assert [str(each) for each in differences(before, after)] == [
        f"{GRADE}: the second adapter may be asked beside the first"
    ]
    assert [str(each) for each in differences(after, before)] == [
        f"{GRADE}: the second adapter is asked only where the first gave no answer"
    ]


def test_what_tests_default_to_is_no_change_of_what_is_in_force(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = locked(folder)
    monkeypatch.setenv("FAILSOFT_ON_BUG", "fallback" if os.environ.get("FAILSOFT_ON_BUG") == "raise" else "raise")
    assert locked(folder).text() == before.text()


def test_the_words_that_changed_are_shown_with_some_around_them_and_a_few_changes_only() -> None:
    old = " ".join(f"w{each}" for each in range(60))
    assert (
        changed_words(old, old.replace("w30", "x y"))
        == '"… w27 w28 w29 w30 w31 w32 w33 …" → "… w27 w28 w29 x y w31 w32 w33 …"'
    )
    assert changed_words("a b", "a b c") == '"a b" → "a b c"'
    assert changed_words("a  b", "a b") == ""
    many = changed_words(old, re.sub("w(.5)", r"x\1", old))
    assert many.endswith("; and 2 more changes")
    assert changed_words("", old).endswith(' w39 …"')


def test_changed_pieces_are_told_with_file_and_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = locked(folder)
    change(folder, "shop/words.py", "text.lower()", "text.casefold()")
    change(folder, "shop/capabilities.py", "return self.bonus\n", "return self.bonus + 0\n")
    assert [str(each) for each in differences(before, locked(folder), where=place_of)] == [
        f"{GRADE}: the fallback's code: changed shop.capabilities:GradeItem._extra (shop/capabilities.py:31), "
        "shop.words:plain (shop/words.py:5)"
    ]


def test_where_a_piece_stands_is_told_as_far_as_it_is_known(folder: Path) -> None:
    with (folder / "shop/words.py").open("a") as file:
        file.write("\nREFUSED = 1\nclass A:\n    x: int = 1\n    x = 2\n    class B:\n        y = 1\n")
    assert place_of("shop.words:REFUSED #2") == "words.py:12"
    assert place_of("shop.words:A.x #2") == "words.py:15"
    assert place_of("shop.words:A.B.y") == "words.py:17"
    unknown = ("shop.words:A.z", "shop.words:Z.z", "shop.words:z", "shop.words:A.x #3", "nowhere:x", "sys:x")
    assert [place_of(each) for each in unknown] == [None] * 6
    (folder / "shop/words.py").write_text("(")
    assert place_of("shop.words:A") is None


def test_artefacts_stay_in_the_modules_folder_and_are_never_the_lock(folder: Path, tmp_path: Path) -> None:
    change(folder, "shop/capabilities.py", '("table.csv",)', '("../small.gguf", "/etc/hostname", "x/../../*", "C:/x")')
    with pytest.raises(ConfigurationError) as caught:
        locked(folder)
    out, absolute = (
        "leads out of the module's folder: put the file there",
        "is an absolute path: name it relative to the module's folder",
    )
    assert caught.value.problems == tuple(
        f"capabilities.grade-item: artefacts: {pattern}: {why}"
        for pattern, why in (
            ("../small.gguf", out),
            ("/etc/hostname", absolute),
            ("x/../../*", out),
            ("C:/x", absolute),
        )
    )
    lock = folder / "failsoft.lock"
    lock.write_text("x")
    assert sorted(matching(folder, "*", lock)) == ["failsoft.toml", "small.gguf"]
    with pytest.raises(ValueError, match="is the lock itself"):
        matching(folder, "failsoft.lock", lock)


def test_another_fallback_is_named(folder: Path) -> None:
    (folder / "shop/rules.py").write_text(
        (folder / "shop/rules.py").read_text() + "\ndef name(item):\n    return words.plain(item.text)\n"
    )
    before = locked(folder)
    change(
        folder,
        "failsoft.toml",
        'class = "shop.capabilities:NameItem"',
        'class = "shop.capabilities:NameItem"\nfallback = "shop.rules:name"',
    )
    found = [str(each) for each in differences(before, locked(folder))]
    assert found == [
        f"{NAME}: the fallback is shop.rules:name instead of shop.capabilities:NameItem",
        f"{NAME}: the fallback's code: new shop.rules:name, shop.words:plain; gone shop.capabilities:NameItem.fallback, "
        "shop.types:Item",
    ]


def test_capabilities_and_adapters_that_come_and_go_are_named(folder: Path) -> None:
    before = locked(folder)
    text = (folder / "failsoft.toml").read_text()
    (folder / "failsoft.toml").write_text(
        text.replace("adapters.local", "adapters.other")
        .replace('["gpt", "local"]', '["gpt"]')
        .partition("[capabilities.name")[0]
    )
    found = [str(each) for each in differences(before, locked(folder))]
    assert found == [
        f"{GRADE}: asks gpt → fallback instead of gpt → local → fallback",
        f"{NAME}: is no more",
        "adapter local: is no more",
        "adapter other: is new",
    ]


def test_a_version_of_failsoft_or_pydantic_is_named(folder: Path) -> None:
    now = locked(folder)
    found = differences(now.model_copy(update={"failsoft": "0.0.1"}), now)
    assert [str(each) for each in found] == [f"versions: failsoft 0.0.1 became {now.failsoft}"]


def test_everything_wrong_is_told_at_once(folder: Path) -> None:
    change(folder, "shop/capabilities.py", '("table.csv",)', '("none.csv", "*.nothing")')
    change(
        folder,
        "shop/capabilities.py",
        "return Rating(stars=min(5",
        "raise KeyError(request.text)\n        return Rating(stars=min(5",
    )
    (folder / "small.gguf").unlink()
    with pytest.raises(ConfigurationError) as caught:
        locked(folder)
    assert caught.value.problems == (
        "capabilities.grade-item: artefacts: none.csv: there's no such file beside shop.capabilities",
        "capabilities.grade-item: artefacts: *.nothing: there's no such file beside shop.capabilities",
        "capabilities.grade-item: golden[0]: isn't answered: KeyError: 'a fine nut'",
        "capabilities.grade-item: golden[1]: isn't answered: KeyError: 'old'",
        "adapters.local.weights: small.gguf: No such file or directory",
    )


def test_a_fallback_that_answers_in_two_ways_is_refused(folder: Path) -> None:
    change(folder, "shop/capabilities.py", 'Item(text="a fine nut"), ', "")
    change(folder, "shop/capabilities.py", 'Item(text="old"))', 'Item(text="old"),)')
    change(folder, "shop/capabilities.py", "return self.bonus\n", "self.bonus += 1\n        return self.bonus\n")
    with pytest.raises(ConfigurationError, match="two answers to one request: it must be deterministic"):
        locked(folder)


PROGRAM = "import sys; sys.path.insert(0, '.')\nfrom failsoft import Isolation\nsys.stdout.write(Isolation.from_file('failsoft.toml').lock().text())"


def test_equal_inputs_are_equal_bytes_in_every_process(folder: Path) -> None:
    change(
        folder,
        "shop/capabilities.py",
        "self.bonus = bonus",
        'self.bonus = bonus\n        self.words = {"a", "b", "c", "d", "e"}',
    )
    texts = {
        subprocess.run(
            [sys.executable, "-B", "-c", PROGRAM],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {locked(folder).text().encode()}
