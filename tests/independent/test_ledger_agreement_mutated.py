"""A ledger with records of nearly all types; each of its bodies changed at random, though all hashes fit; where the two disagree.

No verifier is stricter than the page or laxer: that they agree on what nobody thought of is worth more than on what somebody did.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.independent.agreeing import PAGE, agreed
from tests.independent.ledger_reader import Page

import test_ledger_erasure as erasing  # isort: skip
import test_ledger_pruning as pruning  # isort: skip
from attacked import COPIES, Attacked, Content, in_a_file  # isort: skip
from ledgers import CONTEXT, SystemClock, completed, ledger_at, settled, started  # isort: skip
from signing import KEY, NEXT, attack, recompute, signing_in, write  # isort: skip

from failsoft.context import CallContext, Case
from failsoft.core import evidence
from failsoft.core.effects import Recorded
from failsoft.ledger.acts.erasure import hold
from failsoft.ledger.acts.rotation import rotate
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format import canonical
from failsoft.ledger.format.merkle import Frontier, leaf_hash
from failsoft.ledger.location import InFile
from failsoft.ledger.read import Entry, read
from failsoft.review import ReviewNeed, sampled

Fields = dict[str, Any]
SAMPLED = ReviewNeed(required=sampled("r2", 0.5), policy="sample", sample=0.5)


def said(place: InFile, *records: Any) -> list[Any]:
    """The places of what a process says in one life."""
    ledger = ledger_at(place, clock=SystemClock())
    ledger.open()
    told = [settled(ledger.submit(each)) for each in records]
    ledger.close()
    assert all(isinstance(each, Recorded) for each in told)
    return told


def acted(act: evidence.Act, of: Entry, former: bytes | None = None, **more: Any) -> evidence.PersonActed:
    (response,) = [each["digest"] for each in of.fields["commitments"] if each["path"] == "response"]
    given: dict[str, Any] = {"decision": None, "display": None, "changed": None, **more}
    return evidence.PersonActed(
        act=act, call_id=of.fields["call_id"], capability="classify-item", capability_version="1", case=CONTEXT.case,
        labels=("CUI",), person="u-9", relation="amended" if of.kind == "call.amended" else "completed", answer=of.leaf,
        former=former, actor=CONTEXT.actor, shown=response, own=True, spent_ms=5, reason=b"because", audit=None, **given,
    )  # fmt: skip


def wrote(place: InFile) -> None:
    """All that a ledger may say, as far as anybody writes it."""
    case = CallContext(Case("P", "letter"))
    ledger = ledger_at(place, clock=SystemClock())
    ledger.open()
    schema = ("classify-item", b'{"type":"object"}')
    ledger.submit(evidence.ConfigActivated(b'{"a":1}', (("classify-item", "1"),), (), b'{"l":1}', (schema,)))
    begin = ledger.submit(started("p0", context=case))
    ledger.submit(completed(begin, "p0", context=case))
    ledger.submit(evidence.RetirementNotice("gpt", "m", None, "2027-01-01T00:00:00Z", b"words"))
    ledger.submit(evidence.BreakerChanged("gpt", "health", "closed", "open", "r", 5))
    ledger.submit(evidence.BlockChanged("adapter:gpt", True, "u-7", "w", mode="forced"))
    for name, need in (("r1", ReviewNeed(required=True, policy="always")), ("r2", SAMPLED)):
        begin = ledger.submit(started(name))
        end = ledger.submit(completed(begin, name, review=need))
        settled(end)
    amended = ("r2", "classify-item", "1", end, "answered", True, None, CONTEXT, 9, b'{"x":1}')
    settled(ledger.submit(evidence.CallAmended(*amended)))
    ledger.close()
    with read(place) as reader:
        first, second = reader.call("r1")[1], reader.call("r2")[2]
    said(place, acted("review", first, decision="changed", changed=b'{"n":1}', display=("text/plain", b"seen")))
    said(place, acted("appeal", second))
    with read(place) as reader:
        former = reader.call("r1")[2].leaf
    said(place, acted("override", first, former, decision="rejected"))
    said(place, evidence.ExportCreated("them", "u-7", "asked for", "ab" * 32))
    said(place, evidence.LedgerTransferred("elsewhere", "u-7", "archive"))
    said(place, evidence.LockChanged(b'{"l":2}', "ab" * 32, ("x became y",) * 25, "u-7", "w"))
    said(place, evidence.LockApproved(b'{"l":2}', "u-9", "tested", ("text/csv", b"1,2")))
    pruning.wrote(place, "P")
    erasing.wrote(place, CallContext(Case("E", "letter")), "e1")
    for held in (True, False):
        hold(erasing.acting(place), "P", held=held, person="u-9", why="claim")
    pruning.closed(place, "P")
    erasing.erased(place, "E", approved_by="u-8")
    assert pruning.pruned(place).records == 2


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> tuple[Attacked, Content]:
    attacked = in_a_file(tmp_path_factory.mktemp("rich") / "own")
    wrote(InFile(attacked.place.path))
    return attacked, attacked.take()


def put(attacked: Attacked, now: Content) -> InFile:
    """Leaves and head made to fit; of a record that is there at all."""
    frontier = Frontier()
    for row in now.records:
        row[1] = row[1] if row[2] is None else leaf_hash(row[2])
        frontier.append(row[1])
    now.head[1:3] = [frontier.size, frontier.to_bytes()]
    attacked.put(now)
    assert isinstance(attacked.closed, InFile)
    return attacked.closed


def test_the_page_has_every_key_that_a_record_has(rich: tuple[Attacked, Content]) -> None:
    attacked, content = rich
    assert agreed(put(attacked, content.copy())).exit_code == 0
    page, common = Page(PAGE), {"v", "type", "rid", "ts", "origin", "emitter", "eseq", "mono_us"}
    seen: set[str] = set()
    for row in content.records:
        fields = {} if row[2] is None else canonical.read(row[2])
        rules = page.rules[fields.get("type", row[6])]
        assert fields.keys() - common <= rules.must | rules.may, fields
        seen.add(fields.get("type", row[6]))
    assert set(page.rules) - seen == {
        *("call.orphaned", "gap.declared", "key.rotated", "ledger.failure", "ledger.recovered")
    }


# --- at random -------------------------------------------------------------------------------------------------------------

VALUES: tuple[Any, ...] = (
    *("", "x", "2", "00" * 16, "00" * 32, "e\u0301", "accepted", "pending", 0, 1, -1, 5, 2**53 - 1, True, False),
    *({}, {"id": "x"}, {"name": "x"}, ["x"], [1], [{}]),
)
ADDED = (
    *("refs", "case", "capability", "actor", "person", "dek", "commitments", "review", "call_id", "keys", "deks"),
    *("digests", "shown", "decision", "emitters", "labels", "facts"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from places(part, (*path, key))


def mutate(fields: Fields, chooser: random.Random) -> None:
    if chooser.random() < 0.15:
        fields[chooser.choice(ADDED)] = deepcopy(chooser.choice(VALUES))
        return
    *path, last = chooser.choice(list(places(fields)))
    part: Any = fields
    for key in path:
        part = part[key]
    if chooser.random() < 0.35 and len(part) > 1:
        del part[last]
    else:
        part[last] = deepcopy(chooser.choice(VALUES))


@pytest.mark.parametrize("seed", range(4))
def test_they_agree_on_bodies_that_were_changed_at_random(rich: tuple[Attacked, Content], seed: int) -> None:
    attacked, content = rich
    chooser = random.Random(seed)
    found: Counter[int] = Counter()
    for _ in range(80):
        now = content.copy()
        row = chooser.choice([each for each in now.records if each[2] is not None])
        fields = canonical.read(row[2])
        mutate(fields, chooser)
        try:
            row[2] = canonical.dump(fields)
        except canonical.ProfileError:
            continue
        if not isinstance(fields.get("type"), str):
            continue
        copies = [fields.get(name) for name in COPIES[:6]]
        copies += [
            part.get(key) if isinstance(part := fields.get(name, {}), dict) else None
            for name, key in (("case", "id"), ("capability", "name"))
        ]
        row[3:] = [
            copy if isinstance(copy, str | int | None) else old for copy, old in zip(copies, row[3:], strict=True)
        ]
        if type(row[4]) is not int:
            row[4] = None
        try:
            place = put(attacked, now)
        except sqlite3.IntegrityError:
            continue  # a number that's there already
        found[agreed(place).exit_code] += 1
    assert found[0]
    assert found[1]


# --- what was laxer once ----------------------------------------------------------------------------------------------


def of_kind(now: Content, kind: str, change: Callable[[Fields], object]) -> None:
    now.edit(now.of_kind(kind)[0], change)


def exchange(now: Content) -> None:
    """A record commits to another one's payload, and its own belongs to none."""
    one, other = (now.of_call(name)[0] for name in ("r1", "r2"))
    now.edit(other, lambda body: body.update(commitments=canonical.read(now.records[one][2])["commitments"]))
    (end,) = (index for index in now.of_call("r2") if now.records[index][6] == "call.completed")
    started_at = leaf_hash(now.records[other][2]).hex()
    now.edit(end, lambda body: body["refs"].update(started=started_at))
    told = leaf_hash(now.records[end][2]).hex()
    (amended,) = now.of_kind("call.amended")
    now.edit(amended, lambda body: body["refs"].update(completed=told))
    told = leaf_hash(now.records[amended][2]).hex()
    of_kind(now, "appeal.recorded", lambda body: body["refs"].update(amended=told))


def lose_the_notice(now: Content) -> None:
    """What a provider announced, before a place up to which calls were pruned."""
    (digest,) = (
        each["digest"]
        for each in canonical.read(now.records[now.of_kind("model.retirement_notice")[0]][2])["commitments"]
    )
    now.tables["ledger_payload"] = [row for row in now.payloads if row[0].hex() != digest]


def instead(now: Content, kind: str, **fields: Any) -> None:
    """A record of another type in the place of one that nothing refers to."""
    index = now.of_kind("breaker.changed")[0]
    common = ("v", "rid", "ts", "origin", "emitter", "eseq", "mono_us")
    told = canonical.read(now.records[index][2])
    now.say(index, {key: told[key] for key in common} | {"type": kind} | fields)


def gap(count: object) -> Callable[[Content], None]:
    return lambda now: instead(now, "gap.declared", reason="queue_full", count=count)


def failure(lost: object) -> Callable[[Content], None]:
    return lambda now: instead(now, "ledger.failure", policy="fallback", lost_at_most=lost, **{"from": "then"})


@pytest.mark.parametrize("change", [gap(1), gap(2**53 - 1), failure(0), failure(7)])
def test_so_many_are_lost(rich: tuple[Attacked, Content], change: Callable[[Content], None]) -> None:
    attacked, content = rich
    now = content.copy()
    change(now)
    assert agreed(put(attacked, now)).exit_code == 0


LAX: dict[str, Callable[[Content], object]] = {
    **{f"a gap of {count!r} calls": gap(count) for count in (0, -7, "7", True, [7])},
    **{f"an outage that lost {lost!r} calls": failure(lost) for lost in (-1, "0", False, {})},
    "commitments that are no array": (
        lambda now: of_kind(now, "breaker.changed", lambda body: body.update(commitments={}))
    ),
    "labels that are no array": lambda now: of_kind(now, "appeal.recorded", lambda body: body.update(labels="CUI")),
    "capabilities that are no array": (
        lambda now: of_kind(now, "config.activated", lambda body: body.update(capabilities="x"))
    ),
    "a capability that is a text": (
        lambda now: of_kind(now, "config.activated", lambda body: body.update(capabilities=["x"]))
    ),
    "an approval by a report that isn't there": (
        lambda now: of_kind(now, "approval.recorded", lambda body: body.update(report_sha256="0" * 64))
    ),
    "a change to a lock that isn't there": (
        lambda now: of_kind(now, "lock.changed", lambda body: body.update(lock_sha256="0" * 64))
    ),
    "a lock that's no digest": lambda now: of_kind(now, "lock.changed", lambda body: body.update(lock_sha256=["x"])),
    "a configuration with a report": (
        lambda now: of_kind(now, "config.activated", lambda body: body.update(report_sha256="0" * 64))
    ),
    "a pruned emitter's first number is true": (
        lambda now: of_kind(now, "record.pruned", lambda body: body["emitters"][0].update(first=True))
    ),
    "a payload that no record commits to, and another that two do": exchange,
    "a payload of no call, gone, at a place that a pruning has in its range": lose_the_notice,
}


@pytest.mark.parametrize("name", LAX)
def test_it_is_tampering(rich: tuple[Attacked, Content], name: str) -> None:
    attacked, content = rich
    now = content.copy()
    LAX[name](now)
    assert agreed(put(attacked, now)).exit_code == 1


def test_a_head_that_a_retired_key_signed_is_tampering(tmp_path: Path) -> None:
    """Who still has a key that the log was taken from cuts what the new one wrote, and the verifier has both."""
    path = tmp_path / "x.db"
    write(path, 1)
    rotate(path, signing_in(tmp_path), NEXT, clock=SystemClock(), actor="u-7", why="it was copied")
    write(path, 1, key=NEXT)
    place = InFile(path)
    keys = [KEY.verifier, NEXT.verifier]
    assert agreed(place, keys=keys).verdict == "verified"
    with read(place) as reader:
        (rotated,) = reader.records("key.rotated")
        gone = [
            each["digest"]
            for record in reader.records()
            for each in record.fields.get("commitments", ())
            if record.index > rotated.index
        ]
    attack(
        path,
        f"DELETE FROM ledger_record WHERE seq > {rotated.index + 1}",
        f"DELETE FROM ledger_checkpoint WHERE size > {rotated.index + 2}",
        *(("DELETE FROM ledger_payload WHERE digest = ?", (bytes.fromhex(each),)) for each in gone),
    )
    recompute(path)
    with read(place) as reader:
        frontier = Frontier()
        for each in reader.records():
            frontier.append(each.leaf)
    attack(path, ("UPDATE ledger_head SET sig = ?", (Signer(KEY, tmp_path / "none").sign_head(frontier),)))
    assert agreed(place, keys=keys).exit_code == 1
    assert agreed(place, keys=[NEXT.verifier]).exit_code == 1
