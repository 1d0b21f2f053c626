"""Record bytes, and how an emitter numbers what it says.

A `Draft` is what a record will say, before it has a number; `Emitter.build` gives number, time and identity, puts
payloads behind salted commitments, and makes the exact bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from attrs import field, frozen

from failsoft.core.clock import uuid7
from failsoft.core.effects import Clock
from failsoft.ledger.format.canonical import ProfileError, dump
from failsoft.ledger.format.commitment import SALT_SIZE, Disclosure, digest
from failsoft.ledger.format.merkle import leaf_hash
from failsoft.ledger.keys.vault import NONCE_SIZE, CaseKey
from failsoft.ledger.records import facts
from failsoft.ledger.records.redaction import Redact
from failsoft.ledger.records.schema import Kind

MAX_PAYLOAD = 64 * 2**20
"""Bytes of one payload: far above any reply that a transport lets through, far below what SQLite refuses."""

_POOL = 1024
"""Random bytes that are fetched at once. A forked child is another emitter, with its own."""

JSON = "application/json"
"""The media type of most payloads and artifacts."""

Fields = dict[str, Any]

Stored = tuple[bytes, bytes | None, bytes | None, bytes]
"""Commitment, name of the key, nonce, data: a disclosure in clear where there's no key."""

KeyOf = Callable[[str], CaseKey]
"""Gives the key that payloads of a case are encrypted under; of what has none: ``""``."""


_SAID = ("why", "basis")
"""What a person says in a record itself, where it can't be erased: redacted as payloads are."""


@frozen
class Draft:
    """What a record will say.

    Args:
        fields: its own keys; the common ones come with its number. Its ``facts`` are whole: they're redacted and bounded
            when it's built.
        payloads: path, media type and data of each.
        artifacts: media type and data of each; they're named in `fields` by their SHA-256.
    """

    kind: Kind
    fields: Mapping[str, Any]
    payloads: tuple[tuple[str, str, bytes], ...] = field(default=(), repr=False)
    artifacts: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)


@frozen
class Built:
    """A record's exact bytes, and what is stored beside them.

    Args:
        payloads: a row of the payload table for each.
        artifacts: SHA-256, media type and data of each.
    """

    kind: Kind
    rid: str
    ts: str
    emitter: str | None
    eseq: int | None
    body: bytes = field(repr=False)
    leaf: bytes = field(repr=False)
    call_id: str | None = None
    case_id: str | None = None
    capability: str | None = None
    payloads: tuple[Stored, ...] = field(default=(), repr=False)
    artifacts: tuple[tuple[bytes, str, bytes], ...] = field(default=(), repr=False)

    @property
    def size(self) -> int:
        """Bytes of it and of what is stored beside it."""
        return len(self.body) + sum(len(row[-1]) for rows in (self.payloads, self.artifacts) for row in rows)


class Emitter:
    """One process's voice in the log: an identity, and numbers without a gap.

    Args:
        origin: the log's name.
        clock: of this process.
        random_bytes: gives that many random bytes; identity, record ids, salts and nonces come from it.
        key_of: payloads are encrypted; None: they're kept in clear.
        redact: what's taken out of payloads, public fields and reasons before they're committed to; None: nothing.
    """

    def __init__(
        self,
        origin: str,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        key_of: KeyOf | None = None,
        redact: Redact | None = None,
    ) -> None:
        self.origin = origin
        self._key_of = key_of
        self._redact = redact
        self._random_bytes = random_bytes
        self._pool = b""
        self.id = self._random(16).hex()
        self._opened_ns = clock.monotonic_ns()
        self._next = 0
        self._mono_us = 0

    @property
    def position(self) -> tuple[int, int]:
        """The next record's number, and the latest one's time: to return to after a rollback."""
        return self._next, self._mono_us

    @position.setter
    def position(self, value: tuple[int, int]) -> None:
        self._next, self._mono_us = value

    def build(self, draft: Draft, wall_ns: int, monotonic_ns: int) -> Built:
        """The draft's bytes under the next number; a draft that is refused burns none.

        Raises:
            ValueError: it can't be a record: an identifier or a value is outside the profile, or it's too long.
        """
        founding = draft.kind is Kind.LOG_OPENED
        mono_us = max(self._mono_us, (monotonic_ns - self._opened_ns) // 1000)
        rid = uuid7(wall_ns, int.from_bytes(self._random(10), "big") >> 6)
        ts = timestamp(wall_ns)
        document: Fields = {
            **draft.fields,
            "v": 1,
            "type": draft.kind.value,
            "rid": rid,
            "ts": ts,
            "origin": self.origin,
        }
        if not founding:
            document |= {"emitter": self.id, "eseq": self._next, "mono_us": mono_us}
        redacted = Counter[str]()
        if "facts" in document:
            document |= facts.told(document.pop("facts"), lambda text: self._plain(text, redacted))
        for name in _SAID:
            if name in document:
                document[name] = self._plain(document[name].encode(), redacted).decode()
        payloads = self._commit(draft, document, redacted)
        if redacted:
            document["redacted"] = dict(redacted)
        body = dump(document)
        if not founding:
            self.position = (self._next + 1, mono_us)
        return Built(
            draft.kind,
            rid,
            ts,
            document.get("emitter"),
            document.get("eseq"),
            body,
            leaf_hash(body),
            document.get("call_id"),
            document["case"]["id"] if "case" in document else None,
            document["capability"]["name"] if "capability" in document else None,
            payloads,
            tuple((sha256(data).digest(), media, data) for media, data in draft.artifacts),
        )

    def _random(self, size: int) -> bytes:
        """Fetched by the page: to ask the system for each salt costs more than to hash what it's for."""
        if len(self._pool) < size:
            self._pool = self._random_bytes(_POOL)
        taken, self._pool = self._pool[:size], self._pool[size:]
        return taken

    def _plain(self, data: bytes, redacted: Counter[str]) -> bytes:
        if self._redact is None:
            return data
        data, found = self._redact(data)
        if found:
            redacted.update(found)
        return data

    def _commit(self, draft: Draft, document: Fields, redacted: Counter[str]) -> tuple[Stored, ...]:
        if not draft.payloads:
            return ()
        key = None if self._key_of is None else self._key_of(document["case"]["id"] if "case" in document else "")
        if key is not None:
            document["dek"] = key.name.hex()
        kept: list[Stored] = []
        named: list[dict[str, str]] = []
        for path, media, whole in sorted(draft.payloads):
            if len(whole) > MAX_PAYLOAD:
                raise ProfileError(f"a payload of {len(whole)} bytes, more than {MAX_PAYLOAD}")
            disclosure = Disclosure(path, media, self._plain(whole, redacted), self._random(SALT_SIZE)).to_bytes()
            commitment = digest(disclosure)
            kept.append((commitment, *self._sealed(key, commitment, disclosure)))
            named.append({"digest": commitment.hex(), "path": path})
        document["commitments"] = named
        return tuple(kept)

    def _sealed(
        self, key: CaseKey | None, commitment: bytes, disclosure: bytes
    ) -> tuple[bytes | None, bytes | None, bytes]:
        if key is None:
            return None, None, disclosure
        nonce = self._random(NONCE_SIZE)
        return key.name, nonce, key.seal(disclosure, commitment, nonce)


def timestamp(time_ns: int) -> str:
    """Nanoseconds since 1970 as the log's text: UTC, microseconds, always six digits of them."""
    seconds, micros = divmod(time_ns // 1000, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
