"""The threat model, cell by cell: what a verifier finds of each attack with each thing that it brings along, on both stores.

A miss is asserted as a miss: what a hash can't catch is to be known, not hoped for. The table is that of the
specification; where it says more than one thing in a cell, there are several rows.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from attacked import Content, World, in_a_database, in_a_file, lived
from attrs import evolve, frozen
from ledgers import SystemClock, call, ledger_at, settled
from signing import KEY, ORIGIN, signing_in
from tests.postgres_server import PostgresServer

from failsoft.ledger.checkpoints.publishing import SECOND
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.format.merkle import Frontier
from failsoft.ledger.format.note import Checkpoint
from failsoft.ledger.keys.vault import PayloadKey, Sealing
from failsoft.ledger.store import INCOMPLETE, TAMPERED, WHOLE
from failsoft.ledger.verify import Verification, verify

KEYS = [KEY.verifier]
SCHEMAS = (f"threat_{number}" for number in count())
STORES = ("file", "database")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Callable[[str, bool], World]:
    """One of each store, signed or not; made when it's asked for."""
    made: dict[tuple[str, bool], World] = {}

    def world(store: str, signed: bool) -> World:
        if (store, signed) not in made:
            folder = tmp_path_factory.mktemp("world") / "own"
            attacked = in_a_file(folder) if store == "file" else in_a_database(folder, postgres, next(SCHEMAS))
            signing = signing_in(folder, every_ns=3600 * SECOND) if signed else None
            made[store, signed] = lived(attacked, signing)
        return made[store, signed]

    return world


# --- who attacks --------------------------------------------------------------------------------------------------------

Attack = Callable[[World, Content], None]
"""Changes what the store is to hold from now on, or the store itself."""


def edit(world: World, now: Content) -> None:
    now.edit(now.of_call("a1")[1], lambda body: body.update(us=1))


def edit_and_recompute(world: World, now: Content) -> None:
    edit(world, now)
    now.retell()


def delete(world: World, now: Content) -> None:
    now.drop(now.of_call("a1")[1])


def delete_and_close_the_gap(world: World, now: Content) -> None:
    now.drop(*now.of_call("a1"))
    now.fit()


def delete_and_retell(world: World, now: Content) -> None:
    now.drop(*now.of_call("a1"))
    now.retell()


def exchange(now: Content, one: int, other: int) -> None:
    now.records[one], now.records[other] = now.records[other], now.records[one]
    now.fit()


def swap_of_one(world: World, now: Content) -> None:
    exchange(now, now.of_call("a0")[1], now.of_call("a1")[0])


def swap_of_two(world: World, now: Content) -> None:
    end, begin = now.of_call("a0")[1], now.of_call("b0")[0]
    assert begin == end + 1
    assert now.records[end][3] != now.records[begin][3]
    exchange(now, end, begin)


def truncate(world: World, now: Content) -> None:
    now.cut(world.kept.head[1])


def truncate_an_open_call(world: World, now: Content) -> None:
    now.cut(world.kept.head[1] - 1)


def truncate_to_what_was_signed(world: World, now: Content) -> None:
    now.cut(world.kept.head[1])
    now.head[:] = world.kept.head


def roll_back(world: World, now: Content) -> None:
    now.tables = world.early.copy().tables


def append(world: World, now: Content) -> None:
    """A whole life of a process that hasn't the key, and afterwards all that it mustn't have is put back."""
    vkey, checkpoints = now.tables["ledger_log"][0][4], now.checkpoints
    now.tables["ledger_log"][0][4], now.head[3], now.tables["ledger_checkpoint"] = None, None, []
    world.attacked.put(now)
    own = Sealing(PayloadKey(bytes(32)), world.attacked.folder / "forger.keys")
    forger = ledger_at(evolve(world.attacked.closed, sealing=own), clock=SystemClock())
    forger.open()
    settled(call(forger, "forged")[1])
    forger.close()
    now.tables = world.attacked.take().tables
    now.tables["ledger_log"][0][4], now.tables["ledger_checkpoint"] = vkey, checkpoints


def fork(world: World, now: Content) -> None:
    now.tables = world.before.copy().tables
    append(world, now)


def delete_a_payload(world: World, now: Content) -> None:
    del now.payloads[payload_of(now, "a1")]


def payload_of(now: Content, call_id: str) -> int:
    named = now.bodies()[now.of_call(call_id)[0]]["commitments"][0]["digest"]
    return [row[0].hex() for row in now.payloads].index(named)


def swap_payloads(world: World, now: Content) -> None:
    """Of one case: both lie under the same key."""
    one, other = (now.payloads[payload_of(now, each)] for each in ("a0", "a1"))
    one[1:], other[1:] = other[1:], one[1:]


def move_a_payload(world: World, now: Content) -> None:
    """From one case to another."""
    now.payloads[payload_of(now, "a0")][1:] = now.payloads[payload_of(now, "b0")][1:]


def garble_a_payload(world: World, now: Content) -> None:
    row = now.payloads[payload_of(now, "a1")]
    row[3] = bytes(len(row[3]))


def resign(world: World, now: Content) -> None:
    """Whoever has the log's key signs head and checkpoints anew; where nobody signs there's nothing to do."""
    edit_and_recompute(world, now)
    sizes, frontier = [row[0] for row in now.checkpoints], Frontier()
    for row in now.records:
        frontier.append(row[1])
        if frontier.size in sizes:
            note = KEY.sign_note(Checkpoint(ORIGIN, frontier.size, frontier.root()).text).to_bytes()
            now.checkpoints[sizes.index(frontier.size)][1] = note
    if sizes:
        now.head[3] = Signer(KEY, world.attacked.folder / "nowhere").sign_head(frontier)


def dropping(attack: Attack, checkpoints: Callable[[World], Content]) -> Attack:
    """And drop the checkpoints after that moment."""

    def both(world: World, now: Content) -> None:
        attack(world, now)
        now.uncheckpointed(checkpoints(world).head[1])

    return both


def since_early(world: World) -> Content:
    return world.early


def since_the_pin(world: World) -> Content:
    return world.before


# --- the table ----------------------------------------------------------------------------------------------------------

COLUMNS = (
    "database alone",
    "+ stored checkpoints and key",
    "+ pin before the change",
    "+ pin of the newest",
    "signed head",
    "signed head, pin of the newest",
    "pin before the change, nobody signs",
    "pin of the newest, nobody signs",
)
"""The specification's five, and three more. Those with a plus add to the one before, and the head's signature is set aside."""


@frozen
class Threat:
    """A row.

    Args:
        cells: the exit code in each column.
        told: what's said of it where the database is all there is.
        opened: the verifier has the key of the payloads.
    """

    attack: Attack
    cells: tuple[int, ...]
    told: str = ""
    opened: bool = False


def cells(drawn: str) -> tuple[int, ...]:
    """As the table is drawn: caught, missed, incomplete."""
    return tuple({"C": TAMPERED, "-": WHOLE, "i": INCOMPLETE}[each] for each in drawn.replace(" ", ""))


THREATS: dict[str, Threat] = {
    "edit body only": Threat(edit, cells("CCCCC CCC"), "don't hash to its leaf"),
    "edit, recompute leaves and head": Threat(edit_and_recompute, cells("-CCCC CCC")),
    "… and drop later checkpoints": Threat(dropping(edit_and_recompute, since_early), cells("--CCC CCC")),
    "delete a record": Threat(delete, cells("CCCCC CCC"), "records before it are missing"),
    "delete, close the gap": Threat(delete_and_close_the_gap, cells("CCCCC CCC"), "missing or exchanged"),
    "delete, renumber, recompute, drop checkpoints": Threat(
        dropping(delete_and_retell, since_early), cells("--CCC CCC")
    ),
    "swap two records of one emitter": Threat(swap_of_one, cells("CCCCC CCC"), "missing or exchanged"),
    "swap neighbours of two emitters": Threat(swap_of_two, cells("-CCCC CCC")),
    "truncate tail, fix head": Threat(truncate, cells("-CCCC C-C")),
    "truncate tail, calls left open": Threat(truncate_an_open_call, cells("iCCCC CiC"), "has no end in the log"),
    "truncate tail, drop checkpoints, to an unsigned size": Threat(
        dropping(truncate, since_the_pin), cells("---CC C-C")
    ),
    "truncate tail, drop checkpoints, to a kept signed size": Threat(
        dropping(truncate_to_what_was_signed, since_the_pin), cells("---C- C-C")
    ),
    "whole-file rollback": Threat(roll_back, cells("--CC- CCC")),
    "fork after the pin, drop checkpoints": Threat(fork, cells("---CC C-C")),
    "forged append at the tail": Threat(append, cells("----C C--")),
    "payload deleted without a record": Threat(
        delete_a_payload, cells("CCCCC CCC"), "no record says that it was erased"
    ),
    "payload moved to another case": Threat(move_a_payload, cells("CCCCC CCC"), "kept under another key"),
    "payloads swapped, verifier without their key": Threat(swap_payloads, cells("----- ---")),
    "payloads swapped, verifier with their key": Threat(
        swap_payloads, cells("CCCCC CCC"), "isn't what was committed to", opened=True
    ),
    "payload garbled, verifier without its key": Threat(garble_a_payload, cells("----- ---")),
    "payload garbled, verifier with its key": Threat(
        garble_a_payload, cells("CCCCC CCC"), "isn't what was committed to", opened=True
    ),
    "holder of the log key edits and re-signs all": Threat(resign, cells("--CC- CCC")),
}

SIGNED = (False, True, True, True, True, True, False, False)
PINNED = (None, None, 0, 1, None, 1, 0, 1)
"""Which of the world's pins the verifier brings along."""


def told(found: Verification) -> str:
    return "; ".join(map(str, found.problems))


def looked(world: World, column: str, *, opened: bool, hashes_only: bool = False) -> Verification:
    at = COLUMNS.index(column)
    pinned = PINNED[at]
    return verify(
        world.attacked.place if opened else world.attacked.closed,
        pins=[] if pinned is None else [world.pins[pinned]],
        keys=KEYS if SIGNED[at] else [],
        hashes_only=hashes_only,
    )


def attacked(
    worlds: Callable[[str, bool], World], name: str, column: str, store: str, *, hashes_only: bool = False
) -> Verification:
    """What's found in this column once that was done."""
    world = worlds(store, SIGNED[COLUMNS.index(column)])
    now = world.newest.copy()
    THREATS[name].attack(world, now)
    world.attacked.put(now)
    return looked(world, column, opened=THREATS[name].opened, hashes_only=hashes_only)


def code_of(found: Verification, column: str) -> int:
    """The exit code; where the head's signature is set aside, without what that tells."""
    if not column.startswith("+"):
        return found.exit_code
    codes = {each.code for each in found.problems if "the head isn't signed by the log's key" not in each.what}
    return next((code for code in (TAMPERED, INCOMPLETE) if code in codes), WHOLE)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", THREATS)
def test_an_attack_is_caught_or_missed_as_the_threat_model_says(
    worlds: Callable[[str, bool], World], name: str, column: str, store: str
) -> None:
    found = attacked(worlds, name, column, store)
    assert code_of(found, column) == THREATS[name].cells[COLUMNS.index(column)], told(found)
    if column == "database alone":
        assert THREATS[name].told in told(found)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("column", COLUMNS)
def test_what_nobody_attacked_is_whole_in_every_column(
    worlds: Callable[[str, bool], World], column: str, store: str
) -> None:
    world = worlds(store, SIGNED[COLUMNS.index(column)])
    world.attacked.put(world.newest.copy())
    for opened_ in (False, True):
        found = looked(world, column, opened=opened_)
        assert found.exit_code == WHOLE, told(found)


# --- hashes alone -------------------------------------------------------------------------------------------------------

MISSED_BY_HASHES: dict[str, tuple[int, ...]] = {
    "delete, close the gap": cells("-CCCC CCC"),
    "swap two records of one emitter": cells("-CCCC CCC"),
    "truncate tail, calls left open": cells("-CCCC C-C"),
    **{name: cells("----- ---") for name in THREATS if name.startswith("payload")},
}
"""Where a look at nothing but hashes finds less than a full verification."""


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", THREATS)
def test_hashes_alone_find_what_hashes_can(
    worlds: Callable[[str, bool], World], name: str, column: str, store: str
) -> None:
    found = attacked(worlds, name, column, store, hashes_only=True)
    cells_ = MISSED_BY_HASHES.get(name, THREATS[name].cells)
    assert code_of(found, column) == cells_[COLUMNS.index(column)], told(found)


@pytest.mark.parametrize("store", STORES)
def test_hashes_alone_of_what_nobody_attacked(worlds: Callable[[str, bool], World], store: str) -> None:
    world = worlds(store, True)
    world.attacked.put(world.newest.copy())
    whole, found = (looked(world, "signed head", opened=False, hashes_only=only) for only in (False, True))
    assert (found.exit_code, found.verdict) == (WHOLE, "verified, by its hashes alone")
    assert (found.origin, found.size, found.root) == (whole.origin, whole.size, whole.root)
    assert (found.covered, found.head_signed) == (whole.covered, True)
    assert not any("payload" in line or "call" in line for line in found.summary())
