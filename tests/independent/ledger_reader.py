"""A verifier of a ledger's file, written from ``docs/reference/ledger-format.md`` alone. It imports nothing of failsoft.

It's built another way than the one that ships: the page's own SQL, types and keys are what it goes by, all rows are taken into
memory, trees are recursive as in RFC 6962, and records are looked at in groups (of an emitter, of a call), not in one walk. What
is the same in bundles comes from the reader of those. No tests.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import date
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tests.independent.aes_gcm import opened
from tests.independent.bundle_reader import (
    TIME,
    UUID7,
    Bad,
    Document,
    Key,
    Parser,
    checkpoint,
    demand,
    half,
    is_count,
    is_hash,
    leaf,
    node,
    note,
    types_of_the_page,
    who_signed,
)

FORMAT = "failsoft-ledger/1"
ENDS = ("call.completed", "call.orphaned")
ACTS = ("review.recorded", "override.recorded", "appeal.recorded")
NAMES = ("person", "approved_by", "recipient", "event", "host", "adapter")
CHECKPOINTS = re.compile(rb"[^\n]+\n[0-9]+\n[A-Za-z0-9+/=]+\n\n(?:\xe2\x80\x94 [^\n]+\n)+")
OF_THE_READING = {3, 5, 6, 7, 8, 13, 14}  # SQLite: permission, busy, locked, memory, read-only, full, can't open


class Rules(NamedTuple):
    """What a type's line in the page says."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()


class Page:
    """What's read from the page instead of being written here again."""

    def __init__(self, text: str) -> None:
        self.types = types_of_the_page(text)
        self.prunable = set(self.block(text, "*prunable types*:").split())
        self.statements = self.sql(text, "## Tables")
        self.of_keys = self.sql(text, "### The file of keys")
        self.rules: dict[str, Rules] = defaultdict(Rules)
        for line in text.partition("| type | must have | may have | relations |\n")[2].split("\n\n")[0].split("\n")[1:]:
            kind, *columns = [re.findall("`([^`]+)`", cell) for cell in line.strip("|").split("|")]
            self.rules[kind[0]] = Rules(*map(frozenset, columns))

    @staticmethod
    def block(text: str, after: str) -> str:
        return text.partition(after)[2].partition("```text\n")[2].partition("```")[0]

    @classmethod
    def sql(cls, text: str, after: str) -> list[str]:
        return [each.strip("\n").removesuffix(";") for each in cls.block(text, after).split("\n\n")]


class Row(NamedTuple):
    """A line of ``ledger_record``, and what its bytes say; None where they say nothing."""

    seq: int
    leaf: bytes
    body: bytes | None
    emitter: str | None
    eseq: int | None
    rid: str | None
    type: str | None
    ts: str | None
    call_id: str | None
    case_id: str | None
    capability: str | None
    said: Document | None = None

    @property
    def kind(self) -> str | None:
        return self.type if self.said is None else self.said["type"]


class Unusable(Exception):
    """Nothing else is looked at."""


def text(value: object) -> str:
    demand(isinstance(value, str))
    return str(value)


def is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value.encode()) <= 128
        and unicodedata.normalize("NFC", value) == value
        and not any(unicodedata.category(char) in ("Cc", "Cf") for char in value)
    )


def is_dek(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def dictionary(value: object) -> Document:
    demand(isinstance(value, dict))
    return value  # type: ignore[return-value]


def listed(value: object) -> list[Any]:
    demand(isinstance(value, list))
    return value  # type: ignore[return-value]


def verifier_key(value: object) -> str:
    try:
        key = Key(text(value))
    except (ValueError, IndexError):
        raise Bad from None
    demand(key.kind in (1, 4) and len(key.public) == 32 and re.fullmatch(r"[^\s+\x00-\x1f\x7f]{1,256}", key.name))
    return str(value)


class Tree:
    """Roots of any stretch, as in RFC 6962, 2.1."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = leaves
        self.known: dict[tuple[int, int], bytes] = {}

    def root(self, first: int, end: int) -> bytes:
        if end - first == 1:
            return self.leaves[first]
        if end == first:
            return sha256(b"").digest()
        if (first, end) not in self.known:
            split = first + half(end - first)
            self.known[first, end] = node(self.root(first, split), self.root(split, end))
        return self.known[first, end]

    def frontier(self) -> bytes:
        made, at, size = b"", 0, len(self.leaves)
        for bit in reversed(range(size.bit_length())):
            if size >> bit & 1:
                made += self.root(at, at + (1 << bit))
                at += 1 << bit
        return made


class Keys:
    """The file of keys, where it's at hand."""

    def __init__(self, path: Path, payload_key: bytes, origin: str) -> None:
        self.path, self.payload_key, self.origin = path, payload_key, origin
        self.lines: dict[str, tuple[str, str, bytes | None, str, str]] = {}
        self.usable = True
        self.unopened = 0
        if not path.exists():
            return
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                (mark,) = connection.execute("PRAGMA application_id").fetchone()
                demand(mark == 0x4653444B)
                for dek, scope, scope_id, wrapped, state, kek in connection.execute(
                    "SELECT dek, scope, scope_id, wrapped, state, kek FROM ledger_dek"
                ):
                    demand(isinstance(dek, bytes) and isinstance(scope, str) and isinstance(scope_id, str))
                    self.lines[dek.hex()] = (scope, scope_id, wrapped, state, kek)
        except (sqlite3.Error, Bad):
            self.usable = False
            self.lines = {}

    def shredded(self) -> set[str]:
        return {dek for dek, line in self.lines.items() if line[3] == "shredded"}

    def key(self, dek: str) -> bytes | None:
        scope, scope_id, wrapped, state, kek = self.lines.get(dek, ("", "", None, "", ""))
        if wrapped is None:
            self.unopened += state != "shredded"
            return None
        parts = [each.encode() for each in (self.origin, dek, scope, scope_id)]
        additional = b"failsoft/dek/v1\0" + b"".join(len(each).to_bytes(4, "big") + each for each in parts)
        found = opened(self.payload_key, wrapped[:12], wrapped[12:], additional)
        demand(found is not None or kek != sha256(b"failsoft/kek/v1\0" + self.payload_key).hexdigest()[:16])
        self.unopened += found is None
        return found


class Examination:
    """One ledger with what its examiner brought along. Findings gather in `found`: code and what's wrong."""

    def __init__(
        self,
        path: Path,
        page: Page,
        keys: list[Key],
        given: Sequence[bytes],
        pins: Sequence[tuple[int, bytes]],
        of_payloads: tuple[Path, bytes] | None,
    ) -> None:
        self.path, self.page, self.given, self.pins = path, page, given, pins
        self.of_payloads = of_payloads
        signing = [key.public for key in keys if key.kind == 1]
        self.keys = [key for key in keys if key.kind == 1 or key.public not in signing]
        self.found: list[tuple[int, str]] = [(2, "a witness is a log's own key")] * (len(self.keys) < len(keys))
        self.origin = ""
        self.used: set[Key] = set()
        self.covered = 0
        self.covered_by: dict[str, int] = {}
        self.rows: list[Row] = []

    def wrong(self, what: str, code: int = 1) -> None:
        self.found.append((code, what))

    def expect(self, condition: object, what: str, code: int = 1) -> None:
        if not condition:
            self.wrong(what, code)

    def attempt(self, what: str, check: Callable[..., None], *values: object) -> None:
        try:
            check(*values)
        except (Bad, KeyError, IndexError):
            self.wrong(what)

    # --- the file

    def run(self) -> None:
        connection = self.connect()
        with closing(connection):
            try:
                self.look(connection)
            except UnicodeDecodeError as error:
                self.wrong(f"damaged: {error}")
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 11) & 0xFF
                self.wrong(f"damaged: {error}", 3 if code in OF_THE_READING else 1)

    def connect(self) -> sqlite3.Connection:
        beside = self.path.with_name(self.path.name + "-journal")
        if beside.exists() or not self.path.exists() or self.path.stat().st_size == 0:
            raise Unusable("no file, an empty one, or a journal beside it")
        try:
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            ids = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        except sqlite3.Error as error:
            raise Unusable(str(error)) from None
        if ids != [0x46534C47, 1]:
            raise Unusable("not a ledger, or of another version")
        return connection

    def look(self, connection: sqlite3.Connection) -> None:
        ask = connection.execute
        ask("BEGIN")
        catalogue = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as blank:
            for statement in self.page.statements:
                blank.execute(statement)
            self.expect(
                set(ask(catalogue).fetchall()) == set(blank.execute(catalogue).fetchall()), "the schema is another one"
            )
        tables = {name for (name,) in ask("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        needed = {"ledger_log", "ledger_record", "ledger_head", "ledger_payload", "ledger_artifact"}
        if not needed <= tables:
            raise Unusable("a table is missing")
        self.expect(self.is_own_wal(), "the write-ahead log isn't this database's")
        self.expect(ask("PRAGMA integrity_check").fetchall() == [("ok",)], "integrity check")
        log = ask("SELECT origin, format, vkey FROM ledger_log").fetchall()
        self.expect(len(log) == 1 and log[0][1] == FORMAT, "the log's own line")
        self.origin = log[0][0] if log else ""
        self.artifacts = dict(ask("SELECT sha256, data FROM ledger_artifact"))
        query = (
            "SELECT seq, leaf, body, emitter, eseq, rid, type, ts, call_id, case_id, capability"
            " FROM ledger_record NOT INDEXED ORDER BY seq"
        )
        rows = [Row(*each) for each in ask(query)]
        if not rows:
            raise Unusable("there is no record")
        self.tree = Tree([each.leaf if isinstance(each.leaf, bytes) else b"" for each in rows])
        self.rows = [self.read(index, row) for index, row in enumerate(rows)]
        self.vkey(log[0][2] if log else None)
        if "ledger_subtree" in tables:
            self.subtrees(dict(ask("SELECT idx, hash FROM ledger_subtree")))
        elif len(rows) >= 256:
            self.wrong("no subtrees")
        head = ask("SELECT size, frontier, sig FROM ledger_head").fetchone()
        self.expect(head and head[:2] == (len(rows), self.tree.frontier()), "the head is another one")
        self.emitters()
        self.calls()
        self.own()
        payload = {digest: rest for digest, *rest in ask("SELECT digest, dek, nonce, data FROM ledger_payload")}
        self.pruning()
        self.payloads(payload)
        if "ledger_checkpoint" in tables:
            for size, data in ask("SELECT size, note FROM ledger_checkpoint"):
                self.attempt(f"the stored checkpoint of {size}", self.stored, size, data)
        self.brought()
        self.signatures(head[2] if head else None)

    def is_own_wal(self) -> bool:
        beside = self.path.with_name(self.path.name + "-wal")
        if not beside.exists() or beside.stat().st_size == 0:
            return True
        with open(beside, "rb") as file:
            header = file.read(32)
        if len(header) < 32:
            return False
        words = [int.from_bytes(header[at : at + 4], "big") for at in range(0, 32, 4)]
        order = "big" if header[3] & 1 else "little"
        one = other = 0
        for at in range(0, 24, 8):
            one = (one + int.from_bytes(header[at : at + 4], order) + other) % 2**32
            other = (other + int.from_bytes(header[at + 4 : at + 8], order) + one) % 2**32
        return words[0] in (0x377F0682, 0x377F0683) and words[1:3] == [3007000, 8192] and words[6:] == [one, other]

    # --- each record

    def read(self, index: int, row: Row) -> Row:
        self.expect(row.seq == index, f"before record {row.seq} some are missing")
        if row.body is None:
            others = (row.rid, row.ts, row.call_id, row.case_id, row.capability)
            self.expect(
                row.type in self.page.prunable
                and row.eseq is not None
                and not any(each is not None for each in others),
                f"record {index} has no bytes, and isn't as pruned ones are",
            )
            return row
        try:
            demand(isinstance(row.body, bytes) and leaf(row.body) == row.leaf)
            said = Parser.document(row.body, 61_440)
            self.common(index, said)
            demand(self.copies(said) == list(row[3:11]))
            self.specific(said)
            return row._replace(said=said)
        except (Bad, KeyError) as error:
            self.wrong(f"record {index} is malformed or was changed ({type(error).__name__} {error})")
        return row

    def common(self, index: int, said: Document) -> None:
        demand(said["v"] is not True and said["v"] == 1 and text(said["type"]) in self.page.types)
        demand(UUID7.fullmatch(text(said["rid"])) and TIME.fullmatch(text(said["ts"])))
        demand(said["origin"] == self.origin and (index == 0) is (said["type"] == "log.opened"))
        if index:
            demand(is_dek(said["emitter"]) and is_count(said["eseq"]) and is_count(said["mono_us"]))
        for key, part in (("case", "id"), ("capability", "name"), ("actor", "id")):
            if key in said:
                demand(is_name(dictionary(said[key])[part]))
                demand(key == "capability" or all(map(is_name, said[key].values())))
        demand(all(map(is_name, listed(said.get("labels", [])))))
        demand(all(is_name(said[key]) for key in NAMES if key in said))
        rules = self.page.rules[said["type"]]
        demand(rules.must <= said.keys() and dictionary(said.get("refs", {})).keys() <= rules.relations)

    @staticmethod
    def copies(said: Document) -> list[object]:
        return [
            *(said.get(key) for key in ("emitter", "eseq", "rid", "type", "ts", "call_id")),
            said.get("case", {}).get("id"),
            said.get("capability", {}).get("name"),
        ]

    def specific(self, said: Document) -> None:
        kind = said["type"]
        if "commitments" in said:
            named = listed(said["commitments"])
            demand(all(is_hash(dictionary(each)["digest"]) and isinstance(each["path"], str) for each in named))
            demand(all(one["path"] < other["path"] for one, other in pairwise(named)))
            demand("dek" not in said or is_dek(said["dek"]))
        if kind == "log.opened":
            demand(said["format"] == FORMAT)
            for each in listed(said.get("keys", [])):
                verifier_key(each)
        elif kind == "key.rotated":
            verifier_key(said["to"])
        elif kind in ("config.activated", "lock.changed", "approval.recorded"):
            self.configuration(said)
        elif kind == "case.event":
            demand(is_day(text(said["date"])))
        elif kind == "gap.declared":
            demand(is_count(said["count"]) and said["count"])
        elif kind == "ledger.failure":
            demand(is_count(said["lost_at_most"]))
        elif kind == "payload.erased":
            demand(
                all(map(is_dek, listed(said.get("deks", [])))) and all(map(is_hash, listed(said.get("digests", []))))
            )
        elif kind in ("call.completed", "call.amended") and "review" in said:
            self.review(said["call_id"], dictionary(said["review"]))
        elif kind in ACTS:
            paths = {each["path"] for each in said["commitments"]}
            decision = said.get("decision")
            demand(decision in ((None,) if kind == "appeal.recorded" else ("accepted", "changed", "rejected")))
            demand("reason" in paths and ("changed" in paths) is (decision == "changed"))

    def configuration(self, said: Document) -> None:
        digests = [said[each] for each in ("config_sha256", "lock_sha256", "report_sha256") if each in said]
        answering = [each for each in listed(said.get("capabilities", [])) if "digest" in dictionary(each)]
        demand(all("name" in each for each in answering))
        digests += [each["digest"] for each in answering]
        for each in digests:
            demand(is_hash(each))
            data = self.artifacts.get(bytes.fromhex(each))
            demand(isinstance(data, bytes) and sha256(data).hexdigest() == each)

    @staticmethod
    def review(call_id: str, need: Document) -> None:
        required = need["required"]
        demand(isinstance(required, bool) and (need.get("status") == "pending") is required)
        text(need["policy"])
        if need["policy"] == "sample":
            try:
                share = float(text(need["sample"]))
            except ValueError:
                raise Bad from None
            demand(0 < share <= 1)
            drawn = int.from_bytes(sha256(b"failsoft/sample/v1\0" + call_id.encode()).digest()[:8], "big")
            demand((drawn < int(share * 2**64)) is required)

    # --- what records say of each other

    def of_type(self, *kinds: str) -> Iterator[Row]:
        return (row for row in self.rows if row.said is not None and row.said["type"] in kinds)

    def vkey(self, stated: str | None) -> None:
        first = self.rows[0].said
        keys = first.get("keys", []) if first is not None else []
        self.expect(stated == (keys[0] if keys else None), "the log's own line states another key")

    def subtrees(self, stored: dict[int, bytes]) -> None:
        for block in range(len(self.rows) // 256):
            self.expect(
                stored.get(block) == self.tree.root(256 * block, 256 * block + 256), f"the stored subtree {block}"
            )

        self.expect(all(block < len(self.rows) // 256 for block in stored), "a subtree that isn't complete")

    def emitters(self) -> None:
        its: dict[object, list[Row]] = defaultdict(list)
        for row in self.rows[1:]:
            if row.body is None or row.said is not None:
                its[row.emitter].append(row)
        self.closed = set[object]()
        for emitter, rows in its.items():
            self.expect([row.eseq for row in rows] == list(range(len(rows))), f"the numbers of {emitter}")
            times = [row.said["mono_us"] for row in rows if row.said is not None]
            self.expect(times == sorted(times), f"the time of {emitter} falls")
            self.expect(
                all((row.kind == "emitter.opened") is (row.eseq == 0) for row in rows), f"the opening of {emitter}"
            )
            self.expect(all(row.kind != "emitter.closed" for row in rows[:-1]), f"{emitter} was closed before")
            last = rows[-1].said
            if last is not None and last["type"] == "emitter.closed":
                self.expect(last["last"] == last["eseq"] and last["last"] is not True, f"the close of {emitter}")
                self.closed.add(emitter)

    def calls(self) -> None:
        its: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            if row.said is not None and isinstance(row.said.get("call_id"), str):
                its[row.said["call_id"]].append(row)
        for call_id, rows in its.items():
            self.attempt(f"the records of call {call_id!r:.60} don't fit together", self.call, rows)
            kinds = [row.kind for row in rows]
            if "call.started" in kinds and not {*ENDS, "call.amended"} & set(kinds):
                emitter = rows[kinds.index("call.started")].emitter
                if emitter in self.closed or not self.lives(str(emitter)):
                    self.wrong(f"call {call_id!r:.60} has no end", 2)

    def lives(self, emitter: str) -> bool:
        import fcntl

        with suppress(FileNotFoundError), open(self.path.with_name(f"{self.path.name}.{emitter}.live"), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def call(self, rows: list[Row]) -> None:
        kinds = [row.kind for row in rows]
        demand(all(kinds.count(kind) <= 1 for kind in ("call.started", *ENDS)))
        is_open: Row | None = None
        for at, row in enumerate(rows):
            before = rows[:at]
            assert row.said is not None
            refs = row.said.get("refs", {})
            if row.kind == "call.started":
                is_open = row
            elif row.kind in ENDS:
                if is_open is not None:
                    demand(refs["started"] == is_open.leaf.hex())
                elif "refs" in row.said:
                    demand(self.came_back(row, before) or self.was_pruned(row, refs["started"]))
                is_open = None
            elif row.kind == "call.amended":
                answers = [each.leaf.hex() for each in before if each.kind == "call.completed"]
                demand(
                    "refs" not in row.said or refs["completed"] in answers or self.was_pruned(row, refs["completed"])
                )
                is_open = None
            elif row.kind in ACTS:
                self.act(row, before)

    @staticmethod
    def came_back(row: Row, before: list[Row]) -> bool:
        """Somebody took its process for gone."""
        assert row.said is not None
        by_kind = {each.kind: each for each in before}
        if row.kind != "call.completed" or len(before) != 2 or set(by_kind) != {"call.started", "call.orphaned"}:
            return False
        start, orphaned = by_kind["call.started"], by_kind["call.orphaned"]
        return (
            row.said["refs"]["started"] == start.leaf.hex()
            and start.emitter == row.emitter
            and orphaned.emitter != row.emitter
        )

    def was_pruned(self, row: Row, leaf: str) -> bool:
        return any(
            each.body is None and isinstance(each.leaf, bytes) and each.leaf.hex() == leaf
            for each in self.rows[: row.seq]
        )

    def act(self, row: Row, before: list[Row]) -> None:
        assert row.said is not None
        said = row.said
        refs = said["refs"]
        named = [(f"call.{relation}", refs[relation]) for relation in ("completed", "amended") if relation in refs]
        (answer,) = [row for row in before if [(row.kind, row.leaf.hex())] == named] or [None]
        if answer is None:
            demand(len(named) == 1 and self.was_pruned(row, named[0][1]))
        else:
            demand(answer.said is not None)
            assert answer.said is not None
            responses = [each for each in answer.said.get("commitments", []) if each["path"] == "response"]
            demand(said.get("shown") == (responses[0] if responses else None))
        acts = [each.leaf.hex() for each in before if each.kind in ACTS]
        demand("former" not in refs or refs["former"] in acts or self.was_pruned(row, refs["former"]))

    def own(self) -> None:
        declared: list[tuple[int, str]] = []
        failures: dict[object, str] = {}
        for row in self.of_type("log.opened", "key.rotated", "ledger.failure", "ledger.recovered"):
            said = row.said
            assert said is not None
            if row.kind == "log.opened":
                declared += [(row.seq, each) for each in said.get("keys", [])]
            elif row.kind == "key.rotated":
                before = declared[-1][1] if declared else None
                self.expect(before in (said.get("from"), said["to"]), f"record {row.seq} rotates from another key")
                declared.append((row.seq, said["to"]))
            elif row.kind == "ledger.failure":
                failures[row.emitter] = row.leaf.hex()
            else:
                self.expect(
                    said["refs"].get("failure", "") == failures.get(row.emitter), f"record {row.seq} is of no failure"
                )
        self.declarations = declared

    # --- payloads

    def payloads(self, kept: dict[bytes, list[Any]]) -> None:
        keys = None if self.of_payloads is None else Keys(*self.of_payloads, self.origin)
        last_said: dict[str, int] = {}
        for row in self.of_type("payload.erased"):
            assert row.said is not None
            last_said |= dict.fromkeys([*row.said.get("deks", []), *row.said.get("digests", [])], row.seq)
        erased = set(last_said)
        named: set[bytes] = set()
        in_use: set[str] = set()
        for row in self.rows:
            for each in [] if row.said is None else row.said.get("commitments", []):
                assert row.said is not None
                digest, dek = bytes.fromhex(each["digest"]), row.said.get("dek")
                if digest not in kept:
                    out = row.kind in self.page.prunable and any(at > row.seq <= last for at, last, _ in self.prunings)
                    later = any(last_said.get(name, -1) > row.seq for name in (each["digest"], dek))
                    self.expect(out or later, f"a payload of record {row.seq} is missing")
                    continue
                self.expect(digest not in named, f"a payload of record {row.seq} is another one's, too")
                named.add(digest)
                if dek is not None:
                    in_use.add(dek)
                self.attempt(
                    f"a payload of record {row.seq}", self.payload, digest, each["path"], dek, kept[digest], keys
                )
        self.expect(not kept.keys() - named, "payloads of no record")
        shredded = set() if keys is None else keys.shredded()
        self.expect(not shredded - erased, "a key was destroyed, and no record says so")
        self.expect(keys is None or keys.usable, "the file of keys can't be used", 2)
        self.expect(keys is None or not keys.unopened, "the file of keys lacks some", 2)
        unfinished = {each for each in erased if len(each) == 64 and bytes.fromhex(each) in kept} | (erased & in_use)
        unfinished |= set() if keys is None else (erased & keys.lines.keys()) - shredded
        self.expect(not unfinished, "an erasure isn't finished", 2)

    def payload(self, digest: bytes, path: str, dek: str | None, row: list[Any], keys: Keys | None) -> None:
        name, nonce, data = row
        demand((None if name is None else name.hex()) == dek)
        if dek is not None:
            key = None if keys is None else keys.key(dek)
            if key is None:
                return
            data = opened(key, nonce or b"", data, digest)
        demand(data is not None and sha256(b"failsoft/field/v1\0" + data).digest() == digest)
        at, texts = 32, []
        for _ in range(2):
            size = int.from_bytes(data[at : at + 4], "big")
            demand(size <= 128)
            texts.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        try:
            found = [each.decode("utf-8") for each in texts]
        except UnicodeDecodeError:
            raise Bad from None
        demand(found[0] == path and len(data) == at + 8 + int.from_bytes(data[at : at + 8], "big"))

    # --- pruning

    def pruning(self) -> None:
        self.prunings: list[tuple[int, int, dict[str, tuple[int, int]]]] = []
        for row in self.of_type("record.pruned"):
            assert row.said is not None
            self.attempt(f"record {row.seq} says what can't be", self.pruned, row.seq, row.said)
        for at, last, _ in self.prunings:
            left = any(row.body is not None and row.kind in self.page.prunable for row in self.rows[: last + 1])
            self.expect(not left, f"the pruning that record {at} says isn't finished", 2)
        for row in self.rows:
            if row.body is None:
                self.expect(
                    any(
                        row.seq < at and row.seq <= last and low <= (row.eseq or 0) <= high
                        for at, last, emitters in self.prunings
                        for low, high in (emitters.get(str(row.emitter), (1, 0)),)
                    ),
                    f"record {row.seq} has no bytes, and no record says so",
                )

    def pruned(self, index: int, said: Document) -> None:
        first, last = said["first"], said["last"]
        demand(is_count(first) and is_count(last) and first == 1 and first <= last < index)
        claimed = [dictionary(each) for each in listed(said["emitters"])]
        demand(all(is_dek(each["emitter"]) and is_count(each["first"]) and is_count(each["last"]) for each in claimed))
        self.prunings.append((index, last, {each["emitter"]: (each["first"], each["last"]) for each in claimed}))
        if any(row.body is None for row in self.rows[:index]):
            leaves = [row.leaf for row in self.rows[first : last + 1] if row.kind in self.page.prunable]
            demand(all(isinstance(each, bytes) for each in leaves))
            demand(sha256(b"".join(leaves)).hexdigest() == said["leaves_sha256"])

    # --- who vouches

    def log_keys(self) -> list[Key]:
        return [key for key in self.keys if key.kind == 1 and key.name == self.origin]

    def taken(self, data: bytes) -> tuple[str, int, bytes, list[Key]]:
        """A signed checkpoint, and which of the log's keys signed it."""
        demand(isinstance(data, bytes))
        text, lines = note(data)
        origin, size, root = checkpoint(text)
        by = who_signed(text, lines, self.keys)
        self.used.update(by)
        return origin, size, root, [key for key in self.log_keys() if key in by]

    def replaced(self, size: int) -> dict[str, int]:
        """By which of the first so many records which keys were."""
        mine = {key.text for key in self.log_keys()}
        found: dict[str, int] = {}
        for (_, before), (index, key) in pairwise(each for each in self.declarations if each[0] < size):
            if key != before:
                if before in mine - found.keys():
                    found.pop(key, None)
                found = {before: index} | found
        return found

    def cover(self, size: int, by: list[Key]) -> None:
        replaced = self.replaced(size)
        self.covered = max([self.covered, *(size for key in by if size - replaced.get(key.text, size) <= 2)])
        self.covered_by |= {key.text: max(size, self.covered_by.get(key.text, 0)) for key in by}

    def fits(self, size: int, root: bytes) -> bool:
        return 0 <= size <= len(self.rows) and self.tree.root(0, size) == root

    def stored(self, size: int, data: bytes) -> None:
        origin, stated, root, by_log = self.taken(data)
        demand(origin == self.origin and stated == size > 0 and self.fits(size, root))
        self.cover(size, by_log)

    def brought(self) -> None:
        for data in self.given:
            for each in CHECKPOINTS.findall(data) or [data]:
                try:
                    checkpoint(note(each)[0])
                except Bad:
                    self.wrong("a given checkpoint isn't one", 3)
                    continue
                self.attempt("a given checkpoint", self.held, each)
        for size, root in self.pins:
            self.expect(self.fits(size, root), f"the log up to {size} isn't the one that was pinned")

    def held(self, data: bytes) -> None:
        origin, size, root, by_log = self.taken(data)
        demand(origin == self.origin and self.fits(size, root))
        self.expect(bool(by_log) or not self.keys, "a given checkpoint isn't signed by the log", 2)
        self.cover(size, by_log)

    def speaking(self) -> set[str]:
        return {key.text for key in self.log_keys()} - self.replaced(len(self.rows)).keys()

    def head_is_signed(self, good: list[Key]) -> bool:
        """By the key that the log declares now, where that is one that may; else by any that may."""
        declared = {key for _, key in self.declarations[-1:]} & self.speaking()
        return not (declared or self.speaking()).isdisjoint(key.text for key in good)

    def signatures(self, signature: object) -> None:
        size, mine = len(self.rows), self.log_keys()
        root = self.tree.root(0, size)
        message = f"{self.origin}\n{size}\n{b64encode(root).decode()}\n"
        good = [
            key
            for key in mine
            if isinstance(signature, bytes) and key.signed("failsoft/head/v1\0" + message, signature)
        ]
        self.used.update(good)
        ever = {key for _, key in self.declarations}
        self.expect(self.covered_by.keys() <= ever, "a key signed a checkpoint, and no record declares it")
        for (_, former), (index, key) in pairwise(self.declarations):
            if former != key and former in [each.text for each in mine] and self.covered_by.get(former, 0) <= index:
                interrupted = size - index <= 2 and self.head_is_signed(good)
                self.wrong(f"record {index} hands over, and no checkpoint vouches for it", 2 if interrupted else 1)
        if self.declarations and mine:
            if self.declarations[-1][1] in self.speaking():
                self.expect(self.head_is_signed(good), "the head isn't signed by the log's key")
            elif not self.head_is_signed(good) and self.covered < size and not self.used.isdisjoint(mine):
                self.wrong("the tail is another key's", 2)
        self.expect(all(key in self.used for key in self.keys), "a key signed nothing", 2)
        self.expect(not self.head_is_signed(good) or self.covered, "no checkpoint is signed", 2)


def examine(
    path: Path,
    page: str,
    keys: Iterable[str] = (),
    given: Sequence[bytes] = (),
    pins: Iterable[tuple[int, str]] = (),
    of_payloads: tuple[Path, bytes] | None = None,
) -> tuple[int, list[str]]:
    """The exit code and the problems, by the page alone.

    Args:
        page: the page's text.
        of_payloads: the file of keys, and the payload key's 32 bytes.
    """
    mine = [Key(each) for each in dict.fromkeys(keys)]
    roots = [(size, bytes.fromhex(root)) for size, root in pins]
    examined = Examination(path, Page(page), mine, given, roots, of_payloads)
    try:
        examined.run()
    except Unusable as error:
        return 3, [str(error)]
    codes = {code for code, _ in examined.found}
    return next((code for code in (3, 1, 2) if code in codes), 0), [what for _, what in examined.found]
