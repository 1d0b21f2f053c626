"""A recorded call run again, as far as it's deterministic, and compared with what's on record.

Theory of operation. What a provider said stands in the ledger; a model isn't asked, and that it would say the same again is
claimed nowhere: its answer is *evidenced*, not reproduced. All that followed from it is computed anew from recorded bytes:

    request ─▶ prompt                            by today's capability
    reply   ─▶ decode ─▶ schema ─▶ accept        by the adapter of the recorded configuration, by today's capability
    request ─▶ fallback                          by today's capability

Rules:

1. A step is *the same*, it *differs*, or it's *not replayable*, with the reason.
2. What comes out otherwise under another version (of the capability, of the adapter's codec), by another fallback, or from a
   request that isn't wholly on record, is not replayable: it's no failure to reproduce, and no proof of sameness either.
   What comes out the same is the same whatever the version.
3. A reply's headers aren't kept. What may have stood in one (who served, what was used, a media type, whether to come back
   later) is no difference where the body doesn't say it.
4. A step that rests on one which couldn't be run isn't run, and isn't listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field

from failsoft.core.contract import Contract, Snapshot
from failsoft.core.effects import HttpReply
from failsoft.core.turn import repaired
from failsoft.fault import FaultKind
from failsoft.ledger.read import Reader
from failsoft.ledger.records.facts import provider_text
from failsoft.outcome import Pin
from failsoft.prompt import Prompt
from failsoft.replay.comparing import believed, differences_of, excuses_for, in_doubt, other, same_value
from failsoft.replay.configured import Configured, Judged, Told, guarded, media_types, reply_of
from failsoft.replay.judging import AFTER_DECODING, Bench, Verdict
from failsoft.replay.recorded import Attempted, Damaged, End, Recorded, recorded
from failsoft.replay.steps import Replayed, Result, Step

_SAME, _DIFFERS, _NOT = Result.SAME, Result.DIFFERS, Result.NOT_REPLAYABLE

_NO_ANSWER = {
    "cancelled": "its caller cancelled it, so nobody was given an answer",
    "refused": "it was refused since it couldn't be recorded, so nobody was given an answer",
}

_HEADERS = "headers of replies aren't kept"


class Replay:
    """Replays the calls of a ledger.

    Args:
        reader: an open ledger.
        contracts: the application's capabilities, by name: `failsoft.isolation.Isolation.contracts`.
        pins: of its adapters, by name.
    """

    def __init__(self, reader: Reader, contracts: Mapping[str, Contract[Any, Any]], pins: Mapping[str, Pin]) -> None:
        self.reader = reader
        self._contracts = contracts
        patterns = frozenset(each.served_pattern for each in pins.values() if each.served_pattern is not None)
        self._configured = Configured(reader, patterns)
        self._bench = Bench()

    def call(self, call_id: str) -> Replayed:
        """What comes of one call. Raises for nothing that a record, a payload or the capability's own code does.

        Raises:
            NoSuchCall: the ledger has no call with this identifier.
            LedgerInvalid: the ledger can't be read.
        """
        try:
            call = recorded(self.reader, call_id)
        except Damaged as error:
            return Replayed(call_id, steps=(Step("call", _NOT, str(error)),))
        return _Replaying(call, self._contracts.get(call.capability), self._configured, self._bench).run()


@define
class _Replaying:
    """One call as it's replayed."""

    call: Recorded
    contract: Contract[Any, Any] | None
    configured: Configured
    bench: Bench
    steps: list[Step] = field(factory=list[Step])
    notes: list[str] = field(factory=list[str])
    excuses: list[str] = field(factory=list[str])
    """Why what the capability gives may be something else than was recorded."""
    snapshot: Snapshot[Any] | None = None
    prompt: Prompt | None = None
    says: str | None = None

    def run(self) -> Replayed:
        call = self.call
        self._look_at_the_end()
        if call.ends:
            if self.contract is not None:
                self._ask(self.contract)
            seen: dict[str, Verdict] = {}
            for attempt in call.attempts:
                verdict = self._attempt(attempt, seen.get(attempt.adapter))
                if verdict is not None:
                    seen[attempt.adapter] = verdict
            if self.contract is not None and self.snapshot is not None:
                self._fall_back(self.contract, self.snapshot)
        told = tuple(self.steps), tuple(self.notes), self.says
        return Replayed(call.call_id, call.index, call.ts, call.capability, *told)

    # --- what is noted ------------------------------------------------------------------------------------------------

    def _note(self, step: str, result: Result, reason: str = "", attempt: Attempted | None = None) -> None:
        about = (None, "") if attempt is None else (attempt.n, attempt.adapter)
        self.steps.append(Step(step, result, reason, *about))

    def _compare(
        self, step: str, difference: str, excuses: list[str], attempt: Attempted | None = None, same: str = ""
    ) -> None:
        """The same, where there's no difference; else a difference, or none that tells anything."""
        if not difference:
            self._note(step, _SAME, same, attempt)
        elif excuses:
            self._note(step, _NOT, f"{difference}; but {' and '.join(excuses)}", attempt)
        else:
            self._note(step, _DIFFERS, difference, attempt)

    # --- the call -----------------------------------------------------------------------------------------------------

    def _look_at_the_end(self) -> None:
        call, reasons = self.call, list[str]()
        if call.got is None:
            gone = (
                "whoever made it is gone, or couldn't write it"
                if call.orphaned
                else "it's under way, or its end was never written"
            )
            reasons.append(f"it has no end on record: {gone}")
        elif call.got.outcome in _NO_ANSWER:
            reasons.append(_NO_ANSWER[call.got.outcome])
        elif call.got.kind == "frozen":
            reasons.append("it was answered by a frozen answer")
        elif call.got.kind is None and call.got.outcome != "failed":
            reasons.append("its record doesn't say who answered")
        if not all(map(self._is_there, call.ends)):
            reasons.append("the attempt that answered isn't on record, or is said to have failed")
        if call.omitted:
            reasons.append(
                f"{call.omitted} of its attempts aren't on record: of a long call only the first and last are"
            )
        if self.contract is None:
            reasons.append(f'there is no capability named "{call.capability}" in this configuration')
        elif call.version != self.contract.version:
            was, now = _version(call.version), _version(self.contract.version)
            self.excuses.append(f"the capability has another version: {was} then, {now} now")
        if call.redacted:
            self.excuses.append("what looked like a credential was taken out of what's on record")
        self._note("call", _NOT if reasons else _SAME, "; ".join(reasons))

    def _is_there(self, end: End) -> bool:
        """Is the attempt that answered on record, if one did?"""
        answered = [each.n for each in self.call.attempts if each.fault is None]
        return end.kind != "adapter" or answered.count(end.attempt or 0) == 1

    def _ask(self, contract: Contract[Any, Any]) -> None:
        """Request and prompt."""
        payload = self.call.request
        if payload.data is None:
            self._note("request", _NOT, f"the request {payload.why}")
            return
        marks = None if contract.audit is None else contract.audit.request
        if marks is not None and marks.omitted:
            self.excuses.append("a part of the request is on no record (`Audit.omitted`)")
        try:
            self.snapshot = contract.snapshot(contract.parse_request(payload.data))
            text = self.snapshot.text if marks is None else marks.kept(self.snapshot.text)
        except (Exception, SystemExit) as error:  # validators are the user's own
            problem = f"the recorded request doesn't fit today's request type ({type(error).__name__})"
            self._compare("request", problem, self.excuses)
            return
        if same_value(payload.data, text, contract.parse_request):
            self._note("request", _SAME)
            if marks is None or not marks.omitted:
                self.snapshot = evolve(self.snapshot, text=payload.data)  # the order in which a prompt showed it
        else:
            self._note("request", _NOT, "today's request type writes the recorded request in other bytes")
            self.excuses.append("its request isn't wholly on record, or the request's type has changed")
        self._render(contract, self.snapshot)

    def _render(self, contract: Contract[Any, Any], snapshot: Snapshot[Any]) -> None:
        payload = self.call.prompt
        if payload is None:
            if self.call.attempts:
                self._note("prompt", _NOT, f"no prompt of it is on record{self._hidden()}")
            return
        try:
            prompt = contract.render(snapshot)
            text = prompt.to_json()
        except (Exception, SystemExit) as error:  # it's the user's own
            self._compare("prompt", f"prompt() raises {type(error).__name__} today", self.excuses)
            return
        self.prompt = prompt
        if payload.data is None:
            self._note("prompt", _NOT, f"the prompt {payload.why}")
            return
        self._compare("prompt", "" if text == payload.data else "today's prompt is another", self.excuses)

    # --- an attempt ---------------------------------------------------------------------------------------------------

    def _attempt(self, attempt: Attempted, before: Verdict | None) -> Verdict | None:
        """Its own prompt, and what follows from its reply."""
        if attempt.prompt is not None and attempt.why == "repair":
            self._repair(attempt, before)
        if attempt.reply is None:
            hidden = self._hidden()
            if hidden or attempt.fault is None or attempt.fault in AFTER_DECODING:
                self._note("decode", _NOT, f"no reply of it is on record{hidden}", attempt)
            else:
                self.notes.append(f"attempt {attempt.n} ({attempt.adapter}) brought no reply: {attempt.fault}")
            return None
        if attempt.reply.data is None:
            self._note("decode", _NOT, f"its reply {attempt.reply.why}", attempt)
            return None
        judged = self.configured.judge_of(self.call.config_sha256, attempt)
        verdict = self._decoded(attempt, attempt.reply.data, judged)
        if verdict is None or verdict.fault is not None:
            return verdict
        if attempt.fault == FaultKind.CANCELLED:
            self.notes.append(f"attempt {attempt.n} ({attempt.adapter}) was broken off: its answer wasn't used")
        elif (attempt.fault is None or attempt.fault in AFTER_DECODING) and self.contract is not None:
            if self.snapshot is None:
                self._note("schema", _NOT, "it can't be held to the response type without the request", attempt)
            else:
                self._hold(self.contract, attempt, verdict)
        return verdict

    def _hidden(self) -> str:
        """Why prompts and replies of this capability aren't kept; empty where they are."""
        audit = None if self.contract is None else self.contract.audit
        return ": the capability keeps a part of it from records" if audit is not None and audit.hides else ""

    def _repair(self, attempt: Attempted, before: Verdict | None) -> None:
        assert attempt.prompt is not None
        if attempt.prompt.data is None:
            self._note("prompt", _NOT, f"the repair's prompt {attempt.prompt.why}", attempt)
        elif self.prompt is None or before is None or before.detail is None:
            self._note("prompt", _NOT, "what it was made of can't be replayed", attempt)
        else:
            text = repaired(self.prompt, before.answer, before.detail).to_json()
            difference = "" if text == attempt.prompt.data else "today's repair would say something else"
            self._compare("prompt", difference, self.excuses, attempt)

    def _decoded(self, attempt: Attempted, body: bytes, judged: Judged | str) -> Verdict | None:
        """What its reply says; None where nobody can tell."""
        asked = None if self.contract is None or self.snapshot is None else (self.contract, self.snapshot)
        if isinstance(judged, str):
            self._note("decode", _NOT, judged, attempt)
            if attempt.status is not None:
                return None
            kept = guarded(attempt.adapter, Told(None, attempt.served, attempt.tokens), Pin(attempt.pin.model))
            return self.bench.judge(asked, kept, HttpReply(200, {}, body))
        if attempt.status is None:
            self._note("decode", _NOT, "the record has no HTTP status of it", attempt)
            return None
        verdict, differences, unsaid = self._read(attempt, judged, reply_of(judged.adapter.codec, attempt.status, body))
        if differences:
            for kind in media_types(judged.adapter.codec, attempt.status):
                typed = self._read(attempt, judged, HttpReply(attempt.status, {"content-type": kind}, body))
                if not typed[1]:
                    verdict, differences, unsaid = typed[0], [], [*typed[2], f"it says the same if it came as {kind}"]
                    break
        if differences:
            self._compare("decode", ", ".join(differences), excuses_for(attempt, judged), attempt)
        elif unsaid:
            self._note("decode", _NOT, f"{' and '.join(unsaid)}, and {_HEADERS}", attempt)
        else:
            self._note("decode", _SAME, "", attempt)
        return verdict

    def _read(self, attempt: Attempted, judged: Judged, reply: HttpReply) -> tuple[Verdict, list[str], list[str]]:
        """What a reply says; what of that is otherwise than on record; and what may have stood in its headers."""
        asked = None if self.contract is None or self.snapshot is None else (self.contract, self.snapshot)
        verdict = self.bench.judge(asked, judged.adapter, reply)
        served, unsaid = believed(attempt, verdict, judged)
        if unsaid:
            told: Any = Told(judged.adapter.codec, served)
            verdict = self.bench.judge(asked, evolve(judged.adapter, codec=told), reply)
        differences, by_headers = differences_of(attempt, verdict, judged)
        return verdict, differences, [*unsaid, *by_headers]

    def _hold(self, contract: Contract[Any, Any], attempt: Attempted, verdict: Verdict) -> None:
        """The answer to the response type and to the acceptance rule."""
        if attempt.fault == FaultKind.CAPABILITY_BUG:
            failed = "bug" in (verdict.fits, verdict.accepted)
            difference = "" if failed else "the capability's own code failed then, and doesn't today"
            self._compare("accept", difference, self.excuses, attempt, "the capability's own code fails, as it did")
            return
        if attempt.fault == FaultKind.SCHEMA_INVALID:
            difference = "" if verdict.fits == "no" else "its answer didn't fit the response type then"
            self._compare("schema", difference, self.excuses, attempt, "its answer doesn't fit, as it didn't")
            return
        if verdict.fits != "yes":
            why = f"the response type raises {verdict.error}" if verdict.fits == "bug" else "its answer doesn't fit"
            self._compare("schema", f"{why} today", self.excuses, attempt)
            return
        self._compare_response(contract, attempt, verdict)
        accepted = "no" if attempt.fault == FaultKind.UNACCEPTABLE else "yes"
        said = {"yes": "accepts its answer", "no": "refuses its answer", "bug": f"raises {verdict.error}"}
        difference = "" if verdict.accepted == accepted else f"accept() {said[verdict.accepted or 'bug']} today"
        self._compare("accept", difference, self.excuses, attempt)

    def _compare_response(self, contract: Contract[Any, Any], attempt: Attempted, verdict: Verdict) -> None:
        end = next((each for each in self.call.ends if each.kind == "adapter" and each.attempt == attempt.n), None)
        if end is None or verdict.response is None:
            self._note("schema", _SAME, "its answer fits", attempt)
        elif end.response is None or end.response.data is None:
            why = "isn't on record" if end.response is None else end.response.why
            self._note("schema", _NOT, f"its answer fits, but the response {why}", attempt)
        else:
            difference = self._differs(contract, end.response.data, verdict.response)
            excuses = [*self.excuses, *in_doubt(end.response.data, verdict.response, contract)]
            self._compare("schema", difference and f"its answer gives {difference}", excuses, attempt)

    def _differs(self, contract: Contract[Any, Any], was: bytes, now: bytes) -> str:
        return other(was, now, contract, None if self.snapshot is None else self.snapshot.lend())

    # --- the fallback -------------------------------------------------------------------------------------------------

    def _fall_back(self, contract: Contract[Any, Any], snapshot: Snapshot[Any]) -> None:
        got = self.call.got
        assert got is not None
        response: bytes | None = None
        problem = ""
        try:
            response = contract.dump_response(contract.answer_by_fallback(snapshot))
        except (Exception, SystemExit) as error:  # it's the user's own
            problem = f"the fallback fails today ({type(error).__name__})"
        for end in self.call.ends:
            if end.kind == "fallback":
                self._compare_fallback(contract, end, response, problem)
            elif end.outcome == "failed":
                self._compare_failure(problem)
        if got.kind in ("adapter", "frozen"):
            self.says = None if response is None else response.decode("utf-8", "replace")
            if problem:
                self.notes.append(problem)

    def _compare_fallback(self, contract: Contract[Any, Any], end: End, response: bytes | None, problem: str) -> None:
        excuses = list(self.excuses)
        if end.name != provider_text(contract.fallback_name):
            excuses.append(f'another one answered: "{end.name}" then, "{contract.fallback_name}" now')
        if end.response is None or end.response.data is None:
            why = "isn't on record" if end.response is None else end.response.why
            self._note("fallback", _NOT, f"the response {why}")
        elif response is None:
            self._compare("fallback", problem, excuses)
        else:
            difference = self._differs(contract, end.response.data, response)
            excuses += in_doubt(end.response.data, response, contract)
            self._compare("fallback", difference and f"the fallback gives {difference}", excuses)

    def _compare_failure(self, problem: str) -> None:
        excuses = list(self.excuses)
        if self.configured.snapshot(self.call.config_sha256).raises:
            if any(each.fault == FaultKind.CAPABILITY_BUG for each in self.call.attempts):
                self.notes.append('the capability\'s own bug was raised (on_bug = "raise"), and no fallback ran')
                return
            excuses.append('under on_bug = "raise" it may have failed without its fallback')
        difference = "" if problem else "the fallback failed then, and answers today"
        self._compare("fallback", difference, excuses, same="it fails, as it did")


def _version(version: str | None) -> str:
    return "none" if version is None else f'"{version}"'
