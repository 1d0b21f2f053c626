"""The procurement example: its fallbacks answer everything, its rules say what they claim, its model really serves."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from failsoft import Referral
from procurement import keywords, model_server, rules, second_model, server_process
from procurement.capabilities import (
    CheckSolicitation,
    Citation,
    ClassifyItem,
    Item,
    Notice,
    SetAside,
    Solicitation,
    SupplyClass,
)
from procurement.vocabulary import TITLES

FOLDER = Path(model_server.__file__).parent
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "procurement"
ALIAS = "SmolLM2-135M-Instruct-Q4_1"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared procurement data is not present")
needs_model = pytest.mark.skipif(model_server.missing() is not None, reason=str(model_server.missing()))

clause_text = st.lists(
    st.sampled_from(
        [
            *(
                "52.219-6",
                "252.225-7001",
                "52.212-",
                "452.219-70",
                "FAR",
                "set aside",
                "not",
                "small business",
                "HUBZone",
            ),
            *("unrestricted", ",", ".", ";", "\n", " ", "8(a)", "Title Of A Clause", "é", "(DEC 2022)", "whether"),
        ]
    ),
    min_size=1,
    max_size=60,
).map("".join)


def check(text: str) -> Solicitation | Referral:
    return CheckSolicitation().fallback(Notice(text=text))


def set_aside(text: str) -> SetAside | None:
    answer = check(text)
    return answer.set_aside if isinstance(answer, Solicitation) else None


# --- classifying items


@given(st.text(min_size=1, max_size=2000))
def test_every_description_gets_a_class(description: str) -> None:
    assert isinstance(ClassifyItem().fallback(Item(description=description)), SupplyClass)


@given(st.text(min_size=1, max_size=200))
def test_equal_descriptions_get_equal_classes(description: str) -> None:
    assert rules.classify(description) == rules.classify(description)


def test_a_description_without_any_known_word_gets_the_class_bought_most() -> None:
    assert rules.classify("zzz") == SupplyClass.HAND_TOOLS


def test_of_equally_likely_classes_the_lowest_code_wins() -> None:
    assert rules.classify("screw washer") == rules.classify("washer screw") == SupplyClass.SCREWS


def test_only_whole_words_count() -> None:
    assert rules.classify("penicillin mapping") == rules.classify("zzz")


@pytest.mark.parametrize(
    ("description", "code"),
    [("Brushes", "7920"), ("Boxes of screws", "5305"), ("Knives", "5110"), ("MOP", "7920")],
)
def test_plural_and_case_make_no_difference(description: str, code: str) -> None:
    assert rules.classify(description) == code


def test_the_first_words_weigh_more_than_what_follows() -> None:
    assert rules.classify("Mop, to be used with any detergent, by people in gloves") == SupplyClass.BROOMS_AND_BRUSHES


def test_a_stock_number_states_the_class() -> None:
    assert rules.KeywordTable()(Item(description="mop", nsn="5305-00-000-0000")) == SupplyClass.SCREWS


def test_a_stock_number_of_another_class_leaves_the_words_to_decide() -> None:
    assert rules.KeywordTable()(Item(description="mop", nsn="1005000000000")) == SupplyClass.BROOMS_AND_BRUSHES


@pytest.mark.parametrize(
    "nsn", ["", "5305", "5305-00-000-000", "5305-00-000-00000", "٥305-00-000-0000", "5305 00 000 0000"]
)
def test_a_malformed_stock_number_is_refused(nsn: str) -> None:
    with pytest.raises(ValidationError, match="nsn"):
        Item(description="mop", nsn=nsn)


def test_no_phrase_speaks_for_two_classes() -> None:
    phrases = [
        (tuple(rules._words(phrase)), code) for code, text in keywords.KEYWORDS.items() for phrase in text.split(",")
    ]
    assert len({phrase for phrase, _ in phrases}) == len(set(phrases))


def test_no_phrase_is_longer_than_what_is_looked_up() -> None:
    assert max(len(phrase) for phrase in rules._PHRASES) == rules._LONGEST


def test_every_class_has_a_title_and_keywords() -> None:
    assert set(TITLES) == set(keywords.KEYWORDS) == set(SupplyClass)


def test_every_class_can_be_reached() -> None:
    with (FOLDER / "items.csv").open() as file:
        items = [Item(description=row["description"], nsn=row["nsn"] or None) for row in csv.DictReader(file)]
    assert len(items) == 48
    assert {ClassifyItem().fallback(item) for item in items} == set(SupplyClass)


def test_the_prompt_lists_every_class_and_hides_the_stock_number() -> None:
    system, user = ClassifyItem().prompt(Item(description="mop", nsn="7920-00-000-0000")).messages
    assert all(f"{code}: {title}" in system.content for code, title in TITLES.items())
    assert user.content == "mop"


@needs_data
def test_every_class_is_an_official_one() -> None:
    with (DATA / "psc_fsc_classes.csv").open(newline="") as file:
        official = {row["code"] for row in csv.DictReader(file)}
    assert set(SupplyClass) <= official


@needs_data
def test_the_keyword_table_classifies_most_real_items() -> None:
    with (DATA / "gsa_items_text.dev.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fsc"] in set(SupplyClass)]
    right = sum(rules.classify(f"{row['common_name']}: {row['description']}") == row["fsc"] for row in rows)
    assert right / len(rows) > 0.85


# --- checking notices


@given(st.text(min_size=1, max_size=2000) | clause_text)
def test_every_notice_gets_an_acceptable_answer(text: str) -> None:
    notice = Notice(text=text)
    answer = CheckSolicitation().fallback(notice)
    CheckSolicitation().accept(notice, answer)
    TypeAdapter(Solicitation | Referral).validate_python(answer.model_dump())


@given(clause_text)
def test_every_quote_is_an_exact_part_of_the_notice(text: str) -> None:
    assert all(each.quote in text and each.number in each.quote for each in rules.clauses(text))


@given(clause_text)
def test_equal_notices_get_equal_answers(text: str) -> None:
    assert check(text) == check(text)


def test_a_notice_silent_about_its_set_aside_is_referred() -> None:
    assert check("Twelve mops. FAR 52.212-4 applies.") == Referral(
        reason="The notice doesn't say for whom it is set aside."
    )


def test_a_notice_that_contradicts_itself_is_referred() -> None:
    answer = check("Set aside for small business. This procurement is unrestricted.")
    assert isinstance(answer, Referral)
    assert "contradicts itself" in answer.reason


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a total small business set-aside", SetAside.TOTAL_SMALL_BUSINESS),
        ("this is set\naside for\nsmall business", SetAside.TOTAL_SMALL_BUSINESS),
        ("100% Small Business Set-A-Side", SetAside.TOTAL_SMALL_BUSINESS),
        ("a partial small business set-aside", SetAside.PARTIAL_SMALL_BUSINESS),
        ("designated a 100% HUB Zone set aside", SetAside.HUBZONE),
        ("a competitive 8(a) set-aside", SetAside.EIGHT_A),
        ("set-aside for Service Disabled Veteran Owned Small Businesses", SetAside.SERVICE_DISABLED_VETERAN),
        ("set aside for veteran-owned small business", SetAside.VETERAN),
        ("a WOSB set-aside", SetAside.WOMEN_OWNED),
        ("set-aside for economically disadvantaged women-owned firms", SetAside.ECONOMICALLY_DISADVANTAGED_WOMEN),
        ("set aside for Indian economic enterprises", SetAside.INDIAN_ENTERPRISE),
        ("This procurement is not set aside for small business", SetAside.UNRESTRICTED),
        ("Set Aside: none", SetAside.UNRESTRICTED),
        ("full and open competition", SetAside.UNRESTRICTED),
        ("The solicitation is unrestricted.", SetAside.UNRESTRICTED),
        ("other than full and open competition", None),
        ("to determine whether a small business set-aside is possible", None),
        ("with unrestricted rights in data", None),
        ("Small business is welcome. Money is set aside.", None),
    ],
)
def test_a_set_aside_is_read_from_its_sentence(text: str, kind: SetAside | None) -> None:
    assert set_aside(text) == kind


def test_clauses_are_cited_once_each_in_order() -> None:
    cited = rules.clauses("FAR 52.219-6, Notice (NOV 2020); DFARS 252.225-7001 Buy American. 52.219-6")
    assert cited == (
        Citation(number="52.219-6", quote="52.219-6, Notice (NOV 2020)"),
        Citation(number="252.225-7001", quote="252.225-7001 Buy American"),
    )


@pytest.mark.parametrize("text", ["452.219-70", "1.52.219-6", "52.219-", "52.219-6000", "252.225-70010", "52219-6"])
def test_what_only_resembles_a_clause_number_is_not_cited(text: str) -> None:
    assert rules.clauses(text) == ()


def test_at_most_two_hundred_clauses_are_cited() -> None:
    assert len(rules.clauses(" ".join(f"52.{n}-1" for n in range(200, 500)))) == 200


@pytest.mark.parametrize("unit", ["set aside ", "52.219-6", "small business ", "52.219-", " ", "a"])
def test_a_notice_of_full_length_is_read_within_a_second(unit: str) -> None:
    text = (unit * 20_000)[:20_000]
    began = time.process_time()
    check(text)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("number", "quote", "problem"),
    [("52.219-6", "52.219-6 as I remember", "not in the notice"), ("52.219-7", "52.219-6", "doesn't name it")],
)
def test_an_invented_quote_is_not_acceptable(number: str, quote: str, problem: str) -> None:
    answer = Solicitation(set_aside=SetAside.HUBZONE, clauses=(Citation(number=number, quote=quote),))
    with pytest.raises(ValueError, match=problem):
        CheckSolicitation().accept(Notice(text="FAR 52.219-6 applies"), answer)


@pytest.mark.parametrize(
    ("file", "kind", "count"),
    [
        ("hand-tools.txt", SetAside.TOTAL_SMALL_BUSINESS, 4),
        ("floor-care.txt", SetAside.SERVICE_DISABLED_VETERAN, 3),
        ("bookcases.txt", None, 0),
    ],
)
def test_the_sample_notices_show_an_answer_of_each_sort(file: str, kind: SetAside | None, count: int) -> None:
    answer = check((FOLDER / "notices" / file).read_text())
    stated = (answer.set_aside, len(answer.clauses)) if isinstance(answer, Solicitation) else (None, 0)
    assert stated == (kind, count)


def test_the_notice_prompt_is_the_instruction_and_the_text() -> None:
    system, user = CheckSolicitation().prompt(Notice(text="Twelve mops.")).messages
    assert "set aside" in system.content
    assert user.content == "Twelve mops."


# --- the real model


@pytest.fixture(scope="module")
def server() -> Iterator[server_process.ModelServer]:
    with server_process.ModelServer(ALIAS) as running:
        yield running


def ask(server: server_process.ModelServer) -> tuple[str, str]:
    """The model's answer, and the name that it served under."""
    prompt = ClassifyItem().prompt(Item(description="Push broom with stiff bristles"))
    schema = {
        "type": "object",
        "properties": {"value": {"type": "string", "enum": list(SupplyClass)}},
        "required": ["value"],
        "additionalProperties": False,
    }
    reply = httpx.post(
        f"{server.base_url}/chat/completions",
        json={
            "model": ALIAS,
            "messages": [{"role": each.role, "content": each.content} for each in prompt.messages],
            "temperature": 0,
            "max_tokens": ClassifyItem.sampling.max_tokens,
            "response_format": {"type": "json_schema", "json_schema": {"name": "c", "strict": True, "schema": schema}},
        },
        timeout=60,
        trust_env=False,
    ).json()
    return json.loads(reply["choices"][0]["message"]["content"])["value"], reply["model"]


@needs_model
def test_the_real_model_answers_with_a_class_under_its_alias(server: server_process.ModelServer) -> None:
    answer, served = ask(server)
    assert SupplyClass(answer)
    assert served == ALIAS
    assert len(server.sha256) == 64


@needs_model
def test_a_killed_server_starts_again_on_the_same_port_and_answers_alike(server: server_process.ModelServer) -> None:
    before, port = ask(server), server.port
    server.kill()
    assert server.pid is None
    with pytest.raises(httpx.ConnectError):
        ask(server)
    server.start()
    assert server.port == port
    assert ask(server) == before


@needs_model
def test_starting_a_running_server_changes_nothing(server: server_process.ModelServer) -> None:
    before = server.pid
    assert server.start().pid == before


@needs_model
def test_the_child_ends_when_its_parent_is_killed() -> None:
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from procurement.server_process import ModelServer\n"
        f"print(ModelServer({ALIAS!r}).start().pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(FOLDER.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        watch = os.pidfd_open(child)
        parent.send_signal(signal.SIGKILL)
    try:
        assert gone_within(watch, seconds=10)
    finally:
        os.close(watch)


def gone_within(watch: int, seconds: float) -> bool:
    import select

    readable, _, _ = select.select([watch], [], [], seconds)
    return bool(readable)


@needs_model
def test_a_taken_port_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "_BIND_LIMIT", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(server_process.PortInUse, match=f"port {port} is in use"):
            server_process.ModelServer(ALIAS, port=port).start()


@needs_model
def test_a_missing_model_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(server_process.ServerFailed, match="no model file"):
        server_process.ModelServer(ALIAS, model=tmp_path / "none.gguf").start()


@needs_model
def test_a_file_that_is_no_model_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(server_process.ServerFailed, match="can't serve"):
        server_process.ModelServer(ALIAS, model=tmp_path / "text.gguf", log=tmp_path / "log").start()


def test_without_a_quantizer_there_is_no_second_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_model, "quantizer", lambda: None)
    assert second_model.second_model() is None


@pytest.mark.skipif(second_model.quantizer() is None, reason="ik-llama-cpp-python is not installed")
def test_the_second_model_is_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = model_server.packaged_model(), second_model.second_model()
    assert first is not None
    assert second is not None
    assert model_server.file_digest(first) != model_server.file_digest(second)


# --- its lock -----------------------------------------------------------------------------------------------------------


def test_a_row_of_the_table_that_changes_shows_which_golden_answer_moved(tmp_path: Path) -> None:
    pytest.importorskip("typer")
    shutil.copytree(FOLDER, tmp_path / "procurement", ignore=shutil.ignore_patterns("__pycache__", "*.db*", "notices"))
    keywords = tmp_path / "procurement" / "keywords.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}

    def told(*arguments: str) -> str:
        command = [sys.executable, "-B", "-m", "failsoft", "lock", "-c", "procurement/failsoft.toml", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout

    assert "is written: 3 capabilities" in told()
    text = keywords.read_text().replace("broom, ", "besom, ")
    keywords.write_text(text.replace('SCREWS: """wood screw', 'SCREWS: """push broom, broom, wood screw'))
    assert told("--check").splitlines() == [
        "capability classify-item: the fallback's code: changed procurement.keywords:KEYWORDS "
        "(procurement/keywords.py:12)",
        'capability classify-item: to {"description":"Push broom, 24 inch, polypropylene bristles","nsn":null} the '
        'fallback answered "7920", now "5305"',
    ]
