"""What a verifier must find besides the threat model's table, on both stores: the list below it in the specification.

What only one of the stores can have (planted write-ahead logs, damaged pages, views, rules) stands with that store's tests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from attacked import COPIES, PAYLOAD_KEY, Attacked, Content, Fields, World, in_a_database, in_a_file, lived
from ledgers import CONTEXT, SystemClock, ledger_at
from signing import KEY, ORIGIN, signing_in
from tests.independent.agreeing import by_both as verify
from tests.postgres_server import PostgresServer

from failsoft.errors import LedgerInvalid
from failsoft.ledger.checkpoints.publishing import SECOND
from failsoft.ledger.format import canonical
from failsoft.ledger.format.canonical import MAX_BYTES
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.keys.vault import Sealing, Vault, VaultFailed
from failsoft.ledger.read import read
from failsoft.ledger.store import INCOMPLETE, TAMPERED, UNUSABLE, WHOLE
from failsoft.ledger.verify import Verification
from failsoft.ledger.verify import verify as by_ours

STRANGER = SigningKey(ORIGIN, bytes(reversed(range(32))))
SCHEMAS = (f"besides_{number}" for number in count())


def told(found: Verification) -> str:
    return "; ".join(map(str, found.problems))


def place_of(request: pytest.FixtureRequest, factory: pytest.TempPathFactory, server: PostgresServer) -> Attacked:
    folder = factory.mktemp("besides") / "own"
    return in_a_file(folder) if request.param == "file" else in_a_database(folder, server, next(SCHEMAS))


@pytest.fixture(scope="module", params=["file", "database"])
def unsigned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> World:
    return lived(place_of(request, tmp_path_factory, postgres), None)


@pytest.fixture(scope="module", params=["file", "database"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> World:
    attacked = place_of(request, tmp_path_factory, postgres)
    return lived(attacked, signing_in(attacked.folder, every_ns=3600 * SECOND))


@pytest.fixture
def world(unsigned: World) -> Iterator[World]:
    yield unsigned
    unsigned.attacked.put(unsigned.newest.copy())


Change = Callable[[World, Content], None]


def life(now: Content, emitter: str) -> list[int]:
    """The places of an emitter's records."""
    return [index for index, row in enumerate(now.records) if row[3] == emitter]


def last_and_first(now: Content) -> tuple[str, str]:
    """The emitter of the newest life, and that of the first."""
    return now.records[-1][3], now.records[1][3]


def continue_after_close(world: World, now: Content) -> None:
    """The newest life, told as the first one's: its numbers go on where that ended."""
    newest, first = last_and_first(now)
    opening, *rest = life(now, newest)
    for index in rest:
        now.edit(index, lambda body: body.update(emitter=first))
    now.drop(opening)
    now.retell()


def reuse(world: World, now: Content) -> None:
    """The newest life under the first one's name, from 0 again; the index, which admits no number twice, says nothing."""
    newest, first = last_and_first(now)
    for index in life(now, newest):
        now.edit(index, lambda body: body.update(emitter=first))
        now.records[index][3 + COPIES.index("eseq")] = None
    now.fit()


def reopen_and_forget_the_first(world: World, now: Content) -> None:
    """Two lives in one: the second opening stands in the middle."""
    newest, first = last_and_first(now)
    for index in life(now, first):
        if now.bodies()[index]["type"] == "emitter.closed":
            now.drop(index)
            break
    for index in life(now, newest):
        now.edit(index, lambda body: body.update(emitter=first))
    now.retell()


def exchange_ends(world: World, now: Content) -> None:
    """Two calls get each other's answers, each at its own place: only the start that an end names gives it away."""
    one, other = now.of_call("a0")[1], now.of_call("a1")[1]
    first, second = now.bodies()[one], now.bodies()[other]
    for index, document, name in ((one, first, "a1"), (other, second, "a0")):
        document["call_id"] = name
        now.say(index, document)
    now.fit()


def double(kind: str) -> Change:
    """A record of a call once more, with an id and a number of its own."""

    def change(world: World, now: Content) -> None:
        begin, end = now.of_call("c1")
        row = list(now.records[begin if kind == "call.started" else end])
        now.records.insert(end + 1, row)
        now.edit(
            end + 1,
            lambda body: (
                body.update(rid=body["rid"][:-4] + "0000", mono_us=now.bodies()[end]["mono_us"]),
                body.pop("commitments"),
                body.pop("dek"),
            ),
        )
        now.retell()

    return change


def remove_the_artifact(world: World, now: Content) -> None:
    now.tables["ledger_artifact"] = []


def change_the_artifact(world: World, now: Content) -> None:
    now.tables["ledger_artifact"][0][2] = b'{"a":2}'


def forget_the_head(world: World, now: Content) -> None:
    now.tables["ledger_head"] = []


def forget_the_log(world: World, now: Content) -> None:
    now.tables["ledger_log"] = []


def empty(world: World, now: Content) -> None:
    now.drop(*range(len(now.records)))
    now.fit()


def plant_a_payload(world: World, now: Content) -> None:
    now.payloads.append([bytes(32), None, None, b"x"])


def unseal_a_payload(world: World, now: Content) -> None:
    """The same content in clear, where its record names a key."""
    vault = Vault(Sealing(PAYLOAD_KEY, world.attacked.folder / "x.keys"), ORIGIN)
    row = now.payloads[0]
    kept = vault.find(row[1])
    vault.close()
    assert kept is not None
    assert kept.key is not None
    row[1:] = [None, None, kept.key.open(row[3], row[0], row[2])]


def plant_a_checkpoint(world: World, now: Content) -> None:
    now.checkpoints.append([3, KEY.sign_note(Checkpoint(ORIGIN, 3, bytes(32)).text).to_bytes(), None, None])


def plant_a_checkpoint_of_another_origin(world: World, now: Content) -> None:
    now.checkpoints.append([3, KEY.sign_note(Checkpoint("b", 3, bytes(32)).text).to_bytes(), None, None])


def state_a_key(world: World, now: Content) -> None:
    now.tables["ledger_log"][0][4] = str(KEY.verifier)


BESIDES: dict[str, tuple[Change, int, str]] = {
    "emptied": (empty, UNUSABLE, "the log is empty"),
    "head forgotten": (forget_the_head, TAMPERED, "the head is missing"),
    "the log's own line forgotten": (forget_the_log, TAMPERED, "the log's own line"),
    "emitter continued after close": (continue_after_close, TAMPERED, "its emitter was closed before it"),
    "emitter reused": (reuse, TAMPERED, "its emitter was closed before it"),
    "emitter opened twice": (reopen_and_forget_the_first, TAMPERED, "an emitter opens with its first record"),
    "ends exchanged": (exchange_ends, TAMPERED, "ends were exchanged"),
    "end doubled": (double("call.completed"), TAMPERED, "started or ended more than once"),
    "start doubled": (double("call.started"), TAMPERED, "started or ended more than once"),
    "artifact missing": (remove_the_artifact, TAMPERED, "configuration that it names is missing"),
    "artifact changed": (change_the_artifact, TAMPERED, "configuration that it names was changed"),
    "payload planted": (plant_a_payload, TAMPERED, "1 payloads belong to no record"),
    "payload unsealed": (unseal_a_payload, TAMPERED, "kept under another key"),
    "checkpoint planted": (plant_a_checkpoint, TAMPERED, "isn't the one that its stored checkpoint states"),
    "checkpoint of another origin": (plant_a_checkpoint_of_another_origin, TAMPERED, "of another log or size"),
    "key planted": (state_a_key, TAMPERED, "states another key than its first record"),
}


@pytest.mark.parametrize("name", BESIDES)
def test_it_is_found_and_named(world: World, name: str) -> None:
    change, code, text = BESIDES[name]
    now = world.newest.copy()
    change(world, now)
    world.attacked.put(now)
    for place in (world.attacked.place, world.attacked.closed):
        found = verify(place)
        assert found.exit_code == code, told(found)
        assert text in told(found)


@pytest.mark.parametrize("name", ["emptied", "head forgotten", "the log's own line forgotten", "checkpoint planted"])
def test_nobody_writes_to_it(world: World, name: str) -> None:
    change, _, _ = BESIDES[name]
    now = world.newest.copy()
    change(world, now)
    world.attacked.put(now)
    with pytest.raises(LedgerInvalid):
        ledger_at(world.attacked.place, clock=SystemClock()).open()


@pytest.mark.parametrize("column", COPIES)
@pytest.mark.parametrize("value", ["other", "absent"])
def test_an_index_copy_that_says_something_else_is_found(world: World, column: str, value: str) -> None:
    now = world.newest.copy()
    index, at = now.of_call("a0")[0], 3 + COPIES.index(column)
    row = now.records[index]
    row[at] = None if value == "absent" else row[at] + 100 if column == "eseq" else row[at] + "x"
    world.attacked.put(now)
    found = verify(world.attacked.closed)
    assert found.exit_code == TAMPERED
    assert index in [each.index for each in found.problems]
    assert "its index copy says something else" in told(found)


def test_a_call_that_its_index_copies_hide_is_still_its_cases(world: World) -> None:
    """A reader finds by the copies, the verifier by the bytes: who hides a call from readers is found by verifying."""
    now = world.newest.copy()
    for index in now.of_call("a0"):
        now.records[index][3 + COPIES.index("call_id")] = now.records[index][3 + COPIES.index("case_id")] = None
    world.attacked.put(now)
    with read(world.attacked.closed) as reader:
        assert reader.call("a0") == []
        assert "a0" not in [each.fields.get("call_id") for each in reader.records(case=CONTEXT.case.id)]  # type: ignore[union-attr]
    assert verify(world.attacked.closed).exit_code == TAMPERED


# --- bodies that are no records, though every hash fits --------------------------------------------------------------------


def said(document: Fields, **more: object) -> bytes:
    return canonical.dump({**document, **more})


def spoiled(body: bytes, document: Fields) -> dict[str, bytes]:
    """The bytes of one record, in ways that a lax reader lets through."""
    assert body.endswith(b',"v":1}')
    head = body.removesuffix(b',"v":1}')
    us = b'"us":%d' % document["us"]
    return {
        "duplicate key": head + b',"v":1,"v":1}',
        "duplicate key, other value first": b'{"v":2,' + body[1:],
        "byte order mark": b"\xef\xbb\xbf" + body,
        "UTF-16": body.decode().encode("utf-16"),
        "float": head + b',"v":1.0}',
        "exponent": head + b',"v":1e0}',
        "true for 1": head + b',"v":true}',
        "text for 1": head + b',"v":"1"}',
        "2^53": body.replace(us, b'"us":9007199254740992'),
        "minus zero": body.replace(us, b'"us":-0'),
        "leading zero": body.replace(us, b'"us":01'),
        "other digits": body.replace(us, '"us":٣'.encode()),
        "NaN": body.replace(us, b'"us":NaN'),
        "null": body.replace(us, b'"us":null'),
        "needless escape": body.replace(b'"call.completed"', b'"c\\u0061ll.completed"'),
        "escaped slash": body.replace(b'"origin":"example.com/', b'"origin":"example.com\\/'),
        "newline in a key": head + b',"v":1,"z\\n":1}',
        "raw newline in a key": head + b',"v":1,"z\n":1}',
        "lone surrogate": head + b',"v":1,"z":"\\ud800"}',
        "overlong UTF-8": head + b',"v":1,"z":"\xc0\x80"}',
        "depth 5,000": head + b',"v":1,"z":' + b"[" * 5000 + b"1" + b"]" * 5000 + b"}",
        "empty list": head + b',"v":1,"z":[]}',
        "unsorted": b'{"v":1,' + head[1:] + b"}",
        "space": body.replace(b'"v":1', b'"v": 1'),
        "trailing newline": body + b"\n",
        "trailing text": body + b"{}",
        "cut": body[:-1],
        "too long": head + b',"v":1,"z":"' + b"z" * MAX_BYTES + b'"}',
        "nothing": b"",
        "a list": b"[" + body + b"]",
    }


SPOILED = tuple(spoiled(b'{"us":1,"v":1}', {"us": 1}))


@pytest.mark.parametrize("name", SPOILED)
def test_bytes_that_are_no_record_are_found_though_every_hash_fits(world: World, name: str) -> None:
    now = world.newest.copy()
    (_, index) = now.of_call("c1")
    body = now.records[index][2]
    spoilt = spoiled(body, canonical.read(body))[name]
    assert spoilt != body
    now.records[index][2] = spoilt
    now.fit()
    world.attacked.put(now)
    found = verify(world.attacked.closed)
    assert found.exit_code == TAMPERED
    named = [each.what for each in found.problems if each.index == index]
    assert any(
        each.startswith(("its bytes are no record's", "version or type unknown", "it's malformed")) for each in named
    )
    with read(world.attacked.closed) as reader:
        assert reader.record(index).body == spoilt


def test_the_same_bytes_unspoiled_are_whole(world: World) -> None:
    """Else the tests above would find what they did not put there."""
    now = world.newest.copy()
    now.retell()
    world.attacked.put(now)
    assert now.tables == world.newest.tables
    assert verify(world.attacked.place).exit_code == WHOLE


# --- keys -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def of_key(signed: World) -> Iterator[World]:
    yield signed
    signed.attacked.put(signed.newest.copy())


def test_a_log_that_declares_another_key_than_the_verifiers_is_not_verified(of_key: World) -> None:
    """Everything is made anew, for a key of the attacker's: only who brings the right key sees it."""
    now = of_key.newest.copy()
    now.edit(0, lambda body: body.update(keys=[str(STRANGER.verifier)]))
    now.retell()
    now.tables["ledger_log"][0][4], now.head[3], now.tables["ledger_checkpoint"] = str(STRANGER.verifier), None, []
    of_key.attacked.put(now)
    assert verify(of_key.attacked.place).exit_code == WHOLE
    found = verify(of_key.attacked.place, keys=[KEY.verifier])
    assert (found.exit_code, found.covered) == (2, None)
    assert "signed nothing here" in told(found)
    now.tables["ledger_log"][0][4] = str(KEY.verifier)
    of_key.attacked.put(now)
    assert "states another key than its first record" in told(verify(of_key.attacked.place))


def test_a_pin_between_stored_checkpoints_is_held_against_the_log(of_key: World) -> None:
    sizes = [row[0] for row in of_key.newest.checkpoints]
    frontier = Frontier()
    for row in of_key.newest.records[: sizes[0] + 1]:
        frontier.append(row[1])
    assert sizes[0] < frontier.size < sizes[1]
    for root, code in ((frontier.root(), WHOLE), (bytes(32), TAMPERED)):
        found = verify(of_key.attacked.place, keys=[KEY.verifier], pins=[(frontier.size, root.hex())])
        assert (found.exit_code, found.covered) == (code, sizes[-1])


def test_a_pinned_checkpoint_of_another_origin_is_tampering(of_key: World) -> None:
    size, root = of_key.pins[1]
    note = KEY.sign_note(Checkpoint("example.com/another", size, bytes.fromhex(root)).text).to_bytes()
    for keys in ((), (KEY.verifier,)):
        found = verify(of_key.attacked.place, keys=keys, checkpoints=[note])
        assert found.exit_code == TAMPERED
        assert "of another log, 'example.com/another'" in told(found)


def test_a_key_that_was_destroyed_without_a_record_is_found(world: World) -> None:
    sealing = world.attacked.place.sealing
    assert sealing is not None
    saved = sealing.path.read_bytes()
    vault = Vault(sealing, ORIGIN)
    try:
        vault.shred("T-17")
        vault.close()
        found = verify(world.attacked.place)
        assert found.exit_code == TAMPERED
        assert "was destroyed, and no record says so" in told(found)
    finally:
        vault.close()
        sealing.path.write_bytes(saved)
    assert verify(world.attacked.place).exit_code == WHOLE


@pytest.mark.parametrize("junk", [b"", b"no database at all" * 500, None], ids=["empty", "text", "folder"])
def test_a_file_of_keys_that_is_none_is_told_and_nothing_is_raised(world: World, junk: bytes | None) -> None:
    sealing = world.attacked.place.sealing
    assert sealing is not None
    saved = sealing.path.read_bytes()
    try:
        sealing.path.unlink()
        if junk is None:
            sealing.path.mkdir()
        else:
            sealing.path.write_bytes(junk)
        found = verify(world.attacked.place)
        with read(world.attacked.place) as reader:
            digest = reader.call("a0")[0].fields["commitments"][0]["digest"]
            with pytest.raises(LedgerInvalid, match=r"x\.keys"):
                reader.payload(digest)
    finally:
        if junk is None:
            sealing.path.rmdir()
        sealing.path.write_bytes(saved)
    assert found.exit_code == INCOMPLETE, told(found)
    assert "x.keys" in told(found)
    assert len(found.problems) == 1


def test_a_file_of_keys_that_cant_be_used_is_asked_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def fails(_: Vault, name: bytes) -> None:
        asked.append(name)
        raise VaultFailed("x.keys: it can't be read")

    monkeypatch.setattr(Vault, "find", fails)
    found = by_ours(world.attacked.place)
    assert [(each.code, each.what) for each in found.problems] == [(INCOMPLETE, "x.keys: it can't be read")]
    assert len(asked) == 1


def test_a_line_of_the_file_of_keys_that_is_damaged_is_told(world: World) -> None:
    sealing = world.attacked.place.sealing
    assert sealing is not None
    saved = sealing.path.read_bytes()
    connection = sqlite3.connect(sealing.path, isolation_level=None)
    connection.execute("CREATE TABLE more (dek, scope, scope_id, kek, wrapped, state)")
    connection.execute("INSERT INTO more SELECT dek, scope, 5, kek, wrapped, state FROM ledger_dek")
    connection.execute("DROP TABLE ledger_dek")
    connection.execute("ALTER TABLE more RENAME TO ledger_dek")
    connection.close()
    try:
        found = verify(world.attacked.place)
    finally:
        sealing.path.write_bytes(saved)
    assert found.exit_code == INCOMPLETE, told(found)
    assert "the file of keys is damaged" in told(found)
