"""That nobody was asked: attested, disproved, or not to be told, and why."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from ledgers import SystemClock, rows
from signing import KEY, NEXT, signing_in, write
from tests.logs import Log, Process, at, attempt, by, snapshot

from failsoft.errors import LedgerInvalid
from failsoft.ledger import verify as verify_module
from failsoft.ledger.acts.rotation import rotate
from failsoft.ledger.locks import LiveFile
from failsoft.ledger.reading.attest import ATTESTED, SENT, UNDECIDED, Attestation, attest
from failsoft.ledger.records import draft
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.verify import verify


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "x.db")


@pytest.fixture
def process(log: Log) -> Process:
    """One under the usual policy."""
    log.first.configure()
    return log.first


def looked(log: Log, provider: str = "openai", since: float = 0, until: float | None = None) -> Attestation:
    return attest(log.close(), provider, at(since), None if until is None else at(until))


def test_a_log_whose_calls_went_elsewhere_attests_that_none_went_there(log: Log, process: Process) -> None:
    process.call("c1", 2, attempt("claude"), route=("claude",), source=by("claude"))
    process.call("c2", 3, source={"kind": "fallback", "name": "f"}, degraded=True)
    process.close(4)
    found = looked(log)
    assert (found.exit_code, found.sent, found.reasons) == (ATTESTED, (), ())
    assert (found.calls, dict(found.attempts), found.emitters) == (2, {"anthropic": 1}, 1)
    assert (found.gaps, found.orphans, found.under_way) == (0, 0, 0)
    assert found.shown[0] == "2 calls in that time, with 1 attempts: 1 to anthropic"
    assert any("no pin was given" in each for each in found.limits)


def test_what_verification_notes_stands_apart_from_what_the_ledger_cant_show(log: Log, process: Process) -> None:
    process.call("c1", 5, attempt("claude"), route=("claude",), source=by("claude"))
    process.call("c2", 2, attempt("claude"), route=("claude",), source=by("claude"))
    process.close(6)
    found = looked(log)
    assert found.exit_code == ATTESTED
    assert found.notes == verify(log.path).notes
    assert len(found.notes) == 1
    assert not set(found.limits) & set(found.notes)
    assert sum("clock" in each for each in found.limits) == 1


def test_a_problem_of_the_whole_log_beyond_those_that_are_named_is_a_reason(
    log: Log, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has no key could hide that it signed nothing behind a hundred others."""
    monkeypatch.setattr(verify_module, "SHOWN", 0)
    process.start("open", 2, ("claude",))
    process.close(4)
    found = attest(log.close(), "openai", at(0), keys=[KEY.verifier])
    assert found.exit_code == UNDECIDED
    assert any("problems more than it names" in each for each in found.reasons)


def test_an_attempt_that_went_there_is_named(log: Log, process: Process) -> None:
    process.call("c1", 2, attempt(endpoint="https://api.openai.com/v1"), source=by())
    process.call("c2", 3, attempt(fault="attempt_timeout"))
    found = looked(log)
    assert found.exit_code == SENT
    assert [(each.index, each.ts, each.call_id, each.place, each.fault) for each in found.sent] == [
        (4, at(2.1), "c1", "api.openai.com", ""),
        (6, at(3.1), "c2", "", "attempt_timeout"),
    ]
    assert {each.how for each in found.sent} == {"the adapter is configured for it"}


def test_more_than_a_hundred_are_counted(log: Log, process: Process) -> None:
    for number in range(11):
        process.call(f"c{number}", 2, *(attempt(n=n) for n in range(1, 11)))
    found = looked(log)
    assert (len(found.sent), found.more) == (100, 10)


@pytest.mark.parametrize(
    ("url", "provider", "code"),
    [
        ("https://api.openai.com/v1", "openai", SENT),
        ("https://API.openai.com.:443/v1", "openai", SENT),
        ("https://api.openai.com:8443/v1", "openai", SENT),
        ("https://eu.api.openai.com/v1", "openai", SENT),
        ("https://notapi.openai.com/v1", "openai", ATTESTED),
        ("https://api.openai.com.example.com/v1", "openai", ATTESTED),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "bedrock", SENT),
        ("https://bedrock-runtime.us-east-1.example.com", "bedrock", ATTESTED),
        ("http://localhost:8080/v1", "ollama", ATTESTED),
        ("http://[", "openai", ATTESTED),
        ("https://api\u3002openai\uff0ecom\uff61/v1", "openai", SENT),
        ("https://res.openai.azure.com/openai/v1", "azure-openai", SENT),
        ("https://res.cognitiveservices.azure.com", "azure-openai", SENT),
        ("https://res.services.ai.azure.com/models", "azure-openai", SENT),
        ("https://res.openai.azure.us", "azure-openai", SENT),
        ("https://res.azure.com", "azure-openai", ATTESTED),
        ("https://europe-west4-aiplatform.googleapis.com/v1", "vertex", SENT),
        ("https://aiplatform.googleapis.com/v1", "vertex", SENT),
        ("https://aiplatform.us-central1.rep.googleapis.com/v1", "vertex", SENT),
        ("https://storage.googleapis.com/v1", "vertex", ATTESTED),
        ("https://bedrock-mantle.us-east-1.api.aws/v1", "bedrock", SENT),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "bedrock", SENT),
        ("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", "bedrock", SENT),
        ("https://s3.us-east-1.amazonaws.com", "bedrock", ATTESTED),
        ("https://api.together.xyz/v1", "together", SENT),
        ("https://inference.ai.azure.com", "azure-openai", SENT),
        ("http://[::1]:11434/api", "ollama", SENT),
        ("https://api.example.com/v1", "vllm", ATTESTED),
    ],
)
def test_a_providers_own_host_is_the_provider_whatever_dialect_is_spoken(
    log: Log, url: str, provider: str, code: int
) -> None:
    log.first.configure(snapshot(providers={"any": "openai-compatible"}))
    log.first.call("c1", 2, attempt("any", endpoint=url), route=("any",))
    assert looked(log, provider).exit_code == code


def test_the_configured_place_counts_where_the_attempt_says_none(log: Log) -> None:
    log.first.configure(snapshot(providers={"any": "vllm"}, urls={"any": "https://api.openai.com/v1"}))
    log.first.call("c1", 2, attempt("any"), route=("any",))
    assert looked(log).sent[0].how == "it's the provider's own host"


def test_who_answers_behind_a_gateway_is_believed_where_it_is_the_one_asked_about(log: Log) -> None:
    log.first.configure(snapshot(providers={"router": "openrouter"}))
    log.first.call("c1", 2, attempt("router", served={"grade": "gateway", "upstream": "OpenAI"}), route=("router",))
    log.first.call("c2", 3, attempt("router", served={"grade": "gateway", "upstream": "Azure"}), route=("router",))
    found = looked(log)
    assert [each.call_id for each in found.sent] == ["c1"]
    assert "gateway" in found.sent[0].how
    assert attest(log.path, "--", at(0)).sent == ()


@pytest.mark.parametrize(
    ("upstream", "codes"),
    [
        ("Amazon Bedrock", {"bedrock": SENT, "anthropic": ATTESTED}),
        ("AWS-Bedrock", {"bedrock": SENT}),
        ("Amazon Nova", {"bedrock": UNDECIDED}),
        ("Google", {"vertex": SENT, "gemini": UNDECIDED, "openai": ATTESTED}),
        ("Google Vertex", {"vertex": SENT, "gemini": UNDECIDED}),
        ("Google AI Studio", {"gemini": SENT, "vertex": UNDECIDED}),
        ("Azure", {"azure-openai": SENT, "azure_openai": SENT, "openai": ATTESTED}),
        ("Azure OpenAI", {"azure-openai": SENT, "openai": ATTESTED}),
        ("OpenAI (EU)", {"openai": UNDECIDED, "azure-openai": UNDECIDED, "xai": ATTESTED}),
        ("OpenAI", {"openai": SENT, "azure-openai": ATTESTED}),
        ("xAI", {"xai": SENT, "openai": ATTESTED}),
        ("Z.AI", {"xai": ATTESTED, "gemini": ATTESTED, "together": ATTESTED}),
        ("Mistral AI", {"mistral": SENT}),
        ("Together AI", {"together": SENT}),
    ],
)
@pytest.mark.parametrize("provider", ["openrouter", "openai-compatible"])
def test_gateways_have_their_own_names_for_providers(
    log: Log, upstream: str, codes: dict[str, int], provider: str
) -> None:
    log.first.configure(snapshot(providers={"router": provider}))
    log.first.call("c1", 2, attempt("router", served={"upstream": upstream}), route=("router",), source=by("router"))
    log.first.close(3)
    log.close()
    found = {name: attest(log.path, name, at(0)) for name in codes}
    assert {name: each.exit_code for name, each in found.items()} == codes
    for each in found.values():
        assert bool(each.reasons) == (each.exit_code == UNDECIDED)
        assert all(f"who answered calls itself {upstream!r}" in reason for reason in each.reasons)


@pytest.mark.parametrize("named", [True, False])
def test_a_router_that_is_no_provider_of_ours_is_known_by_its_host(log: Log, named: bool) -> None:
    url = "https://router.huggingface.co/v1"
    log.first.configure(snapshot(providers={"router": "openai-compatible"}))
    served = {"upstream": "together"} if named else {"grade": "unknown"}
    log.first.call("c1", 2, attempt("router", endpoint=url, served=served), route=("router",))
    log.first.close(3)
    assert looked(log, "together").exit_code == (SENT if named else UNDECIDED)
    found = attest(log.path, "openai", at(0))
    assert found.exit_code == (ATTESTED if named else UNDECIDED)
    assert any("whom a router asked before that one isn't known" in each for each in found.limits)


@pytest.mark.parametrize("known_by", ["name", "base_url", "endpoint"])
@pytest.mark.parametrize("ended", [True, False])
def test_whom_a_router_asked_that_named_nobody_isnt_known(log: Log, known_by: str, ended: bool) -> None:
    """It may have sent the call there before it failed."""
    url = "https://openrouter.ai/api/v1"
    provider = "openrouter" if known_by == "name" else "openai-compatible"
    data = snapshot(providers={"router": provider}, urls={"router": url} if known_by == "base_url" else None)
    log.first.configure(data)
    if ended:
        told = attempt("router", served={"grade": "unknown"}, **({"endpoint": url} if known_by == "endpoint" else {}))
        log.first.call("c1", 2, told, route=("router",))
    else:
        log.first.start("c1", 2, ("router",))
    log.first.close(3)
    log.close()
    by_route = ended or known_by != "endpoint"
    found = attest(log.path, "openai", at(0))
    assert found.exit_code == (UNDECIDED if by_route else ATTESTED)
    assert len(found.reasons) == by_route
    if ended:
        assert "it's a router" in found.reasons[0]
    assert attest(log.path, "openrouter", at(0)).exit_code == (SENT if ended else UNDECIDED if by_route else ATTESTED)


class TestCannotBeAttested:
    def told(self, log: Log, reason: str, since: float = 0, until: float | None = None) -> Attestation:
        found = looked(log, "openai", since, until)
        assert found.exit_code == UNDECIDED
        assert any(reason in each for each in found.reasons), found.reasons
        return found

    def test_before_the_log_begins(self, log: Log, process: Process) -> None:
        self.told(log, f"the log begins at {at(0)}", since=-1)

    def test_of_somebody_unheard_of(self, log: Log, process: Process) -> None:
        assert "no provider named 'opnai'" in looked(log, "opnai").reasons[0]

    def test_but_of_a_foreign_provider_that_was_configured(self, log: Log) -> None:
        log.first.configure(snapshot(providers={"a": "acme"}))
        assert looked(log, "acme").exit_code == ATTESTED
        assert looked(log, "azure_openai").exit_code == ATTESTED

    @pytest.mark.parametrize(
        ("adapter", "word"),
        [("own", "a function of the application's"), ("given in code", "a function of the application's")],
    )
    def test_where_it_is_unknown_whom_an_adapter_asks(
        self, log: Log, process: Process, adapter: str, word: str
    ) -> None:
        process.call("c1", 2, attempt(adapter), attempt(adapter, 2), route=(adapter,))
        found = self.told(log, f"2 attempts by the adapter {adapter}: ")
        assert word in found.reasons[0]

    def test_while_a_call_is_under_way_that_may_ask_it(self, log: Log, process: Process) -> None:
        process.start("c1", 2, ("claude", "gpt"))
        process.start("c2", 2, ("claude",))
        found = self.told(log, "1 calls have no end in the log")
        assert "(started in record 3)" in found.reasons[0]
        assert (found.under_way, found.calls) == (2, 2)
        assert any(each.startswith("2 calls have no end in the log: 0 were orphaned, 2 are") for each in found.shown)

    def test_where_more_are_under_way_than_are_named(self, log: Log, process: Process) -> None:
        for number in range(12):
            process.start(f"c{number}", 2)
        assert "12, …)" in self.told(log, "12 calls have no end").reasons[0]

    def test_where_a_call_was_orphaned_that_may_have_asked_it(self, log: Log, process: Process) -> None:
        for number, second in (("before", 2), ("in it", 10)):
            built = process.start(number, second)
            process.say(draft.call_orphaned(number, built.leaf, None, None), second + 1)
        found = self.told(log, "(started in record 5)", since=5)
        assert (found.orphans, found.under_way) == (1, 0)
        assert found.reasons[0].startswith("1 calls have no end in the log whose route leads there")
        assert any(each.startswith("1 calls have no end in the log: 1 were orphaned, 0 are") for each in found.shown)

    def test_where_a_call_names_only_some_of_its_attempts(self, log: Log, process: Process) -> None:
        process.call("c1", 2, attempt("claude"), route=("claude",), attempts_omitted=3)
        process.call("c2", 3, attempt("claude"), route=("claude", "gpt"), attempts_omitted=3)
        found = self.told(log, "record 6: the call made more attempts than it names")
        assert len(found.reasons) == 1
        assert found.attempts["(not named)"] == 6

    def test_where_a_process_that_may_ask_without_a_record_declares_a_gap(self, log: Log) -> None:
        log.first.configure(snapshot("continue"))
        log.first.say(draft.gap_declared("queue_full", 7), 5)
        log.first.close(6)
        assert self.told(log, "declares that up to 7 calls").gaps == 7
        assert attest(log.path, "openai", at(6)).exit_code == ATTESTED

    def test_but_not_by_one_that_began_after_the_time(self, log: Log, process: Process) -> None:
        later = log.process(second=20)
        later.configure(snapshot("continue"), 20)
        later.say(draft.gap_declared("queue_full", 7), 25)
        later.close(26)
        process.close(30)
        found = looked(log, until=20)
        assert (found.exit_code, found.gaps) == (ATTESTED, 0)
        assert attest(log.path, "openai", at(0), at(21)).exit_code == UNDECIDED

    @pytest.mark.parametrize("opened", [2, 20])
    def test_by_one_whose_clock_was_ahead_when_it_began(self, log: Log, process: Process, opened: float) -> None:
        other = log.process(second=opened)
        other.configure(snapshot("continue"), opened)
        other.say(draft.gap_declared("queue_full", 7), 6)
        other.close(7)
        process.close(30)
        assert looked(log, until=10).gaps == 7
        assert attest(log.path, "openai", at(0), at(10)).exit_code == UNDECIDED

    def test_where_a_process_that_may_ask_without_a_record_never_closed(self, log: Log) -> None:
        log.first.configure(snapshot("continue"), 5)
        self.told(log, "hasn't closed the log")
        self.told(log, "hasn't closed the log", until=6)
        assert attest(log.path, "openai", at(0), at(5)).exit_code == ATTESTED, "it went on to speak after that"

    def test_where_nobody_knows_a_processs_policy(self, log: Log) -> None:
        self.told(log, "hasn't closed the log")

    def test_where_an_outage_that_was_made_up_for_later_lies_across_the_end(self, log: Log) -> None:
        log.first.configure(snapshot("continue"))
        log.first.say(draft.ledger_failure(at(5), "continue", 0, at(9)), 9)
        log.first.close(20)
        self.told(log, "couldn't record from", until=7)
        assert [attest(log.path, "openai", at(0), end).exit_code for end in (at(5), at(10), None)] == [ATTESTED] * 3

    def test_by_a_log_that_was_changed(self, log: Log, process: Process) -> None:
        connection = sqlite3.connect(log.close(), isolation_level=None)
        connection.execute("DROP TRIGGER ledger_record_no_delete")
        connection.execute("DELETE FROM ledger_record WHERE seq = 2")
        connection.close()
        assert "tampered with, and proves nothing" in self.told(log, "the ledger is").reasons[0]

    def test_by_what_is_no_ledger(self, tmp_path: Path) -> None:
        found = attest(tmp_path / "nowhere.db", "openai", at(0))
        assert found.exit_code == UNDECIDED
        assert "no such file" in found.reasons[1]

    def test_for_more_reasons_than_are_told(self, log: Log) -> None:
        log.first.configure(snapshot("continue"))
        for _ in range(103):
            log.first.say(draft.gap_declared("queue_full", 1), 5)
        log.first.close(6)
        found = self.told(log, "and 3 reasons more")
        assert len(found.reasons) == 101


def test_a_gap_of_a_process_that_asks_on_record_only_hides_no_call(log: Log, process: Process) -> None:
    process.say(draft.gap_declared("queue_full", 7), 5)
    process.say(draft.ledger_failure(at(4), "fallback", 7), 5)
    found = looked(log)
    assert (found.exit_code, found.gaps) == (ATTESTED, 7)


def test_a_process_that_fell_silent_before_is_told_as_a_limit(log: Log) -> None:
    log.first.configure(snapshot("continue"), 2)
    other = log.process(second=3)
    other.configure(second=3)
    found = looked(log, since=10)
    assert found.exit_code == ATTESTED
    assert any(
        each.startswith("what 1 processes did since then that may ask without a record") for each in found.limits
    )
    live = LiveFile.hold(log.path, log.first.emitter.id)
    assert attest(log.path, "openai", at(10)).exit_code == UNDECIDED, "it's there, and may be asking"
    live.release(remove=True)


@pytest.mark.parametrize("closed", [False, True])
def test_a_process_whose_records_may_wait_on_its_host_hides_calls(log: Log, process: Process, closed: bool) -> None:
    """Another one of its host proves nothing: that of one that lives is left alone."""
    waiting = log.process(second=2)
    waiting.configure(snapshot("spool"), second=2)
    waiting.configure(second=3)  # another policy since: what waited before may wait still
    if closed:
        waiting.close(4)
    following = log.process(3, second=5)
    following.configure(snapshot("spool"), second=5)
    following.close(6)
    found = looked(log, since=10)
    assert found.exit_code == (ATTESTED if closed else UNDECIDED)
    told = [each for each in found.reasons if each.startswith("process 2 on worker-1 may ask without a record here")]
    assert len(told) == (not closed)


@pytest.mark.parametrize(("policy", "code"), [("spool", ATTESTED), ("continue", UNDECIDED)])
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_process_that_another_one_of_its_host_swept_hides_nothing_that_waits(
    log: Log, process: Process, policy: str, code: int, store: str
) -> None:
    """What it did without a record stays hidden."""
    gone = log.process(second=2, store=store)
    gone.configure(snapshot(policy), second=2)
    if policy == "continue":
        gone.configure(snapshot("spool"), second=2)
    gone.call("c1", 11, route=("claude",))
    assert attest(log.path, "openai", at(10)).exit_code == UNDECIDED
    log.process(3, second=12, swept=(gone,)).configure(second=12)
    assert looked(log, since=10).exit_code == code
    assert looked(log, since=20).exit_code == (ATTESTED if store == "sqlite" else code)


def test_a_process_that_speaks_after_it_was_swept_wasnt_gone(log: Log, process: Process) -> None:
    gone = log.process(second=2, store="postgresql")
    gone.configure(snapshot("spool"), second=2)
    log.process(3, second=4, swept=(gone,)).configure(second=4)
    gone.call("c1", 5, route=("claude",))
    assert looked(log, since=6).exit_code == UNDECIDED


def test_a_clock_that_was_set_back_hides_what_waits_on_its_host(log: Log, process: Process) -> None:
    """What comes after its newest record may be of any time from there on."""
    other = log.process(second=2)
    other.configure(snapshot("spool"), second=30)
    assert looked(log, since=10, until=20).exit_code == ATTESTED
    log = Log(log.path.with_name("back.db"))
    log.first.configure()
    other = log.process(second=2)
    other.configure(snapshot("spool"), second=30)
    other.call("c1", 15, route=("claude",))
    assert looked(log, since=10, until=20).exit_code == UNDECIDED


@pytest.mark.parametrize("closed", [False, True])
def test_whether_a_process_is_gone_that_wrote_to_a_database_isnt_known(
    log: Log, process: Process, closed: bool
) -> None:
    """It may have lost it, and go on without a record."""
    other = log.process(second=2, store="postgresql")
    other.configure(snapshot("continue"), second=2)
    if closed:
        other.close(3)
    assert looked(log, since=10).exit_code == (ATTESTED if closed else UNDECIDED)


def test_that_nobody_had_the_log_open_is_told(log: Log, process: Process) -> None:
    process.close(5)
    silent = "no process had this log open"
    assert not any(silent in each for each in looked(log, since=5).limits)
    assert any(silent in each for each in looked(log, since=6).limits)


def test_that_a_clock_stepped_back_is_told(log: Log, process: Process) -> None:
    process.start("c1", 9, ("claude",))
    process.start("c2", 5, ("claude",))
    assert any("1 times a record's time is a second or more before" in each for each in looked(log).notes)


@pytest.mark.parametrize(
    ("since", "until", "code"),
    [
        (0, 2, ATTESTED),
        (0, 2.05, SENT),
        (2.05, 2.06, SENT),
        (2.1, None, SENT),
        (2.2, None, ATTESTED),
    ],
)
def test_a_call_lies_in_the_time_if_any_moment_of_it_does(
    log: Log, process: Process, since: float, until: float | None, code: int
) -> None:
    process.call("c1", 2, attempt())
    assert looked(log, "openai", since, until).exit_code == code


def test_a_call_without_a_start_counts_by_its_end(log: Log, process: Process) -> None:
    process.end("c1", 2, None, attempt())
    assert looked(log, until=2).exit_code == ATTESTED
    assert looked(log).exit_code == SENT


def test_a_call_that_began_later_or_a_process_that_opened_later_is_outside(log: Log, process: Process) -> None:
    process.start("c1", 8)
    log.process(second=9)
    built = process.start("c2", 10)
    process.say(draft.call_orphaned("c2", built.leaf, None, None), 11)
    found = looked(log, until=5)
    assert (found.exit_code, found.calls, found.emitters) == (ATTESTED, 0, 1)


def test_a_call_is_judged_by_the_configuration_that_it_names(log: Log, process: Process) -> None:
    start = process.start("c1", 2, ("claude",))
    process.configure(snapshot(providers={"claude": "openai"}), 3)
    process.end("c1", 4, start, attempt("claude"))
    assert looked(log).sent == ()


@pytest.mark.parametrize(("since", "until", "calls"), [(5, None, 1), (5.000001, None, 0), (0, 2, 0), (0, 2.000001, 1)])
@pytest.mark.parametrize("orphaned", [True, False])
def test_a_call_without_an_answer_lies_in_the_time_likewise(
    log: Log, process: Process, orphaned: bool, since: float, until: float | None, calls: int
) -> None:
    built = process.start("c1", 2)
    if orphaned:
        process.say(draft.call_orphaned("c1", built.leaf, None, None), 5)
    found = looked(log, "openai", since, until)
    assert (found.calls, found.orphans, found.under_way) == (
        (calls, calls, 0) if orphaned else (int(until != 2), 0, int(until != 2))
    )


@pytest.mark.parametrize("orphaned", [0, 20, 30, 44])
def test_a_call_that_was_taken_for_orphaned_and_ended_later_asked_whom_it_says(log: Log, orphaned: int) -> None:
    """However late its own process wrote that: the call lies in the time by its start."""
    process = log.first
    process.configure(snapshot(providers={"router": "openrouter"}))
    other = log.process(3, 1)
    begin = process.start("c1", 10, ("router",))
    if orphaned:
        told = {"call_id": "c1", "capability": {"name": "rate"}, "refs": {"started": begin.leaf.hex()}}
        other.tell(Kind.CALL_ORPHANED, orphaned, **told)
    process.end("c1", 60, begin, attempt("router", served={"grade": "gateway", "upstream": "OpenAI"}))
    process.close(70)
    other.close(71)
    log.close()
    for first, last in ((0, 45), (25, 45), (45, 50)):
        found = attest(log.path, "openai", at(first), at(last))
        assert (found.exit_code, len(found.sent), found.calls) == (1, 1, 1)
    assert attest(log.path, "openai", at(61), at(65)).calls == 0


@pytest.mark.parametrize(("start", "end"), [(7200, 3601), (3601, 7200), (6000, 6001), (7200, 7201)])
def test_a_call_during_which_a_clock_was_set_back_is_in_all_of_its_time(log: Log, start: int, end: int) -> None:
    log.first.configure(snapshot())
    log.first.end("c1", end, log.first.start("c1", start, ("gpt",)), attempt("gpt"))
    log.first.close(9500)
    log.close()
    found = attest(log.path, "openai", at(5400), at(9000))
    assert (found.exit_code, len(found.sent), found.calls) == (1, 1, 1)


@pytest.mark.parametrize("asked", ["claude", "gpt"])
def test_a_call_that_was_taken_for_orphaned_and_ended_later_has_an_end(log: Log, asked: str) -> None:
    process = log.first
    process.configure()
    other = log.process(3, 1)
    begin = process.start("c1", 10, ("claude", "gpt"))
    other.say(draft.call_orphaned("c1", begin.leaf, None, None), 20)
    process.end("c1", 30, begin, attempt(asked))
    process.close(40)
    other.close(41)
    found = looked(log)
    assert (found.exit_code, found.orphans, found.calls) == (ATTESTED if asked == "claude" else SENT, 0, 1)
    assert found.reasons == ()


def test_an_orphan_whose_start_is_told_nowhere_is_none(log: Log, process: Process) -> None:
    process.tell(Kind.CALL_ORPHANED, 3, call_id="c9", refs={"started": "00" * 32})
    assert looked(log).exit_code == UNDECIDED, "verification finds it"


def test_where_an_observed_call_went_that_has_no_end_isnt_known(log: Log) -> None:
    """Its provider's name says how it spoke, and its address stands in its end."""
    log.first.configure(json.dumps({"observed": True}).encode())
    log.first.start("c1", 2, route=("openai-compatible",))
    found = looked(log)
    assert found.exit_code == UNDECIDED
    assert any("1 calls have no end in the log" in each for each in found.reasons)


def test_an_observed_sdks_adapters_are_the_providers(log: Log) -> None:
    log.first.configure(b'{"observed":true}')
    log.first.call("c1", 2, attempt("openai"), route=("openai",))
    log.first.close(3)
    assert looked(log).exit_code == SENT
    found = looked(log, "anthropic")
    assert found.exit_code == UNDECIDED
    assert [
        each.endswith("(embeddings, files, batches, bodies that are streamed or very large)") for each in found.reasons
    ] == [True]


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"adapters":5}', b'{"adapters":{"gpt":{}}}', b"\xff", b"[" * 100_000])
def test_a_configuration_that_is_none_says_nothing(log: Log, data: bytes) -> None:
    log.first.configure(data)
    log.first.call("c1", 2, attempt("gpt"))
    log.first.close(3)
    found = looked(log)
    assert found.exit_code == UNDECIDED
    assert "no configuration on record" in found.reasons[0]


def test_a_call_that_names_a_configuration_that_isnt_there_may_have_asked_anybody(log: Log, process: Process) -> None:
    for number, digest in enumerate(("11" * 32, "no digest")):
        process.start(f"c{number}", 2, ("claude",), config_sha256=digest)
    assert "2 calls have no end" in looked(log).reasons[0]


def test_a_configuration_that_was_put_in_anothers_place_says_nothing(log: Log, process: Process) -> None:
    connection = sqlite3.connect(log.path, isolation_level=None)
    connection.execute("INSERT INTO ledger_artifact VALUES (?, 'application/json', ?)", (b"\x11" * 32, snapshot()))
    connection.close()
    process.start("c1", 2, ("claude",), config_sha256="11" * 32)
    assert "1 calls have no end" in looked(log).reasons[0]


def test_what_went_there_counts_more_than_what_cant_be_told(log: Log, process: Process) -> None:
    process.call("c1", 2, attempt(), attempt("own", 2), route=("gpt", "own"))
    found = looked(log)
    assert found.exit_code == SENT
    assert len(found.reasons) == 1


def test_many_configurations_dont_fill_the_memory(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failsoft.ledger.reading.senders._KEPT", 1)
    for second in (1, 2):
        log.first.configure(snapshot(providers={f"a{second}": "vllm"}), second)
        log.first.call(f"c{second}", second + 0.5, attempt(f"a{second}"), route=(f"a{second}",))
    assert looked(log).exit_code == ATTESTED


def test_records_that_are_written_meanwhile_arent_looked_at(
    log: Log, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verified(path: Path, **_: object) -> object:
        found = verify(path)
        process.call("c1", 2, attempt())
        return found

    monkeypatch.setattr("failsoft.ledger.reading.attest.verify", verified)
    assert attest(log.path, "openai", at(0)).exit_code == ATTESTED
    log.close()


def test_a_pin_says_how_far_the_log_is_the_one_that_was_written(log: Log, process: Process) -> None:
    early = verify(log.path)
    process.call("c1", 2, attempt("claude"), route=("claude",))
    late = verify(log.close())
    found = attest(log.path, "openai", at(0), pins=[(early.size, early.root)])
    assert any(f"the records from {early.size} on" in each for each in found.limits)
    found = attest(log.path, "openai", at(0), pins=[(late.size, late.root)])
    assert not any("pin" in each for each in found.limits)
    assert attest(log.path, "openai", at(0), pins=[(late.size, "0" * 64)]).exit_code == UNDECIDED


def _attempts_are_text(process: Process) -> None:
    process.end("c1", 3, process.start("c1", 2), attempts="all")


@pytest.mark.parametrize("damage", [_attempts_are_text])
def test_a_record_that_hashes_well_and_isnt_one_is_a_sentence(
    log: Log, process: Process, damage: Callable[[Process], None]
) -> None:
    damage(process)
    with pytest.raises(LedgerInvalid, match="aren't where failsoft writes them"):
        looked(log)


@pytest.mark.parametrize("count", ["many", -1])
def test_of_a_ledger_with_a_gap_of_no_number_of_calls_nothing_is_attested(
    log: Log, process: Process, count: object
) -> None:
    process.tell(Kind.GAP_DECLARED, 3, count=count, reason="x")
    found = looked(log)
    assert found.exit_code != 0
    assert any("malformed" in each for each in found.reasons)


class TestSigned:
    """By whoever brings a key along, of a log that's signed."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        write(tmp_path / "x.db", 0)
        return tmp_path / "x.db"

    def test_what_the_key_vouches_for_is_attested(self, path: Path) -> None:
        found = attest(path, "openai", first(path), keys=[KEY.verifier])
        assert found.exit_code == ATTESTED, found.reasons
        assert "records were verified: verified (root" in found.shown[-1]
        assert not any("no pin was given" in each or "what's signed ends there" in each for each in found.limits)

    def test_of_another_key_nothing_is(self, path: Path) -> None:
        found = attest(path, "openai", first(path), keys=[NEXT.verifier])
        assert found.exit_code == UNDECIDED

    def test_where_only_a_checkpoint_is_signed_by_it_that_is_said(self, path: Path) -> None:
        began = first(path)
        rotate(path, signing_in(path.parent), NEXT, clock=SystemClock(), actor="jdoe", why="yearly")
        write(path, 0, key=NEXT)
        assert attest(path, "openai", began, keys=[KEY.verifier, NEXT.verifier]).exit_code == ATTESTED
        found = attest(path, "openai", began, keys=[KEY.verifier])
        assert found.exit_code == UNDECIDED
        assert any("are of a key that you didn't give" in each for each in found.reasons)
        assert any("what's signed ends there" in each for each in found.limits)


def first(path: Path) -> str:
    began: str = rows(path, "SELECT ts FROM ledger_record WHERE seq = 0")[0][0]
    return began
