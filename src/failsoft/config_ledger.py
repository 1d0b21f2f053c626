"""The configuration of where evidence is kept, and who signs it: ``[ledger]``."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, model_validator

from failsoft.config_file import Resolved
from failsoft.config_values import (
    Name,
    Secret,
    SecretText,
    Section,
    Text,
    Whole,
    as_names,
    database_address,
    duration_between,
    unwrapped,
    wrong,
)

_NO_URL: Final = 'must be "sqlite:///file.db", "sqlite:////absolute/file.db", "postgresql://host/database" or "none"'


def _url(value: object) -> object:
    """Never shown: a database's address may hold a password."""
    given = unwrapped(value)
    if isinstance(given, str) and (given == "none" or given.startswith("sqlite:")):
        path = given.removeprefix("sqlite:///")
        if given != "none" and (path in (given, "", "/", ":memory:") or "?" in path or not path.isprintable()):
            raise wrong(_NO_URL)
        if given != "none" and PurePath(path).name in ("", ".."):
            raise wrong('names a folder: name a file in it, such as "sqlite:///failsoft.db"')
        return Secret(given, value.origin) if isinstance(value, Resolved) and given != "none" else given
    return database_address(value, _NO_URL)


class LedgerConfig(Section):
    """``[ledger]``: where evidence is kept.

    Args:
        url: ``sqlite:///relative`` (to the configuration file), ``sqlite:////absolute``, ``postgresql://…`` (extra
            ``postgres``; one with a password is a secret; ``schema=NAME`` among its parameters names another schema than
            ``failsoft``), or ``none``.
        origin: the log's name; None takes an existing log's, the key's, or one made of host and file.
        key: signs the log (extra ``signing``); a secret, as `failsoft keys new` writes it. None signs nothing.
        key_state: the file of what was signed last; default: the key's file with ``.state`` after its name.
        checkpoint_records: of a checkpoint, at most: 1 to 1,000,000; default 1,000.
        checkpoint_every: nanoseconds between checkpoints while records come, 1 s to 24 h; default 60 s.
        anchor_file: a file to which each checkpoint is appended.
        anchor_command: a command that gets each checkpoint on its standard input: program and arguments.
        max_unanchored_age: nanoseconds that a record may be missing at an anchor, 1 s to 7 days; default 60 s.
        payload_key: encrypts payloads, by a key of each case (extra ``signing``); a secret, as `failsoft keys new --payload`
            writes it. None keeps them in clear.
        spool: the folder where records wait while the database is away (``on_ledger_failure = "spool"``), on this host's own
            disk; default: ``failsoft.spool`` beside the configuration.
        spool_bytes: that may wait, of one process, 1 MiB to 1 TiB; default 256 MiB.
        spool_age: nanoseconds that the oldest may wait, 1 s to 30 days; default 24 h.
        case_keys: the file of the cases' keys; default: the ledger's file with ``.keys`` after its name.
        redact: take what looks like a credential out of requests, prompts, replies and answers before they're recorded.
    """

    url: Annotated[str | SecretStr, BeforeValidator(_url)] = "sqlite:///failsoft.db"
    origin: Name | None = None
    key: SecretText | None = None
    key_state: Text | None = None
    checkpoint_records: Whole | None = Field(default=None, ge=1, le=1_000_000)
    checkpoint_every: Annotated[int, duration_between("1s", "24h")] | None = None
    anchor_file: Text | None = None
    anchor_command: Annotated[tuple[Text, ...], Field(strict=False, min_length=1), BeforeValidator(as_names)] | None = (
        None
    )
    max_unanchored_age: Annotated[int, duration_between("1s", "168h")] | None = None
    payload_key: SecretText | None = None
    case_keys: Text | None = None
    spool: Text | None = None
    spool_bytes: Whole | None = Field(default=None, ge=1 << 20, le=1 << 40)
    spool_age: Annotated[int, duration_between("1s", "720h")] | None = None
    redact: bool = True
    _base: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.key is None:
            needs = ("key_state", "checkpoint_records", "checkpoint_every", "anchor_file", "anchor_command")
            for name in (*needs, "max_unanchored_age"):
                if getattr(self, name) is not None:
                    raise wrong(f'{name} means nothing without a key: write key = {{ file = "ledger.key" }}')
        elif self.key_state is None and self._key_file is None:
            raise wrong("a key that stands in no file needs a key_state: the file of what was signed last")
        return self

    @model_validator(mode="after")
    def _sealed(self) -> Self:
        if self.payload_key is None and self.case_keys is not None:
            raise wrong('case_keys means nothing without a payload_key: write payload_key = { file = "payload.key" }')
        if self.payload_key is not None and self.case_keys is None and not self._plain.startswith("sqlite:"):
            raise wrong('a ledger in a database needs a file for its cases\' keys: write case_keys = "cases.keys"')
        return self

    @property
    def _key_file(self) -> Path | None:
        return self.key.path if isinstance(self.key, Secret) else None

    @property
    def path(self) -> Path | None:
        """The ledger's file, absolute; None when it's in a database, or there's no ledger."""
        url = self._plain
        return self._base / url.removeprefix("sqlite:///") if url.startswith("sqlite:") else None

    @property
    def database(self) -> str | None:
        """The database's address; None where the ledger is in a file, or there's none."""
        url = self._plain
        return None if url == "none" or url.startswith("sqlite:") else url

    @property
    def _plain(self) -> str:
        return str(unwrapped(self.url))

    @property
    def key_path(self) -> Path | None:
        """The key's file, absolute; None where there's no key, or it stands in no file."""
        return None if self._key_file is None else self._base / self._key_file

    @property
    def state_path(self) -> Path | None:
        """The file of what was signed last, absolute; None where there's no key."""
        if self.key_state is not None:
            return self._base / self.key_state
        return None if self.key_path is None else self.key_path.with_name(self.key_path.name + ".state")

    @property
    def has_spool(self) -> bool:
        """Is anything said of a spool?"""
        return any(each is not None for each in (self.spool, self.spool_bytes, self.spool_age))

    @property
    def spool_path(self) -> Path:
        """The folder where records wait, absolute."""
        return self._base / (self.spool or "failsoft.spool")

    @property
    def keys_path(self) -> Path | None:
        """The file of the cases' keys, absolute; None where payloads are kept in clear."""
        if self.payload_key is None:
            return None
        if self.case_keys is not None:
            return self._base / self.case_keys
        return None if self.path is None else self.path.with_name(self.path.name + ".keys")

    @property
    def anchor_path(self) -> Path | None:
        """The file to which checkpoints are appended, absolute; None where there's none."""
        return None if self.anchor_file is None else self._base / self.anchor_file
