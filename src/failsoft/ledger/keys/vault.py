"""Keys of cases: payloads are encrypted under them, and to destroy one is to erase all that it opens, backups included.

Each case has a key of its own (AES-256-GCM). It's kept in a file apart from the ledger, wrapped by one *payload key* that
stands in the configuration: backups of that file are to be short, since they're what brings an erased case back. What's of
no case shares a key, which isn't destroyed.

Theory of operation
-------------------

    active ──shred──▶ shredded      its wrapped bytes are gone; the line stays, as what was destroyed

1. A key is durable before the first record under it is: a record never names a key that a crash took.
2. A case has one active key. After an erasure the next record of the case makes another.
3. A file is one log's: the log's name is bound to each wrapped key. A key that doesn't open under it is another log's (or
   damaged): it's neither used nor destroyed, and where none does, none is made.
4. What others did to the file is seen at the next look: no key that was shredded is used on, nor one that is in no file any
   more since another was put in its place. One that was there isn't made anew when it's gone.
"""

from __future__ import annotations

import os
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import field, frozen

from failsoft.errors import ConfigurationError, LedgerInvalid
from failsoft.ledger.format.note import NoteInvalid, decode64

KEY_SIZE = 32
NAME_SIZE = 16
NONCE_SIZE = 12

CASE = "case"
"""The scope of every key so far."""

_MARK = 0x4653_444B
_PREFIX = "PAYLOAD+KEY+"
_CACHED = 1024
_OWN = "give each ledger a file of its own (`ledger.case_keys`)"

_SQL = (
    """CREATE TABLE ledger_dek (
    dek BLOB PRIMARY KEY CHECK (length(dek) = 16),
    scope TEXT NOT NULL CHECK (scope IN ('case', 'subject')),
    scope_id TEXT NOT NULL,
    kek TEXT NOT NULL,
    wrapped BLOB,
    state TEXT NOT NULL CHECK (state IN ('active', 'shredded')),
    CHECK ((wrapped IS NULL) = (state = 'shredded'))
) STRICT""",
    "CREATE UNIQUE INDEX ledger_dek_active ON ledger_dek (scope, scope_id) WHERE state = 'active'",
)

RandomBytes = Callable[[int], bytes]


class VaultFailed(OSError):
    """The file of keys can't be read or written: what needs a key can't be recorded."""


def _aead() -> Any:
    try:
        return import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
    except ImportError:
        raise ConfigurationError(
            'cryptography isn\'t installed: install the extra `signing` ("failsoft[signing]")'
        ) from None


@frozen
class PayloadKey:
    """Wraps the keys of cases.

    Args:
        secret: 32 bytes.

    Raises:
        ValueError: it isn't 32 bytes.
        ConfigurationError: the extra ``signing`` isn't installed.
    """

    secret: bytes = field(repr=False)
    _cipher: Any = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if len(self.secret) != KEY_SIZE:
            raise ValueError(f"a payload key has {KEY_SIZE} bytes")
        object.__setattr__(self, "_cipher", _aead()(self.secret))

    @property
    def id(self) -> str:
        """Names it, and tells nothing of it: 16 hex digits."""
        return sha256(b"failsoft/kek/v1\0" + self.secret).hexdigest()[:16]

    def to_text(self) -> str:
        """As a key file holds it, without a line's end. It's the secret."""
        return f"{_PREFIX}{self.id}+{b64encode(self.secret).decode()}"

    @classmethod
    def parse(cls, text: str) -> PayloadKey:
        """Read what `to_text` wrote.

        Raises:
            NoteInvalid: it isn't one; the message quotes nothing of it.
            ConfigurationError: the extra ``signing`` isn't installed.
        """
        name, _, data = text.removeprefix(_PREFIX).partition("+")
        if not text.startswith(_PREFIX) or not data:
            raise NoteInvalid("not a payload key: `failsoft keys new --payload` makes one")
        try:
            key = cls(decode64(data))
        except ValueError as error:
            raise NoteInvalid(str(error)) from None
        if key.id != name:
            raise NoteInvalid("a payload key whose id isn't its own: it was cut or mistyped")
        return key

    def wrap(self, secret: bytes, aad: bytes, nonce: bytes) -> bytes:
        """A case's key, for the file."""
        sealed: bytes = self._cipher.encrypt(nonce, secret, aad)
        return nonce + sealed

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes | None:
        """A case's key, from the file; None where this key doesn't open it, or not there."""
        return _opened(self._cipher, wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:], aad)


@frozen
class CaseKey:
    """Encrypts the payloads of one case.

    Args:
        name: 16 bytes, as records give it.
        secret: 32 bytes.
    """

    name: bytes
    secret: bytes = field(repr=False)
    _cipher: Any = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_cipher", _aead()(self.secret))

    def seal(self, disclosure: bytes, commitment: bytes, nonce: bytes) -> bytes:
        """A disclosure, for the payload table."""
        sealed: bytes = self._cipher.encrypt(nonce, disclosure, commitment)
        return sealed

    def open(self, data: bytes, commitment: bytes, nonce: bytes) -> bytes | None:
        """The disclosure; None where it isn't one that this key sealed for that commitment."""
        return _opened(self._cipher, nonce, data, commitment)


@frozen
class Sealing:
    """How a ledger's payloads are encrypted.

    Args:
        key: wraps the keys of cases.
        path: the file of those.
    """

    key: PayloadKey
    path: Path


@frozen
class Kept:
    """A line of the file.

    Args:
        key: None where it was shredded, or another payload key wraps it.
        spoilt: our payload key wraps it, as it says, and doesn't open it: somebody changed it.
    """

    name: bytes
    case: str
    shredded: bool
    key: CaseKey | None = field(repr=False)
    spoilt: bool = False


class Vault:
    """The file of keys, as one process uses it. Everything waits; one thread at a time.

    Args:
        sealing: which file, and what opens it.
        origin: the log's name: a key that's moved to another log's file doesn't open there.
        random_bytes: gives names, keys and nonces.
    """

    def __init__(self, sealing: Sealing, origin: str, random_bytes: RandomBytes = os.urandom) -> None:
        self.sealing = sealing
        self._origin = origin
        self._random_bytes = random_bytes
        self._opened: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._active: dict[str, CaseKey] = {}
        self._known: dict[bytes, Kept | None] = {}
        self._version = -1

    def key_of(self, case: str) -> CaseKey:
        """The active key of a case, made where there's none; of what has no case: ``""``.

        Raises:
            VaultFailed: it can't be read, or not be made durable.
            LedgerInvalid: the file is no file of keys, or another log's, or another payload key wraps this case's.
        """
        with _explained(self.sealing.path):
            connection = self._connection(make=True)
            self._notice(connection)
            found = self._active.get(case)
            if found is None:
                found = self._active[case] = self._make(connection, case)
                if len(self._active) > _CACHED:
                    del self._active[next(iter(self._active))]
            return found

    def find(self, name: bytes) -> Kept | None:
        """The key of this name; None where the file has none.

        Raises:
            VaultFailed, LedgerInvalid: as `key_of`.
        """
        with _explained(self.sealing.path):
            if not self.sealing.path.exists():
                return None
            connection = self._connection(make=False)
            self._notice(connection)
            if name not in self._known:
                if len(self._known) >= _CACHED:
                    self._known.clear()
                self._known[name] = next(self._lines(connection, "dek = ?", name), None)
            return self._known[name]

    def of_case(self, case: str) -> list[Kept]:
        """All keys that a case ever had. A change that was cut off by the end of its process is taken back first: nobody can
        read the file before.
        """
        with _explained(self.sealing.path):
            path = self.sealing.path
            if not path.exists():
                return []
            cut_off = path.with_name(path.name + "-journal").exists()
            return list(self._lines(self._connection(make=cut_off), "scope = 'case' AND scope_id = ?", case))

    def shredded(self) -> list[bytes]:
        """The names of all keys that were destroyed."""
        with _explained(self.sealing.path):
            if not self.sealing.path.exists():
                return []
            rows = self._connection(make=False).execute("SELECT dek FROM ledger_dek WHERE state = 'shredded'")
            return [name for (name,) in rows]

    def shred(self, case: str, names: Iterable[bytes] | None = None) -> None:
        """Destroy keys of a case, and leave nothing of them in the file.

        Args:
            case: whose.
            names: of the keys; None: all that it has and that open here.
        """
        with _explained(self.sealing.path):
            connection = self._connection(make=True)
            if names is None:
                lines = self._lines(connection, "scope = 'case' AND scope_id = ?", case)
                names = [each.name for each in lines if each.key is not None]
            connection.executemany(
                "UPDATE ledger_dek SET wrapped = NULL, state = 'shredded' WHERE scope_id = ? AND dek = ?",
                [(case, name) for name in names],
            )
            connection.execute("VACUUM")
            self._active.clear()
            self._known.clear()

    def close(self) -> None:
        """Let go of the file."""
        connection, self._opened = self._opened, None
        self._active.clear()
        self._known.clear()
        if connection is not None:
            connection.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _connection(self, *, make: bool) -> sqlite3.Connection:
        found = _identity(self.sealing.path)
        if found is None and self._file is not None:
            raise OSError("it was there, and is gone: put it back")
        if found != self._file:
            self.close()
        if self._opened is None:
            self._opened = _connect(self.sealing.path, make=make)
            self._version = -1
            self._file = _identity(self.sealing.path)
        return self._opened

    def _notice(self, connection: sqlite3.Connection) -> None:
        """Has somebody else changed the file?"""
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._version = version
            self._active.clear()
            self._known.clear()

    def _make(self, connection: sqlite3.Connection, case: str) -> CaseKey:
        if not self._is_ours(connection):
            raise LedgerInvalid(f"{self.sealing.path}: the keys in it are another log's: {_OWN}")
        name, secret = self._random_bytes(NAME_SIZE), self._random_bytes(KEY_SIZE)
        wrapped = self.sealing.key.wrap(secret, self._aad(name, CASE, case), self._random_bytes(NONCE_SIZE))
        connection.execute(
            "INSERT OR IGNORE INTO ledger_dek VALUES (?, 'case', ?, ?, ?, 'active')",
            (name, case, self.sealing.key.id, wrapped),
        )
        (kept,) = self._lines(connection, "scope = 'case' AND state = 'active' AND scope_id = ?", case)
        if kept.key is None:
            raise LedgerInvalid(
                f"{self.sealing.path}: another payload key wraps the key of this case: give that one "
                f"(`ledger.payload_key`); or it's another log's: {_OWN}"
            )
        return kept.key

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Does one of the keys that our payload key wraps open under our log's name, if there are any?"""
        lines = self._lines(connection, "state = 'active' AND kek = ?", self.sealing.key.id)
        opened = (each.key is not None for each in lines)
        return next(opened, True) or any(opened)

    def _lines(self, connection: sqlite3.Connection, where: str, value: object) -> Iterator[Kept]:
        query = f"SELECT dek, scope, scope_id, wrapped, kek FROM ledger_dek WHERE {where} ORDER BY rowid"  # noqa: S608 -- our own
        return (self._kept(*row) for row in connection.execute(query, (value,)))

    def _kept(self, name: bytes, scope: str, scope_id: str, wrapped: bytes | None, kek: str) -> Kept:
        if wrapped is None:
            return Kept(name, scope_id, shredded=True, key=None)
        secret = self.sealing.key.unwrap(wrapped, self._aad(name, scope, scope_id))
        if secret is None:
            return Kept(name, scope_id, shredded=False, key=None, spoilt=kek == self.sealing.key.id)
        return Kept(name, scope_id, shredded=False, key=CaseKey(name, secret))

    def _aad(self, name: bytes, scope: str, scope_id: str) -> bytes:
        parts = (self._origin, name.hex(), scope, scope_id)
        return b"failsoft/dek/v1\0" + b"".join(
            len(each).to_bytes(4, "big") + each for each in (part.encode() for part in parts)
        )


def _opened(cipher: Any, nonce: bytes, data: bytes, aad: bytes) -> bytes | None:
    invalid: type[Exception] = import_module("cryptography.exceptions").InvalidTag
    try:
        plain: bytes = cipher.decrypt(nonce, data, aad)
    except (invalid, ValueError, TypeError):  # the nonce or the data of a damaged row can be anything
        return None
    return plain


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name; None where none has."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: Path, *, make: bool) -> sqlite3.Connection:
    if make and not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    mode = "rw" if make else "ro"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=5.0
    )
    try:
        for pragma in ("synchronous = FULL", "secure_delete = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        if make:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
                for statement in _SQL:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_MARK}")
            connection.execute("COMMIT")
        if connection.execute("PRAGMA application_id").fetchone()[0] != _MARK:
            raise LedgerInvalid(f"{path}: a database, but no file of a ledger's keys")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _explained(path: Path) -> Generator[None, None, None]:
    """What SQLite says of the file, or what a column of a damaged one leads to, as a failure of the vault."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise VaultFailed(f"{path}: the file of keys can't be used ({error})") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise VaultFailed(f"{path}: the file of keys is damaged ({type(error).__name__})") from None
