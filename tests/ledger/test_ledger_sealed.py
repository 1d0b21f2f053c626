"""Payloads under keys of their cases: what's kept, what opens it, what verification finds."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ledgers import CONTEXT, SystemClock, call, completed, ledger_at, rows, settled, started, until
from signing import attack, recompute
from tests.postgres_server import PostgresServer

from failsoft.context import CallContext
from failsoft.core.effects import Recorded, Unrecorded
from failsoft.core.evidence import LegalHold, RetirementNotice
from failsoft.errors import ConfigurationError, LedgerInvalid, PayloadSealed
from failsoft.ledger.acts.erasure import Acting, erase
from failsoft.ledger.format.note import NoteInvalid
from failsoft.ledger.keys import vault as vault_module
from failsoft.ledger.keys.vault import CaseKey, Kept, PayloadKey, Sealing, Vault, VaultFailed
from failsoft.ledger.location import InDatabase, InFile, Location
from failsoft.ledger.read import read
from failsoft.ledger.reading import kept
from failsoft.ledger.reading.kept import Payloads
from failsoft.ledger.verify import verify
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.postgres_address import Address

VECTORS = Path(__file__).parents[3] / "shared" / "spec" / "vectors" / "ledger.json"
KEY = PayloadKey(bytes(range(32)))
OTHER = PayloadKey(bytes(range(1, 33)))
ORIGIN = "example.com/failsoft-test"
CASE = "SPE4A7-26-R-0001"
NO_CASE = CallContext()


@pytest.fixture
def place(tmp_path: Path) -> InFile:
    return InFile(tmp_path / "x.db", sealing=Sealing(KEY, tmp_path / "x.keys"))


def ledger_in(place: Location, **options: Any) -> StoredLedger:
    return ledger_at(place, clock=SystemClock(), **options)


def wrote(place: Location, *names: str, context: CallContext = CONTEXT) -> None:
    ledger = ledger_in(place)
    ledger.open()
    for each in names:
        begin = ledger.submit(started(each, context=context))
        assert isinstance(settled(ledger.submit(completed(begin, each, context=context))), Recorded)
    ledger.close()


def keys_of(place: InFile) -> Path:
    assert place.sealing is not None
    return place.sealing.path


class TestVectors:
    @pytest.fixture
    def vectors(self) -> dict[str, Any]:
        if not VECTORS.exists():
            pytest.skip("no test vectors beside the checkout")
        found: dict[str, Any] = json.loads(VECTORS.read_text())["ledger"]
        return found

    def test_a_payload_is_sealed_as_the_vector_has_it(self, vectors: dict[str, Any]) -> None:
        key = CaseKey(bytes(16), bytes.fromhex(vectors["dek"]))
        request = {name: bytes.fromhex(each) for name, each in vectors["payloads"]["request"].items()}
        nonce = bytes.fromhex(vectors["nonce"])
        sealed = key.seal(request["disclosure"], request["digest"], nonce)
        assert sealed.hex() == vectors["ciphertext_request"]
        assert key.open(sealed, request["digest"], nonce) == request["disclosure"]
        assert key.open(sealed, bytes(32), nonce) is None

    def test_a_key_is_wrapped_as_the_vector_has_it(self, vectors: dict[str, Any], tmp_path: Path) -> None:
        key = PayloadKey(bytes.fromhex(vectors["kek"]))
        vault = Vault(Sealing(key, tmp_path / "k"), ORIGIN)
        aad = vault._aad(bytes.fromhex("d0" * 16), "case", CASE)
        assert aad.hex() == vectors["dek_aad"]
        wrapped = bytes.fromhex(vectors["wrapped_dek"])
        assert key.wrap(bytes.fromhex(vectors["dek"]), aad, wrapped[:12]) == wrapped
        assert key.unwrap(wrapped, aad) == bytes.fromhex(vectors["dek"])
        assert key.unwrap(wrapped, aad + b"x") is None


class TestPayloadKeys:
    def test_what_is_written_is_read(self) -> None:
        assert PayloadKey.parse(KEY.to_text()) == KEY
        assert KEY.secret.hex() not in repr(KEY)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "canary",
            "x" + KEY.to_text(),
            KEY.to_text().replace("PAYLOAD", "PRIVATE"),
            "PAYLOAD+KEY+canary",
            KEY.to_text()[:-8] + "AAAAAAA=",
            f"PAYLOAD+KEY+{OTHER.id}+" + KEY.to_text()[29:],
            "PAYLOAD+KEY+" + "0" * 16 + "+AAAA",
        ],
    )
    def test_what_is_none_is_refused_and_not_quoted(self, text: str) -> None:
        with pytest.raises(NoteInvalid) as caught:
            PayloadKey.parse(text)
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
    def test_it_has_32_bytes(self, size: int) -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            PayloadKey(bytes(size))

    def test_without_cryptography_there_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
        with pytest.raises(ConfigurationError, match="signing"):
            PayloadKey(bytes(32))


class TestWriting:
    def test_payloads_are_nowhere_in_clear_and_are_read_by_whoever_has_the_key(self, place: InFile) -> None:
        canary = b'{"description":"canary-5f1d"}'
        ledger = ledger_in(place)
        ledger.open()
        begin = ledger.submit(started("c1", request=canary))
        settled(ledger.submit(completed(begin, "c1", response=canary)))
        everything = b"".join(each.read_bytes() for each in place.path.parent.iterdir() if each.is_file())
        ledger.close()
        everything += b"".join(each.read_bytes() for each in place.path.parent.iterdir())
        assert b"canary-5f1d" not in everything
        assert KEY.secret not in everything
        with read(place) as reader:
            first, last = reader.call("c1")
            assert first.fields["dek"] == last.fields["dek"]
            assert reader.payload(first.fields["commitments"][0]["digest"]) == ("request", "application/json", canary)
        found = verify(place)
        assert (found.exit_code, found.notes) == (0, ())

    def test_each_case_has_a_key_and_what_has_none_shares_one(self, place: InFile) -> None:
        wrote(place, "c1", "c2")
        wrote(place, "c3", "c4", context=NO_CASE)
        wrote(place, "c5")
        ledger = ledger_in(place)
        ledger.open()
        settled(ledger.submit(RetirementNotice("gpt", "m", None, None, b"going")))
        ledger.close()
        deks: dict[Any, Any] = {}
        for call_id, body in rows(place.path, "SELECT call_id, body FROM ledger_record ORDER BY seq"):
            fields = json.loads(body)
            if "dek" in fields:
                assert deks.setdefault(call_id, fields["dek"]) == fields["dek"]
        assert deks["c1"] == deks["c2"] == deks["c5"] != deks["c3"]
        assert deks["c3"] == deks["c4"] == deks[None]
        assert verify(place).exit_code == 0

    def test_whoever_lacks_the_key_is_told_so(self, place: InFile, tmp_path: Path) -> None:
        wrote(place, "c1")
        for other, code in (
            (InFile(place.path), 0),
            (InFile(place.path, sealing=Sealing(OTHER, keys_of(place))), 2),
            (InFile(place.path, sealing=Sealing(KEY, tmp_path / "nowhere.keys")), 2),
        ):
            with read(other) as reader:
                digest = reader.call("c1")[0].fields["commitments"][0]["digest"]
                with pytest.raises(PayloadSealed):
                    reader.payload(digest)
                assert reader.readable(digest) is None
                assert reader.keeps(digest)
            found = verify(other)
            assert (found.exit_code, "4 payloads are encrypted" in " ".join(found.summary())) == (code, True)
            lacking = ["4 weren't opened" in str(each) for each in found.problems]
            assert lacking == [True] * (code == 2)
        assert not (tmp_path / "nowhere.keys").exists()

    def test_what_cant_be_read_is_told_as_encrypted_erased_or_not_kept(self, place: InFile, tmp_path: Path) -> None:
        wrote(place, "c1")
        bare, elsewhere = InFile(place.path), InFile(place.path, sealing=Sealing(KEY, tmp_path / "nowhere.keys"))

        def told(location: InFile) -> tuple[bool, bool, str]:
            with read(location) as reader:
                entry = reader.call("c1")[0]
                found = Payloads(reader)
                (said, again) = (
                    found.text(entry.index, entry.fields["commitments"][0]["digest"], entry.fields["dek"]) for _ in "12"
                )
                assert said == again
                return said.text is not None, said.there, said.why

        assert told(place) == (True, True, "")
        assert told(bare) == (False, True, kept.SEALED)
        assert told(elsewhere) == (False, True, kept.KEYLESS)
        erase(Acting(place, SystemClock()), CASE, basis="b", person="p")
        assert told(place) == told(bare) == (False, False, kept.ERASED)
        wrote(place, "c2")
        attack(place.path, "DELETE FROM ledger_payload")
        with read(bare) as reader:
            entry = reader.call("c2")[0]
            digest = entry.fields["commitments"][0]["digest"]
            for each, dek in ((digest, entry.fields["dek"]), (digest, None), (None, None)):
                assert Payloads(reader).text(entry.index, each, dek) == kept.Kept(None, there=False, why=kept.NOT_KEPT)

    def test_what_came_after_the_erasure_that_names_it_wasnt_erased_by_it(self, place: InFile) -> None:
        wrote(place, "c1")
        with read(place) as reader:
            fields = reader.call("c1")[0].fields
        digest = fields["commitments"][0]["digest"]
        erase(Acting(place, SystemClock()), CASE, basis="b", person="p")
        with read(place) as reader:
            erased = next(reader.records("payload.erased")).index
            for index, why in ((erased - 1, kept.ERASED), (erased, kept.NOT_KEPT)):
                assert Payloads(reader).text(index, digest, fields["dek"]).why == why

    @pytest.mark.parametrize(
        ("change", "code", "said"),
        [
            ("DELETE FROM ledger_dek", 2, "another payload key wraps them: 4 weren't opened"),
            ("UPDATE ledger_dek SET kek = '0123456789abcdef', wrapped = zeroblob(60)", 2, "4 weren't opened"),
            ("UPDATE ledger_dek SET wrapped = zeroblob(60)", 1, "was changed: it doesn't open, and should"),
            ("UPDATE ledger_dek SET scope_id = 'another'", 1, "was changed: it doesn't open, and should"),
            ("UPDATE ledger_dek SET wrapped = NULL, state = 'shredded'", 1, "was destroyed, and no record says so"),
        ],
    )
    def test_keys_that_were_taken_away_hide_nothing(self, place: InFile, change: str, code: int, said: str) -> None:
        """Else whoever can write the file of keys could switch off what's looked for in payloads."""
        wrote(place, "c1")
        attack(place.path, "UPDATE ledger_payload SET data = randomblob(length(data))")
        assert verify(place).exit_code == 1
        with closing(sqlite3.connect(keys_of(place))) as connection:
            connection.execute(change)
            connection.commit()
        found = verify(place)
        assert found.exit_code == code
        assert any(said in str(each) for each in found.problems)
        assert verify(InFile(place.path)).exit_code == 0  # whoever gives no payload key expects nothing to be opened

    def test_a_writer_with_another_payload_key_records_nothing(self, place: InFile) -> None:
        wrote(place, "c1")
        ledger = ledger_in(InFile(place.path, sealing=Sealing(OTHER, keys_of(place))))
        ledger.open()
        result = settled(ledger.submit(started("c2")))
        assert isinstance(result, Unrecorded)
        assert "another payload key" in result.reason
        assert not ledger.healthy
        ledger.close()

    def test_keys_that_cant_be_kept_are_an_outage_and_nothing_is_lost(self, place: InFile) -> None:
        ledger = ledger_in(place, back_off=(0.001, 0.01))
        ledger.open()
        keys_of(place).mkdir()
        assert isinstance(settled(ledger.submit(started("c1"))), Unrecorded)
        assert not ledger.healthy
        keys_of(place).rmdir()
        until(lambda: ledger.healthy)
        ledger.close()
        assert len(rows(place.path, "SELECT 1 FROM ledger_record WHERE call_id = 'c1' AND type = 'call.started'")) == 1
        assert verify(place).exit_code == 0

    def test_two_processes_that_make_a_key_at_once_get_the_same(self, place: InFile) -> None:
        one, two = (Vault(place.sealing, ORIGIN) for _ in range(2) if place.sealing)
        assert one.key_of("a") == two.key_of("a") != one.key_of("b")
        one.close()
        two.close()

    def test_a_file_that_was_put_in_its_place_is_the_one_that_is_used(self, place: InFile) -> None:
        sealing = place.sealing
        assert sealing is not None
        vault = Vault(sealing, ORIGIN)
        before = vault.key_of("a")
        backup = sealing.path.read_bytes()
        since = vault.key_of("b")
        restored = sealing.path.with_name("restored")
        restored.write_bytes(backup)
        restored.replace(sealing.path)
        assert vault.key_of("a") == before
        again = vault.key_of("b")
        assert again != since
        assert [each.name for each in vault.of_case("b")] == [again.name]
        vault.close()

    def test_a_file_that_is_gone_is_told_until_it_is_back(self, place: InFile) -> None:
        sealing = place.sealing
        assert sealing is not None
        vault = Vault(sealing, ORIGIN)
        before = vault.key_of("a")
        elsewhere = sealing.path.rename(sealing.path.with_name("elsewhere"))
        for _ in range(2):
            with pytest.raises(VaultFailed, match="is gone: put it back"):
                vault.key_of("a")
            vault.close()
        assert not sealing.path.exists()
        elsewhere.rename(sealing.path)
        assert vault.key_of("a") == before
        vault.close()

    def test_what_another_process_shredded_is_used_no_more(self, place: InFile) -> None:
        one, two = (Vault(place.sealing, ORIGIN) for _ in range(2) if place.sealing)
        before = one.key_of("a")
        assert one.find(before.name) == Kept(before.name, "a", False, before)
        two.shred("a")
        after = one.key_of("a")
        assert after.name != before.name
        assert one.find(before.name) == Kept(before.name, "a", True, None)
        assert two.shredded() == [before.name]
        assert [each.name for each in two.of_case("a")] == [before.name, after.name]
        assert before.secret not in keys_of(place).read_bytes()
        one.close()
        two.close()

    def test_a_key_is_fetched_once_and_not_after_it_was_destroyed_by_the_same_hand(self, place: InFile) -> None:
        assert place.sealing is not None
        vault = Vault(place.sealing, ORIGIN)
        before = vault.key_of("a")
        assert vault.key_of("a") is before
        assert vault.find(before.name) is vault.find(before.name)
        vault.shred("a")
        after = vault.key_of("a")
        assert after.name != before.name
        assert vault.find(before.name) == Kept(before.name, "a", True, None)
        assert vault.find(after.name) == Kept(after.name, "a", False, after)
        vault.close()

    def test_memory_is_bounded(self, place: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vault_module, "_CACHED", 2)
        assert place.sealing is not None
        vault = Vault(place.sealing, ORIGIN)
        names = [vault.key_of(each).name for each in "abcd"]
        assert list(vault._active) == ["c", "d"]
        assert [kept.case for name in names if (kept := vault.find(name))] == list("abcd")
        assert len(vault._known) <= 2
        vault.close()

    def test_a_key_moved_to_another_logs_file_opens_nothing(self, place: InFile) -> None:
        assert place.sealing is not None
        vault = Vault(place.sealing, ORIGIN)
        name = vault.key_of("a").name
        vault.close()
        other = Vault(place.sealing, "example.com/another")
        assert other.find(name) == Kept(name, "a", shredded=False, key=None, spoilt=True)
        other.close()

    def test_a_fork_shares_no_connection(self, place: InFile) -> None:
        ledger = ledger_in(place)
        ledger.open()
        settled(call(ledger, "parent")[1])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if isinstance(settled(call(ledger, "child")[1]), Recorded) else 1
                ledger.close()
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        settled(call(ledger, "parent again")[1])
        ledger.close()
        assert verify(place).exit_code == 0
        assert rows(keys_of(place), "SELECT count(*) FROM ledger_dek") == [(1,)]


class TestTheFileOfKeys:
    def test_without_one_nothing_is_known(self, place: InFile) -> None:
        assert place.sealing is not None
        vault = Vault(place.sealing, ORIGIN)
        assert (vault.find(b"x" * 16), vault.of_case("a"), vault.shredded()) == (None, [], [])
        vault.close()
        assert not keys_of(place).exists()

    @pytest.mark.parametrize("act", [lambda vault: vault.key_of("a"), lambda vault: vault.find(b"x" * 16)])
    def test_another_database_is_none(self, place: InFile, act: Callable[[Vault], Any]) -> None:
        with sqlite3.connect(keys_of(place)) as connection:
            connection.execute("CREATE TABLE t (a)")
        connection.close()
        assert place.sealing is not None
        vault = Vault(place.sealing, ORIGIN)
        with pytest.raises(LedgerInvalid, match="no file of a ledger's keys"):
            act(vault)
        vault.close()

    def test_a_file_that_is_no_database_is_told(self, place: InFile) -> None:
        keys_of(place).write_bytes(b"no database at all" * 100)
        assert place.sealing is not None
        vault = Vault(place.sealing, ORIGIN)
        with pytest.raises(VaultFailed, match="can't be used"):
            vault.key_of("a")
        vault.close()

    def test_it_is_its_owners_only(self, place: InFile) -> None:
        wrote(place, "c1")
        assert keys_of(place).stat().st_mode & 0o077 == 0


class TestTampering:
    @pytest.mark.parametrize(
        ("statement", "told"),
        [
            ("UPDATE ledger_payload SET data = randomblob(length(data))", "isn't what was committed to"),
            ("UPDATE ledger_payload SET nonce = randomblob(12)", "isn't what was committed to"),
            ("UPDATE ledger_payload SET nonce = NULL", "isn't what was committed to"),
            ("UPDATE ledger_payload SET dek = NULL", "under another key"),
            ("UPDATE ledger_payload SET dek = randomblob(16)", "under another key"),
            ("DELETE FROM ledger_payload", "no record says that it was erased"),
        ],
    )
    def test_a_payload_that_was_exchanged_is_found(self, place: InFile, statement: str, told: str) -> None:
        wrote(place, "c1")
        attack(place.path, statement)
        found = verify(place)
        assert found.exit_code == 1
        assert told in " ".join(found.summary())

    def test_a_payload_moved_to_another_case_is_found_without_any_key(self, place: InFile) -> None:
        wrote(place, "c1")
        wrote(place, "c2", context=NO_CASE)
        dek = rows(place.path, "SELECT dek FROM ledger_payload ORDER BY rowid DESC LIMIT 1")[0][0]
        attack(place.path, ("UPDATE ledger_payload SET dek = ?", (dek,)))
        assert verify(InFile(place.path)).exit_code == 1

    def test_what_is_garbage_passes_without_the_key_and_is_said_to_be_unchecked(self, place: InFile) -> None:
        wrote(place, "c1")
        attack(place.path, "UPDATE ledger_payload SET data = randomblob(length(data))")
        found = verify(InFile(place.path))
        assert (found.exit_code, "wasn't checked" in " ".join(found.summary())) == (0, True)
        with read(place) as reader, pytest.raises(ValueError, match="not what was committed to"):
            reader.payload(reader.call("c1")[0].fields["commitments"][0]["digest"])

    @pytest.mark.parametrize("dek", ["", "D0" * 16, "d0" * 15])
    def test_a_name_that_is_none_is_malformed(self, place: InFile, dek: str) -> None:
        wrote(place, "c1")
        body = rows(place.path, "SELECT body FROM ledger_record WHERE type = 'call.started'")[0][0]
        fields = json.loads(body)
        fields["dek"] = dek
        changed = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        attack(place.path, ("UPDATE ledger_record SET body = ? WHERE type = 'call.started'", (changed,)))
        assert "it's malformed" in " ".join(verify(place).summary())


def test_in_postgres_it_is_the_same(postgres: PostgresServer, tmp_path: Path) -> None:
    place = InDatabase(Address.parse(f"{postgres.url}&schema=sealed"), Sealing(KEY, tmp_path / "keys"))
    wrote(place, "c1", "c2")
    found = verify(place)
    assert (found.exit_code, found.notes) == (0, ())
    with read(place) as reader:
        assert reader.payload(reader.call("c1")[0].fields["commitments"][0]["digest"]) is not None
    assert "8 payloads are encrypted" in " ".join(verify(InDatabase(place.address)).summary())


class TestGuards:
    def test_a_process_without_the_key_adds_nothing_in_clear(self, place: InFile) -> None:
        wrote(place, "c1")
        with pytest.raises(LedgerInvalid, match=r"payloads are encrypted: give its key \(`ledger.payload_key`\)"):
            ledger_in(InFile(place.path)).open()
        ledger = StoredLedger(InFile(place.path), clock=SystemClock(), payloads=False)  # who has none to add
        ledger.open()
        ledger.close()
        assert verify(place).exit_code == 0

    def test_many_records_without_payloads_hide_nothing_of_that(self, place: InFile) -> None:
        wrote(place, "c1")
        acting = Acting(place, SystemClock())
        acting.record(*(LegalHold("SPE4A7-26-R-0001", True, "u-9", f"claim {number}") for number in range(100)))
        with pytest.raises(LedgerInvalid, match="payloads are encrypted"):
            ledger_in(InFile(place.path)).open()

    def test_what_is_in_clear_all_the_same_is_said(self, place: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
        wrote(place, "c1")
        assert "though others before them are encrypted" not in " ".join(verify(place).summary())
        monkeypatch.setattr("failsoft.ledger.checkpoints.opening.NEWEST", 0)
        wrote(InFile(place.path), "c2")
        found = verify(place)
        assert found.exit_code == 0
        assert "4 payloads are in clear, though others before them are encrypted" in found.notes

    def test_a_damaged_record_hides_nothing_of_that(self, place: InFile) -> None:
        wrote(place, "c1")
        attack(place.path, "UPDATE ledger_record SET body = x'00' WHERE type = 'call.completed'")
        recompute(place.path)
        with pytest.raises(LedgerInvalid, match="payloads are encrypted"):
            ledger_in(InFile(place.path)).open()

    def test_one_with_a_key_encrypts_from_then_on_what_was_in_clear(self, place: InFile) -> None:
        wrote(InFile(place.path), "c1")
        wrote(place, "c2")
        assert verify(place).exit_code == 0
        assert "4 payloads are encrypted" in " ".join(verify(InFile(place.path)).summary())
