"""The configuration: ``failsoft.toml`` or the same in code, as frozen models, and a reader that lists all problems.

A model made in code raises pydantic's ValidationError. `read_file` and `read_mapping` don't raise for content: they
give a `Draft` with what could be read and, in our own sentences, all that's wrong: the place, what, the way out. No
sentence shows a secret or a value that came from the environment or another file.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from failsoft.capability import name_problem
from failsoft.config_file import UNRESOLVED, Place, Resolved, Tree, load_file, load_mapping, place_text, shown
from failsoft.outcome import Pin

SECOND = 1_000_000_000
_UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(ms|s|m|h)")
_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_HEADER = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SECRET_PARAMETER = re.compile(r"key|token|secret|passw|pwd|auth|credential|sig(nature)?$", re.IGNORECASE)
_MAX_LABEL = 128


# --- kinds of values --------------------------------------------------------------------------------------------------


def parse_duration(text: str) -> int:
    """``"8s"``, ``"250ms"``, ``"1.5m"``, ``"1h"`` in nanoseconds.

    Raises:
        ValueError: it's nothing of the kind; a bare number has no unit.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError('not a duration: write "8s", "250ms", "2m" or "1h"')
    return int(Decimal(found[1]) * _UNITS[found[2]])


class Secret(SecretStr):
    """A secret that knows where it came from, so that a snapshot can name it.

    Args:
        value: the secret.
        origin: ``{"env": name}`` or ``{"file": path}``.
    """

    def __init__(self, value: str, origin: Mapping[str, str]) -> None:
        super().__init__(value)
        self.origin = dict(origin)


def _wrong(problem: str, kind: str = "failsoft") -> PydanticCustomError:
    return PydanticCustomError(kind, "{problem}", {"problem": problem})  # pyright: ignore[reportArgumentType]


def _text(value: str) -> str:
    if not 1 <= len(value) <= 256:
        raise _wrong(f"must have 1 to 256 characters, not {len(value)}")
    return _printable(value)


def _printable(value: str) -> str:
    if any(unicodedata.category(each) in ("Cc", "Cf", "Cs") for each in value):
        raise _wrong("must not contain control or format characters")
    return value


def _label(value: str) -> str:
    """As `failsoft.context` takes labels: or the two would never meet."""
    value = unicodedata.normalize("NFC", _printable(value))
    if not 0 < len(value.encode()) <= _MAX_LABEL:
        raise _wrong(f"must have 1 to {_MAX_LABEL} bytes")
    return value


def _import_path(value: object) -> object:
    if isinstance(value, str) and (len(value) > 256 or not _IMPORT_PATH.fullmatch(value)):
        raise _wrong(f'{shown(value)} is not an import path: write "package.module:name"')
    return value


def _from_text(value: object) -> object:
    """Environment and files hold text only: what it spells is taken where a number or a flag is wanted."""
    if not isinstance(value, Resolved):
        return value
    spelled: object
    try:
        spelled = json.loads(value) if len(value) <= 32 else value
    except ValueError:
        spelled = value
    return spelled if isinstance(spelled, (bool, int, float)) else value


def _seconds(value: object) -> object:
    """The unit is in these keys' names, so a bare number will do."""
    try:
        return parse_duration(value) / SECOND if isinstance(value, str) else value
    except ValueError:
        return _from_text(value)


def _duration(low: str, high: str) -> BeforeValidator:
    lowest, highest = parse_duration(low), parse_duration(high)

    def read(value: object) -> object:
        if value is UNRESOLVED or value is None:
            return value
        if not isinstance(value, str):
            raise _wrong('a duration has a unit: write "8s", "250ms", "2m" or "1h"')
        try:
            read = parse_duration(value)
        except ValueError:
            raise _wrong(f'{shown(value)} is not a duration: write "8s", "250ms", "2m" or "1h"') from None
        if not lowest <= read <= highest:
            raise _wrong(f"{shown(value)} is not between {low} and {high}")
        return read

    return BeforeValidator(read)


def _secret(value: object, info: ValidationInfo) -> object:
    if isinstance(value, Resolved):
        if value.has_default:
            raise _wrong("a secret has no default: it would stand in the file")
        value = Secret(value, value.origin)
    if value is None or value is UNRESOLVED:
        return value
    if not isinstance(value, SecretStr):
        raise _wrong('a secret is a pydantic.SecretStr, or { env = "NAME" }', "failsoft_inline")
    text: object = value.get_secret_value()  # a constructor checks nothing
    if not isinstance(text, str) or not text:
        raise _wrong("is empty")
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise _wrong("must be printable ASCII without white space around it")
    return value


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise _wrong("is not a header's name")
    return name


def _adapter_name(name: str) -> str:
    if name == "fallback":
        raise _wrong('an adapter can\'t be named "fallback": that is who answers last')
    return _name(name)


def _name(name: str) -> str:
    clean = shown(name)[1:-1] if len(name) > 64 or not name.isprintable() else name
    problem = name_problem(clean)
    if problem is not None:
        raise _wrong(problem)
    return name


def _route(names: object) -> object:
    given = cast("Sequence[object]", names if type(names) in (list, tuple) else ())
    for each in given:
        if isinstance(each, str) and given.count(each) > 1:
            raise _wrong(f"{shown(each)} is named twice")
        if each == "fallback":
            raise _wrong('the fallback is always last and needs no mention: leave "fallback" out')
    return names


def _as_names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Text = Annotated[str, AfterValidator(_text)]
Label = Annotated[str, AfterValidator(_label)]
# What shows the value that it refuses comes before pydantic, which makes plain text of a `Resolved`.
ImportPath = Annotated[str, BeforeValidator(_import_path)]
Flag = Annotated[bool, BeforeValidator(_from_text)]
Whole = Annotated[int, BeforeValidator(_from_text)]
Number = Annotated[float, BeforeValidator(_from_text), Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_from_text), Field(ge=1, le=1_000_000)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=86_400, allow_inf_nan=False)]
SecretText = Annotated[SecretStr, BeforeValidator(_secret)]


# --- the models -------------------------------------------------------------------------------------------------------


class _Section(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )


class LedgerConfig(_Section):
    """``[ledger]``: where evidence is kept.

    Args:
        url: ``sqlite:///relative`` (to the configuration file), ``sqlite:////absolute``, or ``none``.
        origin: the log's name; None takes an existing log's, or one made of host and file.
    """

    url: str = "sqlite:///failsoft.db"
    origin: Text | None = None
    _base: Path = PrivateAttr(default_factory=Path.cwd)

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:  # never shows it: other databases' URLs hold passwords
        if url.startswith(("postgresql:", "postgres:", "postgresql+")):
            raise _wrong('PostgreSQL is not supported yet: use "sqlite:///failsoft.db"')
        path = url.removeprefix("sqlite:///")
        if url != "none" and (path in (url, "", "/", ":memory:") or "?" in path or not path.isprintable()):
            raise _wrong('must be "sqlite:///file.db", "sqlite:////absolute/file.db" or "none"')
        return url

    @property
    def path(self) -> Path | None:
        """The ledger's file, absolute; None when there's no ledger."""
        return None if self.url == "none" else self._base / self.url.removeprefix("sqlite:///")


class BreakerConfig(_Section):
    """``[adapters.NAME.breaker]``: figures that differ from the breaker's defaults.

    Names, units and ranges are those of `failsoft.core.breaker_settings.BreakerSettings`; seconds may also be written
    ``"5s"``.
    """

    window_s: Seconds | None = None
    buckets: Count | None = None
    rate: Number | None = None
    min_calls: Count | None = None
    consecutive: Count | None = None
    consecutive_busy: Count | None = None
    busy_calls: Count | None = None
    open_base_s: Seconds | None = None
    open_factor: Number | None = None
    open_cap_s: Seconds | None = None
    jitter: Number | None = None
    trials: Count | None = None
    concurrent_trials: Count | None = None
    successes_to_close: Count | None = None
    healthy_for_s: Seconds | None = None
    lease_slack_s: Seconds | None = None
    fair_cap_s: Seconds | None = None

    def overrides(self) -> dict[str, Any]:
        """What was set, as keyword arguments of `BreakerSettings`."""
        return self.model_dump(exclude_none=True)


class AdapterConfig(_Section):
    """``[adapters.NAME]``: one provider at one pin.

    Args:
        provider: ``openai``, ``openai-compatible`` or ``callable``.
        model: the name asked for, 1-256 characters.
        served: the names that the provider may say it served; default: `model`.
        served_pattern: a regular expression that the whole served name must match, instead of `served`.
        floating: the model's name may move; without it a name known to float is refused.
        allow_http: plain http may leave this machine.
        base_url: absolute http or https; needed for ``openai-compatible``.
        api_key: needed for ``openai``.
        headers: sent with each request; values are secrets.
        labels: the calls that it may see besides unlabelled ones.
        on_mismatch: another model than the pin's answered: ``refuse`` the answer, or ``record`` it.
        attempts: at most so many in one call, 1-10.
        attempt_timeout: of one attempt, in nanoseconds, 100 ms to 1 h.
        concurrency: attempts at once, 1-10,000.
        max_waiting: calls that may wait for a place, 0-1,000,000.
        call: import path of a callable adapter's function.
        text: import path of what gets the answer's text from its result.
        served_by: import path of what gets the served model's name from its result.
        breaker: figures that differ from the defaults.
    """

    provider: Literal["openai", "openai-compatible", "callable"]
    model: Text
    served: Annotated[tuple[Text, ...], Field(strict=False, min_length=1), BeforeValidator(_as_names)] | None = None
    served_pattern: Text | None = None
    floating: Flag = False
    allow_http: Flag = False
    base_url: Text | None = Field(default=None, validate_default=True)
    api_key: SecretText | None = Field(default=None, validate_default=True)
    headers: dict[Annotated[str, AfterValidator(_header)], SecretText] = Field(default_factory=dict)
    labels: Annotated[frozenset[Label], Field(strict=False)] = frozenset()
    on_mismatch: Literal["refuse", "record"] = "refuse"
    attempts: Whole = Field(default=3, ge=1, le=10)
    attempt_timeout: Annotated[int, _duration("100ms", "1h")] | None = None
    concurrency: Whole = Field(default=100, ge=1, le=10_000)
    max_waiting: Whole = Field(default=2000, ge=0, le=1_000_000)
    call: ImportPath | None = None
    text: ImportPath | None = None
    served_by: ImportPath | None = None
    breaker: BreakerConfig | None = None

    # Each rule about two keys stands with the later one and reads the earlier from `info.data`: unlike a validator of
    # the whole, it speaks although other keys are wrong too.

    @field_validator("served_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        if pattern is not None and info.data.get("served") is not None:
            raise _wrong("served says which names are expected already: leave one of the two out")
        try:
            re.compile(pattern or "")
        except (re.error, OverflowError, RecursionError, Warning):
            raise _wrong("is not a regular expression") from None
        return pattern

    @field_validator("base_url")
    @classmethod
    def _sound_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        provider = info.data.get("provider")
        if url is None:
            if provider == "openai-compatible":
                raise _wrong('is missing: write base_url = "https://host/v1"')
            return None
        if provider == "callable":
            raise _wrong("a callable adapter makes its own requests: leave it out")
        problem = _url_problem(url, bool(info.data.get("allow_http", True)))
        if problem is not None:
            raise _wrong(problem)
        return url

    @field_validator("api_key")
    @classmethod
    def _needed_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("provider") == "openai":
            raise _wrong('is missing: write api_key = { env = "OPENAI_API_KEY" }')
        return key

    @field_validator("api_key", "headers")
    @classmethod
    def _not_for_callables(cls, value: object, info: ValidationInfo) -> object:
        if value and info.data.get("provider") == "callable":
            raise _wrong("a callable adapter makes its own requests: leave it out")
        return value

    @field_validator("call", "text", "served_by")
    @classmethod
    def _for_callables(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is not None and info.data.get("provider", "callable") != "callable":
            raise _wrong('belongs to provider = "callable" only')
        return path

    @property
    def pin(self) -> Pin:
        """Which model is asked for, and which may be served."""
        if self.served_pattern is not None:
            return Pin(self.model, (), self.served_pattern)
        return Pin(self.model, self.served or (self.model,))


_NO_URL: Final = 'must be an absolute http or https URL, such as "https://host/v1"'


def _url_problem(url: str, allow_http: bool) -> str | None:
    """What's wrong with a provider's address; never shows it."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return _NO_URL
    if not sound or "\\" in url or any(each.isspace() for each in url) or "#" in url:
        return _NO_URL
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if "@" in parts.netloc or any(_SECRET_PARAMETER.search(each) for each in names):
        return 'a secret must not stand in a URL: write api_key = { env = "NAME" } or a header'
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname or ""):
        return "plain http to another machine can be read and changed on the way: use https, or write allow_http = true"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class CapabilityConfig(_Section):
    """``[capabilities.NAME]``: who is asked, how long it may take.

    Args:
        class_path: import path of the capability (``class`` in TOML); for the CLI.
        adapters: tried in this order; the fallback is always last and isn't named.
        deadline: of a whole call, in nanoseconds, 100 ms to 1 h.
        fallback: import path of another deterministic implementation than the capability's own.
        degraded_limit: per cent of calls that the fallback may answer before it's told, 0-100.
        degraded_window: over what time, in nanoseconds, 1 s to 24 h.
    """

    class_path: ImportPath | None = Field(default=None, alias="class")
    adapters: Annotated[tuple[Text, ...], Field(strict=False), BeforeValidator(_route)] = ()
    deadline: Annotated[int, _duration("100ms", "1h")] = 30 * SECOND
    fallback: ImportPath | None = None
    degraded_limit: Whole = Field(default=20, ge=0, le=100)
    degraded_window: Annotated[int, _duration("1s", "24h")] = 600 * SECOND


def _default_on_bug() -> Literal["fallback", "raise"]:
    """Under tests the pytest plugin makes bugs loud."""
    return "raise" if os.environ.get("FAILSOFT_ON_BUG") == "raise" else "fallback"


class Config(_Section):
    """All of it.

    Args:
        ledger: where evidence is kept.
        adapters: by name.
        capabilities: by name.
        on_ledger_failure: the ledger can't record: the ``fallback`` answers, the call is ``refuse``d, or ``continue``s.
        on_bug: a capability's own ``prompt`` or ``accept`` fails: the ``fallback`` answers, or it's ``raise``d.
        host: how records name this machine; None takes the system's name.
        max_reply_bytes: of one reply, 1 KiB to 1 GiB.
        base: what relative paths are relative to.
        source: the file it came from.
    """

    ledger: LedgerConfig = Field(default_factory=LedgerConfig)
    adapters: dict[Annotated[str, AfterValidator(_adapter_name)], AdapterConfig] = Field(default_factory=dict)
    capabilities: dict[Annotated[str, AfterValidator(_name)], CapabilityConfig] = Field(default_factory=dict)
    on_ledger_failure: Literal["fallback", "refuse", "continue"] = "fallback"
    on_bug: Literal["fallback", "raise"] = Field(default_factory=_default_on_bug)
    host: Label | None = None
    max_reply_bytes: Whole = Field(default=16 << 20, ge=1 << 10, le=1 << 30)
    base: Path = Field(default_factory=Path.cwd, exclude=True)
    source: Path | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _locate(self) -> Self:
        self.ledger._base = self.base
        return self

    def snapshot(self) -> bytes:
        """Canonical JSON of what's in force, defaults included: secrets by name, durations in nanoseconds, no paths."""
        plain = self.model_dump(by_alias=True, exclude_none=True)
        return json.dumps(plain, default=_plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    return value.origin if isinstance(value, Secret) else "<secret>"


# --- reading ----------------------------------------------------------------------------------------------------------


@frozen
class Draft:
    """What could be read, and what couldn't.

    Args:
        config: of the sections that are right; the others are left out or stand at their defaults.
        problems: one sentence each.
        adapter_names: all that are configured, those that are wrong included.
        routes: each capability's adapters with their positions, as written.
    """

    config: Config
    problems: list[str] = field(factory=list[str])
    adapter_names: frozenset[str] = frozenset()
    routes: Mapping[str, tuple[tuple[int, str], ...]] = field(
        factory=dict[str, tuple[tuple[int, str], ...]], repr=False
    )

    @classmethod
    def of(cls, config: Config) -> Draft:
        """A configuration made in code: nothing is wrong with it."""
        routes = {name: tuple(enumerate(each.adapters)) for name, each in config.capabilities.items()}
        return cls(config, [], frozenset(config.adapters), routes)


@frozen
class UnknownAdapter:
    """A route names an adapter that isn't configured; it may still be given in code. ``str()`` is the sentence.

    Args:
        capability: whose route.
        index: the position in it, from 0.
        name: as written.
        suggestion: a configured adapter's name that resembles it.
    """

    capability: str
    index: int
    name: str
    suggestion: str | None

    def __str__(self) -> str:
        place = place_text(("capabilities", self.capability, "adapters", self.index))
        hint = f'; did you mean "{self.suggestion}"?' if self.suggestion else ""
        return f"{place}: no adapter named {shown(self.name)}{hint}"


def read_file(path: Path) -> Draft:
    """Reads ``failsoft.toml``. Never raises for what's in it, nor when it can't be read: see `Draft.problems`."""
    return _draft(load_file(path), in_code=False)


def read_mapping(raw: Mapping[str, Any] | Config, base: Path | None = None) -> Draft:
    """The same for a mapping of the same shape, whose secrets may also be `pydantic.SecretStr`.

    Args:
        raw: the mapping; a `Config` is taken as it is.
        base: what relative paths are relative to; default: the working directory.
    """
    if isinstance(raw, Config):
        return Draft.of(raw)
    return _draft(load_mapping(raw, base), in_code=True)


def unknown_adapters(draft: Draft) -> list[UnknownAdapter]:
    """Every mention of an adapter that isn't configured, with the name that it resembles most."""
    known = sorted(draft.adapter_names)
    return [
        UnknownAdapter(capability, index, name, _nearest(name, known))
        for capability, route in draft.routes.items()
        for index, name in route
        if name not in draft.adapter_names and name != "fallback"
    ]


_NO_KEYS: Final = ("base", "source")
"""Fields of `Config` that say where it was found."""


def _draft(tree: Tree, in_code: bool) -> Draft:
    problems = list(tree.problems)
    strange = [key for key in _NO_KEYS if key in tree.table]
    problems += [f"{key}: unknown key" for key in strange]
    table = {key: each for key, each in tree.table.items() if key not in strange}
    routes = {name: _named(each) for name, each in _table(table, "capabilities").items()}
    names = frozenset(_table(table, "adapters"))
    whole = {"base": tree.base, "source": tree.source}
    try:
        config = Config.model_validate(table | whole)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        problems += [_sentence(each, in_code) for each in wrong if each["input"] is not UNRESOLVED]
        config = Config.model_validate(_without(table, wrong) | whole)
    return Draft(config, problems, names, routes)


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _named(capability: object) -> tuple[tuple[int, str], ...]:
    """The names in a capability's route, though the capability be wrong elsewhere."""
    names: object = cast("dict[str, Any]", capability).get("adapters") if isinstance(capability, dict) else None
    listed = cast("list[object]", names) if isinstance(names, list) else []
    return tuple((index, each) for index, each in enumerate(listed) if isinstance(each, str))


def _without(table: Mapping[str, Any], wrong: list[ErrorDetails]) -> dict[str, Any]:
    """The table without the sections in which something is wrong."""
    kept = dict(table)
    for place in (each["loc"] for each in wrong):
        name = cast("str", place[0])
        if name in ("adapters", "capabilities") and len(place) > 1:
            kept[name] = {key: each for key, each in _table(kept, name).items() if key != place[1]}
        else:
            kept.pop(name, None)
    return kept


_WANTED: Final = {
    "string_type": "text",
    "literal_error": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "tuple_type": "a list",
    "frozen_set_type": "a list",
}

_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (str, "text"),
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a fraction"),
    (list, "a list"),
    (dict, "a table"),
)


def _sentence(error: ErrorDetails, in_code: bool) -> str:
    """One finding of pydantic's in our words. Shows a value only through `shown`, and never a secret."""
    kind, place, given = error["type"], error["loc"], error["input"]
    bounds = error.get("ctx", {})
    if kind == "failsoft_inline":
        problem = _inline_secret(str(place[-1]), in_code)
    elif kind == "failsoft":
        problem = bounds["problem"]
        place = place[:-1] if place[-1] == "[key]" else place
    elif kind == "extra_forbidden":
        problem = _unknown_key(place)
    elif kind == "missing":
        problem = f"is missing: write {place[-1]} = {_EXAMPLES[str(place[-1])]}"
    elif kind == "literal_error" and isinstance(given, str):
        options = re.findall(r"'([^']+)'", bounds["expected"])
        near = _nearest(given, options)
        hint = f'did you mean "{near}"?' if near else "it's one of " + ", ".join(f'"{each}"' for each in options)
        problem = f"there is no {shown(given)}; {hint}"
    elif kind in ("greater_than_equal", "less_than_equal"):
        problem = f"must be at least {bounds['ge']:,}" if "ge" in bounds else f"must be at most {bounds['le']:,}"
    elif kind == "too_short":
        problem = "must name at least one"
    else:
        wanted = _WANTED.get(kind, "something else")
        actual = next(
            (name for type_, name in _KINDS if isinstance(given, type_)), type(cast("object", given)).__name__
        )
        problem = f"{wanted} is wanted, not {actual}"
    return f"{place_text(place)}: {problem}"


_EXAMPLES: Final = {"provider": '"openai-compatible"', "model": '"gpt-4.1-2025-04-14", the pinned name'}


def _inline_secret(key: str, in_code: bool) -> str:
    """How to write it instead: with an API key's usual variable, or one named like the header."""
    variable = "OPENAI_API_KEY" if key == "api_key" else re.sub(r"[^A-Z0-9]", "_", key.upper())
    home, other = ("configuration", ", or hand in a pydantic.SecretStr") if in_code else ("file", "")
    return f'a secret must not stand in the {home}; write {place_text((key,))} = {{ env = "{variable}" }}{other}'


def _nearest(word: str, known: list[str]) -> str | None:
    """What a mistyped word was meant to be: a word that has it as a part, or one spelled much like it."""
    short = word[:64].lower()
    parts = [each for each in known if short in each.split("_")]
    return next(iter(parts or difflib.get_close_matches(short, known, 1)), None)


_PLACES: Final[tuple[tuple[type[_Section], str], ...]] = (
    (Config, "at the top level, above the first [table]"),
    (LedgerConfig, "in [ledger]"),
    (AdapterConfig, "in [adapters.NAME]"),
    (BreakerConfig, "in [adapters.NAME.breaker]"),
    (CapabilityConfig, "in [capabilities.NAME]"),
)


def _unknown_key(place: Place) -> str:
    key = str(place[-1])
    here: dict[int, type[_Section]] = {
        1: Config, 2: LedgerConfig, 3: AdapterConfig if place[0] == "adapters" else CapabilityConfig, 4: BreakerConfig
    }  # fmt: skip
    model = here[len(place)]
    near = _nearest(key, _keys(model))
    elsewhere = next((where for other, where in _PLACES if other is not model and key in _keys(other)), None)
    if elsewhere and not (near and key in near.split("_")):
        return f"belongs {elsewhere}"
    return f'unknown key; did you mean "{near}"?' if near else "unknown key"


def _keys(model: type[_Section]) -> list[str]:
    return [each.alias or name for name, each in model.model_fields.items() if name not in _NO_KEYS]
