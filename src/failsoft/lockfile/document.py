"""``failsoft.lock`` as a value: what stands in it, as text and back again.

What's wrong with a file is a `ConfigurationError` with the way out. Its digest shows that nobody changed it by hand; that it
was written by somebody who may is a matter of the repository that it's kept in.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from failsoft.errors import ConfigurationError
from failsoft.lockfile.plain import canonical
from failsoft.lockfile.toml import dumps

VERSION: Final = 1
"""Of the format: a higher one was written by a newer failsoft."""

MAX_FILE: Final = 16 << 20
"""Bytes of a lock: far beyond any that stands for something."""

_HEAD = (
    "# What is in force, exactly. Written by `failsoft lock`: don't edit it; review its changes as you review code.\n\n"
)
_MARKERS: Final = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?: |$)", re.MULTILINE)
_ANEW: Final = "write it anew: failsoft lock"


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Seen(_Part):
    """Who answered, as far as anybody looked.

    Args:
        served: the model's name as stated; None: none was.
        grade: how far that can be believed.
        first: the day on which this one was first seen, ISO 8601.
        last: the latest day.
    """

    served: str | None = None
    grade: str
    first: str
    last: str


class LockedAdapter(_Part):
    """One provider at one pin.

    Args:
        name_class: what the model's name promises: see `failsoft.adapters.name_class.NameClass`.
        served: the names that may be served, or `served_pattern`.
        endpoint: where it is, without its `query`, which stands beside it.
        codec: the version of how it's spoken to.
        call: of a callable one, where its function is.
        options: its options as JSON.
        weights: SHA-256 of the file behind the label, where one is named.
        labels: the calls that it may see besides unlabelled ones.
        on_mismatch, require_grade: which answers are believed.
        max_prompt_bytes: a larger prompt goes to the next.
        headers: sent with each request: where each one's value comes from, by its name.
        auth, text, served_by: import paths of what gives the credential, the answer's text, the served name.
        grade: how far that name is said to be believed; None: not at all.
        allow_http: may plain http leave the machine?
        mode: ``observe``: its breakers refuse nothing.
        stream, stream_end: are replies streamed, and what must have come for one to be whole?
        transport: who reads its replies.
    """

    provider: str
    model: str
    name_class: str
    served: list[str] = Field(default_factory=list)
    served_pattern: str | None = None
    floating: bool = False
    endpoint: str | None = None
    query: str | None = None
    codec: str
    call: str | None = None
    options: str | None = None
    weights: str | None = None
    labels: list[str] = Field(default_factory=list)
    on_mismatch: str = "refuse"
    require_grade: str | None = None
    max_prompt_bytes: int | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    auth: str | None = None
    text: str | None = None
    served_by: str | None = None
    grade: str | None = None
    allow_http: bool = False
    mode: str = "auto"
    stream: bool = False
    stream_end: str | None = None
    transport: str = "httpx"
    seen: Seen | None = None


class Golden(_Part):
    """What the fallback answers to one fixed request.

    Args:
        request: its JSON, where that's short.
        answer: its JSON, where that's short.
        prompt_sha256: of what a model would be asked, word for word.
    """

    request: str | None = None
    request_sha256: str
    answer: str | None = None
    answer_sha256: str
    prompt_sha256: str


class LockedCapability(_Part):
    """One capability.

    Args:
        adapters: its route.
        hedged: the second adapter may be asked beside the first.
        instruction: the docstring's first 2,000 characters, where that's what a model is told; else empty.
        instruction_sha256: of all of it, likewise.
        request_fields, response_fields: names in the schemas, to tell what changed.
        state: digest of what it, or the wired fallback, was constructed with.
        fallback_code, rule_code, prompt_code, type_code: the pieces of code that each reaches: their digests stand in
            `Lock.code`.
        artefacts: SHA-256 of each declared file.
        dependencies: version of each distribution that this code mentions.
        review: which answers a person looks at; empty: nobody has to.
        review_code: likewise, what its condition reaches.
        unseen: modules of the user's own whose source can't be read.
    """

    path: str
    version: str | None = None
    adapters: list[str]
    repair: bool = False
    hedged: bool = False
    sampling: dict[str, int | float | list[str]]
    instruction: str = ""
    instruction_sha256: str
    request_schema_sha256: str
    request_fields: list[str]
    response_schema_sha256: str
    response_fields: list[str]
    fallback: str
    state: str
    fallback_code: list[str]
    rule_code: list[str]
    prompt_code: list[str]
    type_code: list[str]
    review: str = ""
    review_code: list[str] = Field(default_factory=list)
    unseen: list[str] = Field(default_factory=list)
    artefacts: dict[str, str] = Field(default_factory=dict)
    dependencies: dict[str, str] = Field(default_factory=dict)
    golden: list[Golden] = Field(default_factory=list[Golden])


class Lock(_Part):
    """The exact set in force.

    Args:
        failsoft, pydantic: their versions.
        on_ledger_failure, on_bug: who answers then: as in `failsoft.config.Config`.
        code: digest of each piece of code, by module and name.
    """

    failsoft: str
    pydantic: str
    on_ledger_failure: str = "fallback"
    on_bug: str = "fallback"
    adapters: dict[str, LockedAdapter] = Field(default_factory=dict)
    capabilities: dict[str, LockedCapability] = Field(default_factory=dict)
    code: dict[str, dict[str, str]] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 (lower-case hex) of `in_force`: it names the lock, in the file and on record."""
        return sha256(self.in_force()).hexdigest()

    def in_force(self) -> bytes:
        """What is in force, as JSON; not who was seen to answer, which is nobody's choice. Equal ones are equal bytes."""
        return canonical(self.model_dump(exclude_defaults=True, exclude={"adapters": {"__all__": {"seen"}}}))

    def _table(self) -> dict[str, Any]:
        return self.model_dump(exclude_defaults=True)

    def text(self) -> str:
        """The file's text: equal locks are equal bytes."""
        return _HEAD + dumps({"version": VERSION, "digest": self.digest, **self._table()})

    def write(self, path: Path, before: Callable[[], None] = lambda: None) -> None:
        """Write it, whole or not at all.

        Args:
            path: where.
            before: done when all is ready, and before it takes the other's place; if it raises, that one stays.

        Raises:
            ConfigurationError: the file can't be written.
        """
        replace_text(path, self.text(), before)

    def digest_at(self, piece: str) -> str | None:
        """The digest of a piece of code, named ``module:name``."""
        module, _, name = piece.partition(":")
        return self.code.get(module, {}).get(name)


def replace_text(path: Path, text: str, before: Callable[[], None] = lambda: None) -> None:
    """Put a text in a file's place, whole or not at all; `before` as of `Lock.write`.

    Raises:
        ConfigurationError: it can't be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
            before()
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigurationError(f"{path.name}: can't be written: {error.strerror or error}") from error


def read_lock(path: Path) -> Lock:
    """A lock from its file.

    Raises:
        ConfigurationError: there's none, it can't be read, it isn't one, a newer failsoft wrote it, it holds the marks of a
            merge, or somebody changed it by hand.
    """
    name = path.name
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_FILE else None
    except FileNotFoundError:
        raise ConfigurationError(f"{name}: there is no lock: write one: failsoft lock") from None
    except OSError as error:
        raise ConfigurationError(f"{name}: can't be read: {error.strerror or error}") from error
    if raw is None:
        raise ConfigurationError(f"{name}: has more than {MAX_FILE >> 20} MiB, so it's no lock: {_ANEW}")
    return parse_lock(raw, name)


def parse_lock(raw: bytes, name: str = "failsoft.lock") -> Lock:
    """A lock from its bytes. Arguments and errors as `read_lock`."""
    try:
        text = raw.decode("utf-8-sig")  # some editors put a mark before the text
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}: isn't UTF-8 text, so it's no lock: {_ANEW}") from None
    marker = _MARKERS.search(text)
    if marker is not None:
        line = text.count("\n", 0, marker.start()) + 1
        raise ConfigurationError(
            f"{name}: line {line}: a merge left its marks: settle the code and the configuration, then {_ANEW}"
        )
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"{name}: isn't TOML ({str(error)[:120]}): {_ANEW}") from None
    version, digest = table.pop("version", None), table.pop("digest", None)
    if type(version) is int and version > VERSION:
        raise ConfigurationError(
            f"{name}: written by a newer failsoft (format {version}; this one reads {VERSION}): upgrade failsoft, or {_ANEW}"
        )
    try:
        found = Lock.model_validate(table)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise ConfigurationError(f"{name}: isn't a lock ({place or 'its content'}): {_ANEW}") from None
    if type(version) is not int or version != VERSION or digest != found.digest:
        raise ConfigurationError(
            f"{name}: changed by hand or by a merge (its digest doesn't fit): review it, then {_ANEW}"
        )
    return found
