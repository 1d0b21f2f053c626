"""What people and models say stands nowhere in clear but where it's disclosed: not in a store, its log, a file of keys, an event.

Each run is made with a payload key and without: without one the same search finds every canary, so that it can be believed.
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import BaseModel

import failsoft
from failsoft import Capability, Isolation, Message, Prompt
from failsoft.config_read import read_mapping
from failsoft.io.clock import SystemClock
from failsoft.ledger.acts.erasure import Acting, erase, hold
from failsoft.ledger.keys.vault import PayloadKey, Sealing, Vault
from failsoft.ledger.location import InDatabase, InFile, Location
from failsoft.ledger.read import read
from failsoft.ledger.verify import verify
from failsoft.postgres_address import Address
from tests.postgres_server import PostgresServer

KEY = PayloadKey(bytes(range(100, 132)))
PLACES = ("request", "prompt", "reply", "error", "response", "reason", "changed", "shown")
CANARIES: dict[str, str] = {}
"""What to look for: another one in each test, since all tests share a server, and its log."""

SCHEMAS = (f"private_{number}" for number in count())
STORES = ("file", "database")
CASE = "T-17"


@pytest.fixture(autouse=True)
def canaries() -> None:
    token = secrets.token_hex(6)
    CANARIES.update({place: f"canary-{place}-{token}" for place in PLACES})


class Item(BaseModel, frozen=True):
    description: str


class Grade(BaseModel, frozen=True):
    grade: int
    remark: str


class GradeItem(Capability[Item, Grade]):
    """Which grade is it?"""

    def fallback(self, request: Item) -> Grade:
        return Grade(grade=0, remark="none")

    def prompt(self, request: Item) -> Prompt:
        return Prompt((Message("user", f"{CANARIES['prompt']}: {request.description}"),))


def answers(request: httpx.Request) -> httpx.Response:
    """The first adapter's provider fails in its own words, the second's answers in more of them than are asked for."""
    if request.url.host == "broken.example":
        return httpx.Response(400, json={"error": {"message": CANARIES["error"]}})
    content = json.dumps({"grade": 3, "remark": CANARIES["response"]})
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return httpx.Response(
        200,
        json={
            "id": "c-1",
            "model": "m-1",
            "choices": [choice],
            "thoughts": CANARIES["reply"],
            "object": "chat.completion",
        },
    )


class Home:
    """Where a ledger is, and everything that may have been written about it."""

    def __init__(self, store: str, server: PostgresServer, folder: Path, *, sealed: bool) -> None:
        self.folder, self.server, self.sealed = folder, server, sealed
        self.url = f"sqlite:////{folder}/x.db" if store == "file" else f"{server.url}&schema={next(SCHEMAS)}"
        sealing = Sealing(KEY, folder / "x.keys") if sealed else None
        self.place: Location = InFile(folder / "x.db", sealing=sealing)
        if store == "database":
            self.place = InDatabase(Address.parse(self.url), sealing)

    def config(self) -> dict[str, Any]:
        table: dict[str, Any] = {"provider": "openai-compatible", "model": "m-1", "attempts": 1}
        ledger: dict[str, Any] = {"url": self.url, "origin": "private"}
        if self.sealed:
            ledger |= {
                "payload_key": {"file": str(self.folder / "payload.key")},
                "case_keys": str(self.folder / "x.keys"),
            }
        return {
            "ledger": ledger,
            "adapters": {
                "broken": {**table, "base_url": "https://broken.example/v1"},
                "good": {**table, "base_url": "https://good.example/v1"},
            },
            "capabilities": {"grade-item": {"adapters": ["broken", "good"], "deadline": "5s"}},
        }

    def isolation(self) -> Isolation:
        key = self.folder / "payload.key"
        key.write_text(KEY.to_text())
        key.chmod(0o600)
        draft = read_mapping(self.config())
        assert draft.problems == []
        transport = httpx.MockTransport(answers)
        return Isolation(draft.config, capabilities=[GradeItem], transport=transport, sync_transport=transport)

    def files(self) -> bytes:
        """Every byte beside the ledger and in it; in a database: every byte that its server has, its own log included."""
        roots = [self.folder]
        if isinstance(self.place, InDatabase):
            self.server.execute("CHECKPOINT")
            ((data,),) = self.server.execute("SHOW data_directory")
            roots.append(Path(str(data)))
        found = [each for root in roots for each in root.rglob("*") if each.is_file() and each.name != "payload.key"]
        return b"".join(map(bytes_of, found))


def bytes_of(path: Path) -> bytes:
    """A server removes files of its own while we look."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.fixture(params=STORES)
def home(request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path: Path) -> Callable[[bool], Home]:
    return lambda sealed: Home(request.param, postgres, tmp_path, sealed=sealed)


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """Everything that anybody logs, with all that a record carries along."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(f"{record.getMessage()} {record.__dict__}")

    listener, root = Listener(logging.DEBUG), logging.getLogger()
    before = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    yield said
    root.removeHandler(listener)
    root.setLevel(before)


def lived(home: Home) -> bytes:
    """A call that fails at one provider and is answered by another, reviewed by somebody; every byte, meanwhile and after."""
    with home.isolation() as isolation:
        with failsoft.context(case=CASE):
            outcome = isolation[GradeItem].sync(Item(description=CANARIES["request"]))
        assert outcome.value.remark == CANARIES["response"]
        changed = Grade(grade=1, remark=CANARIES["changed"])
        isolation.review(
            str(outcome.call_id),
            person="u-9",
            decision="changed",
            reason=CANARIES["reason"],
            changed=changed,
            shown=CANARIES["shown"],
        )
        meanwhile = home.files()
    return meanwhile + home.files()


def test_with_a_payload_key_no_canary_stands_in_any_byte_of_it(home: Callable[[bool], Home], heard: list[str]) -> None:
    sealed = home(True)
    everything = lived(sealed)
    told = "\n".join(heard)
    for place, canary in CANARIES.items():
        assert canary.encode() not in everything, place
        assert canary not in told, place
    assert KEY.secret not in everything
    assert heard
    with read(sealed.place) as reader:
        kept = [
            reader.payload(each["digest"]) for entry in reader.records() for each in entry.fields.get("commitments", ())
        ]
        bodies = b"".join(entry.body or b"" for entry in reader.records())
    opened = b"".join(each[2] for each in kept if each is not None)
    assert all(canary.encode() in opened for canary in CANARIES.values())
    assert b"canary" not in bodies


def test_without_one_the_same_search_finds_each_of_them(home: Callable[[bool], Home], heard: list[str]) -> None:
    clear = home(False)
    everything = lived(clear)
    assert [place for place, canary in CANARIES.items() if canary.encode() not in everything] == []
    assert not any("canary" in each for each in heard)


def test_equal_inputs_have_different_commitments_and_different_bytes(home: Callable[[bool], Home]) -> None:
    sealed = home(True)
    with sealed.isolation() as isolation, failsoft.context(case=CASE):
        for _ in range(3):
            isolation[GradeItem].sync(Item(description="the same"))
    with read(sealed.place) as reader:
        starts = [each.fields["commitments"][0]["digest"] for each in reader.records("call.started")]
        ends = [each.fields["commitments"] for each in reader.records("call.completed")]
        responses = [named["digest"] for each in ends for named in each if named["path"] == "response"]
        disclosures = [reader.disclosure(each) for each in starts]
        assert len({reader.payload(each) for each in starts}) == 1
    assert len(set(starts)) == len(set(responses)) == len(set(disclosures)) == 3


def rows_of(home: Home) -> list[tuple[bytes, bytes, bytes, bytes]]:
    source = home.place.connect()
    try:
        source.begin()
        return [
            tuple(each) for each in source.execute("SELECT digest, dek, nonce, data FROM ledger_payload").fetchall()
        ]
    finally:
        source.close()


def put_back(home: Home, rows: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    """As a backup of the database has them."""
    assert isinstance(home.place, InDatabase)
    with psycopg.connect(home.place.address.url) as connection:
        connection.execute(f"SET search_path TO {home.place.address.schema}".encode())
        connection.cursor().executemany(b"INSERT INTO ledger_payload VALUES (%s, %s, %s, %s)", rows)


def erased(home: Home) -> None:
    erase(Acting(home.place, SystemClock(), host="w"), CASE, basis="GDPR 17", person="u-7")


def test_after_an_erasure_nothing_opens_what_is_left_of_it(home: Callable[[bool], Home]) -> None:
    """In a file nothing is left. A server's own log has the sealed rows still, for a while: without their key they're noise."""
    sealed = home(True)
    lived(sealed)
    rows = rows_of(sealed)
    assert sealed.place.sealing is not None
    vault = Vault(sealed.place.sealing, "private")
    (before,) = vault.of_case(CASE)
    vault.close()
    assert before.key is not None
    assert {dek for _, dek, _, _ in rows} == {before.name}
    keys = sealed.place.sealing.path.read_bytes()
    (wrapped,) = wrapped_in(sealed)
    assert wrapped in keys
    erased(sealed)
    everything = sealed.files()
    assert not any(each in everything for each in pieces_of(wrapped))
    assert before.key.secret not in everything
    if isinstance(sealed.place, InDatabase):
        put_back(sealed, rows)
        with read(sealed.place) as reader:
            assert [reader.payload(digest) for digest, *_ in rows] == [None] * len(rows)
        assert verify(sealed.place).exit_code == 2  # to be erased again: nobody can read them, and there they are
    else:
        assert not any(each in everything for *_, data in rows for each in pieces_of(data))
    vault = Vault(sealed.place.sealing, "private")
    (after,) = vault.of_case(CASE)
    vault.close()
    assert (after.name, after.shredded, after.key) == (before.name, True, None)


def pieces_of(data: bytes) -> list[bytes]:
    """Sixteen bytes each: a page may have been written over in part."""
    return [data[at : at + 16] for at in range(0, len(data) - 15, 16)]


def wrapped_in(home: Home) -> list[bytes]:
    assert home.place.sealing is not None
    connection = sqlite3.connect(home.place.sealing.path)
    try:
        return [each for (each,) in connection.execute("SELECT wrapped FROM ledger_dek WHERE scope_id = ?", (CASE,))]
    finally:
        connection.close()


def test_what_people_put_on_record_of_a_case_itself_stands_in_clear(home: Callable[[bool], Home]) -> None:
    """A reason for a hold or an erasure explains to auditors what is missing: it's no payload, and is to name no data."""
    sealed = home(True)
    lived(sealed)
    hold(Acting(sealed.place, SystemClock(), host="w"), CASE, held=True, person="u-9", why="told-in-clear-77")
    assert b"told-in-clear-77" in sealed.files()


def test_a_key_that_stands_in_the_configuration_is_taken_out_of_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no reference was used, its look betrays it, or that an adapter uses it, too."""
    pasted, own = "sk-proj-" + secrets.token_hex(16) + "Z9", f"tok-{secrets.token_hex(8)}"
    monkeypatch.setenv("OWN", own)
    adapter = {
        "provider": "openai-compatible",
        "model": "m",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": {"env": "OWN"},
        "options": {"body": {"note": f"{pasted} {own}"}},
    }
    path = tmp_path / "x.db"
    with Isolation({"ledger": {"url": f"sqlite:///{path}"}, "adapters": {"a": adapter}}, capabilities=[]):
        pass
    with read(path) as reader:
        (digest,) = {str(each.fields["config_sha256"]) for each in reader.records() if each.kind == "config.activated"}
        found = reader.artifact(digest)
    assert found is not None
    assert sha256(found[1]).hexdigest() == digest
    told = json.loads(found[1])["adapters"]["a"]["options"]["body"]["note"]
    assert told == "[redacted: openai-style-key] [redacted: own-key]"
