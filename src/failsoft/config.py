"""failsoft.toml as values: every problem is listed with its place and the way out, and no secret is ever shown.

Reading is lenient: a section that's wrong leaves the others readable, so that one look tells all there is to mend. What only
other rooms can judge (a class that can't be imported, a floating name) is added there; `failsoft.isolation` raises once.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from attrs import define, field, frozen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from failsoft.capability import name_problem
from failsoft.config_file import MISSING, Raw, dotted, read_table, read_toml
from failsoft.outcome import Pin

SECOND = 1_000_000_000
_UNITS = {"ms": 1_000_000, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_IMPORT_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
_MODEL = r"^[^\x00-\x1f\x7f]{1,256}$"
_SECRET_IN_URL = re.compile(r"(?i)(key|token|secret|password|sig)[a-z_-]*=")


def parse_duration(text: object) -> int:
    """``"8s"``, ``"250ms"``, ``"1.5m"``, ``"1h"`` as nanoseconds.

    Raises:
        ValueError: it's no such text.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('must be a duration such as "8s" or "250ms"')
    return round(float(found[1]) * _UNITS[found[2]])


def _duration(value: object) -> int:
    return value if type(value) is int and value >= 1_000_000 else parse_duration(value)


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Duration = Annotated[int, BeforeValidator(_duration)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
ImportPath = Annotated[str, Field(pattern=_IMPORT_PATH)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class LedgerConfig(_Section):
    """``[ledger]``.

    Args:
        url: ``sqlite:///FILE`` (relative to the configuration), ``sqlite:////FILE`` (absolute), or ``none``.
        origin: the log's name; default: host label and file name.
    """

    url: str = "sqlite:///failsoft.db"
    origin: Annotated[str, Field(min_length=1, max_length=128)] | None = None

    @property
    def path(self) -> Path | None:
        """The file; None where the ledger is off."""
        return None if self.url == "none" else Path(self.url.removeprefix("sqlite:///"))


class BreakerConfig(_Section):
    """``[adapters.NAME.breaker]``: what differs from the defaults; names, units and ranges as in `BreakerSettings`."""

    window_s: float | None = None
    buckets: int | None = None
    rate: float | None = None
    min_calls: int | None = None
    consecutive: int | None = None
    consecutive_busy: int | None = None
    busy_calls: int | None = None
    open_base_s: float | None = None
    open_factor: float | None = None
    open_cap_s: float | None = None
    jitter: float | None = None
    trials: int | None = None
    concurrent_trials: int | None = None
    successes_to_close: int | None = None
    healthy_for_s: float | None = None
    lease_slack_s: float | None = None

    def overrides(self) -> dict[str, Any]:
        """The settings that are given."""
        return self.model_dump(exclude_none=True)


class AdapterConfig(_Section):
    """``[adapters.NAME]``.

    Args:
        model: the pinned name that is asked for.
        served: names that may be served instead; default: `model` itself.
        served_pattern: a regular expression that the whole served name must match, instead of `served`.
        floating: accept a name that the provider moves.
        labels: what it may see; an adapter without labels takes only unlabelled calls.
        allow_http: accept plain http to another host than this one.
        attempts: how often one call may try it, 1-10.
        attempt_timeout: what one attempt may take; default: its share of what remains.
        concurrency: requests at once, 1-10,000.
        max_waiting: callers that may wait for a slot, 0-100,000.
        call, text, served_by: for a callable adapter: import paths of the function and of its extractors.
    """

    provider: Literal["openai", "openai-compatible", "callable"]
    model: Annotated[str, Field(pattern=_MODEL)]
    served: Names | None = None
    served_pattern: str | None = None
    floating: bool = False
    base_url: str | None = None
    api_key: SecretStr | None = None
    headers: dict[str, SecretStr] = {}
    labels: frozenset[str] = frozenset()
    allow_http: bool = False
    on_mismatch: Literal["refuse", "record"] = "refuse"
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    attempt_timeout: Duration | None = None
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 2_000
    call: ImportPath | None = None
    text: ImportPath | None = None
    served_by: ImportPath | None = None
    breaker: BreakerConfig | None = None

    @property
    def pin(self) -> Pin:
        """Which model, and what may be served."""
        if self.served_pattern is not None:
            return Pin(self.model, (), self.served_pattern)
        return Pin(self.model) if self.served is None else Pin(self.model, self.served)


class CapabilityConfig(_Section):
    """``[capabilities.NAME]``.

    Args:
        class_path: ``class`` in the file: where the capability is, for programs that don't pass it.
        adapters: tried in this order; the fallback is always last and needs no mention.
        deadline: from request to outcome, 10 ms to 1 h.
        fallback: another deterministic implementation than the capability's own.
        degraded_limit: percent of answers that may come from the fallback.
        degraded_window: over which that is measured.
    """

    class_path: Annotated[ImportPath | None, Field(alias="class")] = None
    adapters: Names = ()
    deadline: Annotated[Duration, Field(ge=10_000_000, le=3_600 * SECOND)] = 30 * SECOND
    fallback: ImportPath | None = None
    degraded_limit: Annotated[float, Field(ge=0, le=100)] = 20
    degraded_window: Annotated[Duration, Field(ge=SECOND)] = 600 * SECOND


@define(eq=False)
class Config:
    """A whole configuration, in values. Its repr shows no secret."""

    ledger: LedgerConfig = field(factory=LedgerConfig)
    adapters: Mapping[str, AdapterConfig] = field(factory=dict[str, AdapterConfig])
    capabilities: Mapping[str, CapabilityConfig] = field(factory=dict[str, CapabilityConfig])
    on_ledger_failure: Literal["fallback", "refuse", "continue"] = "fallback"
    on_bug: Literal["fallback", "raise"] = "fallback"
    host: str | None = None
    max_reply_bytes: int = 16 << 20
    source: Path | None = None

    def snapshot(self) -> bytes:
        """Canonical JSON of all of it, with ``"<secret>"`` in place of each secret: its digest names what's in force."""
        content = {
            "adapters": {name: each.model_dump(mode="json") for name, each in self.adapters.items()},
            "capabilities": {name: each.model_dump(mode="json") for name, each in self.capabilities.items()},
            "ledger": self.ledger.model_dump(mode="json"),
            "on_bug": self.on_bug,
            "on_ledger_failure": self.on_ledger_failure,
        }
        return json.dumps(_without_secrets(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@frozen
class UnknownAdapter:
    """A name in a route that no configured adapter has."""

    capability: str
    index: int
    name: str
    suggestion: str | None

    def __str__(self) -> str:
        hint = f'; did you mean "{self.suggestion}"?' if self.suggestion else ""
        return f'capabilities.{self.capability}.adapters[{self.index}]: no adapter named "{self.name}"{hint}'


@define(eq=False)
class Draft:
    """What could be read, and everything that's wrong with it.

    Args:
        adapter_names: of all adapters, also of those that are wrong.
    """

    config: Config
    problems: list[str] = field(factory=list[str])
    adapter_names: set[str] = field(factory=set[str])

    @classmethod
    def of(cls, config: Config) -> Draft:
        """A configuration made in code."""
        return cls(config, [], set(config.adapters))


class _Top(_Section):
    ledger: dict[str, Any] = {}
    adapters: dict[str, Any] = {}
    capabilities: dict[str, Any] = {}
    on_ledger_failure: Literal["fallback", "refuse", "continue"] = "fallback"
    on_bug: Literal["fallback", "raise"] = "fallback"
    host: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    max_reply_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20


def read_file(path: Path) -> Draft:
    """The configuration in a file. Problems are in the draft; nothing is raised for what the file contains."""
    draft = _draft(read_toml(path), from_file=True)
    draft.config.source = path.absolute()
    return draft


def read_mapping(table: Mapping[str, Any], base: Path | None = None) -> Draft:
    """A mapping of the same shape; relative paths are relative to `base` (default: the working directory)."""
    return _draft(read_table(table, base or Path.cwd()), from_file=False)


def unknown_adapters(draft: Draft) -> list[UnknownAdapter]:
    """Names in routes that no adapter of the configuration has."""
    return [
        UnknownAdapter(capability, index, name, _nearest(name, draft.adapter_names))
        for capability, config in draft.config.capabilities.items()
        for index, name in enumerate(config.adapters)
        if name not in draft.adapter_names
    ]


S = TypeVar("S", bound=_Section)


def _draft(raw: Raw, *, from_file: bool) -> Draft:
    problems = raw.problems
    table = raw.table
    top = _section(_Top, {key: each for key, each in table.items() if each is not MISSING}, (), problems) or _partly(
        table
    )
    ledger = _section(LedgerConfig, top.ledger, ("ledger",), problems) or LedgerConfig()
    adapters: dict[str, AdapterConfig] = {}
    for name, each in top.adapters.items():
        config = _adapter(name, each, raw, problems, from_file=from_file)
        if config is not None:
            adapters[name] = config
    capabilities: dict[str, CapabilityConfig] = {}
    for name, each in top.capabilities.items():
        place = ("capabilities", name)
        _check_name(name, place, problems)
        capability = _section(CapabilityConfig, each, place, problems)
        if capability is not None:
            capabilities[name] = capability
            _check_twice(capability.adapters, place, problems)
    _check_ledger(ledger, problems)
    on_bug = top.on_bug if "on_bug" in table else _default_on_bug()
    whole = Config(ledger, adapters, capabilities, top.on_ledger_failure, on_bug, top.host, top.max_reply_bytes)
    return Draft(whole, problems, set(top.adapters))


def _default_on_bug() -> Literal["fallback", "raise"]:
    """Under tests the pytest plugin makes bugs loud."""
    return "raise" if os.environ.get("FAILSOFT_ON_BUG") == "raise" else "fallback"


def _partly(table: Mapping[str, Any]) -> _Top:
    """The top level with what is readable of it: its problems are told already."""
    sections = {key: each for key in ("ledger", "adapters", "capabilities") if isinstance(each := table.get(key), dict)}
    return _Top.model_validate(sections)


def _adapter(name: str, table: Any, raw: Raw, problems: list[str], *, from_file: bool) -> AdapterConfig | None:
    place = ("adapters", name)
    if name == "fallback":
        problems.append('adapters.fallback: "fallback" is the capability\'s own; give the adapter another name')
    else:
        _check_name(name, place, problems)
    if isinstance(table, Mapping):
        _check_secrets(table, place, raw, problems)
        table = {key: each for key, each in table.items() if each is not MISSING}
    config = _section(AdapterConfig, table, place, problems)
    if config is not None:
        problems += [f"{dotted(place)}.{each}" for each in _adapter_problems(config)]
    return config


def _adapter_problems(config: AdapterConfig) -> list[str]:
    found: list[str] = []
    if config.served is not None and config.served_pattern is not None:
        found.append("served_pattern: say either served or served_pattern")
    if config.served_pattern is not None:
        try:
            re.compile(config.served_pattern)
        except re.error as error:
            found.append(f"served_pattern: isn't a regular expression: {error}")
    if config.provider == "callable":
        found += [f"{key}: a callable adapter has none" for key in ("base_url", "api_key") if getattr(config, key)]
        return found
    found += [f'{key}: only for provider = "callable"' for key in ("call", "text", "served_by") if getattr(config, key)]
    if config.provider == "openai-compatible" and config.base_url is None:
        found.append('base_url: is needed, e.g. base_url = "http://127.0.0.1:8080/v1"')
    if config.provider == "openai" and config.api_key is None:
        found.append('api_key: is needed: api_key = { env = "OPENAI_API_KEY" }')
    return found + _url_problems(config)


def _url_problems(config: AdapterConfig) -> list[str]:
    if config.base_url is None:
        return []
    try:
        parts = urlsplit(config.base_url)
        host = parts.hostname
    except ValueError:
        return ["base_url: isn't a URL"]
    if parts.scheme not in ("http", "https") or not host:
        return ['base_url: must be absolute, e.g. "https://host/v1"']
    if "@" in parts.netloc or _SECRET_IN_URL.search(parts.query):
        return ["base_url: a secret must not stand in the address; use api_key or headers"]
    if parts.scheme == "http" and not config.allow_http and not _is_loopback(host):
        return ["base_url: plain http to another host; use https, or allow_http = true"]
    return []


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_secrets(table: Mapping[str, Any], place: tuple[str, ...], raw: Raw, problems: list[str]) -> None:
    """A secret is looked up, or handed over as a SecretStr: it never stands in a file or in code."""
    headers = table.get("headers")
    secrets: dict[tuple[str, ...], Any] = {("api_key",): table.get("api_key")}
    if isinstance(headers, Mapping):
        secrets |= {("headers", str(name)): each for name, each in headers.items()}
    for key, value in secrets.items():
        if isinstance(value, str) and (*place, *key) not in raw.looked_up:
            problems.append(
                f'{dotted((*place, *key))}: a secret must not stand here; write {{ env = "NAME" }} or {{ file = "path" }}'
            )


def _check_name(name: str, place: tuple[str, ...], problems: list[str]) -> None:
    problem = name_problem(name)
    if problem is not None:
        problems.append(f"{dotted(place)}: {problem}")


def _check_twice(names: Iterable[str], place: tuple[str, ...], problems: list[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            problems.append(f'{dotted((*place, "adapters"))}[{index}]: "{name}" is listed twice')
        seen.add(name)


def _check_ledger(ledger: LedgerConfig, problems: list[str]) -> None:
    if ledger.url.startswith(("postgresql:", "postgres:")):
        problems.append('ledger.url: PostgreSQL isn\'t supported yet; use "sqlite:///failsoft.db"')
    elif ledger.url != "none" and not (ledger.url.startswith("sqlite:///") and len(ledger.url) > len("sqlite:///")):
        problems.append('ledger.url: must be "sqlite:///FILE" or "none"')


def _section(model: type[S], table: Any, place: tuple[str, ...], problems: list[str]) -> S | None:
    if not isinstance(table, Mapping):
        problems.append(f"{dotted(place)}: must be a table")
        return None
    try:
        return model.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems += [f"{dotted((*place, *each['loc']))}: {_sentence(model, each)}" for each in found]
        return None


_ELSEWHERE = {
    "on_ledger_failure": "at the top level",
    "on_bug": "at the top level",
    "host": "at the top level",
    "url": "in [ledger]",
    "origin": "in [ledger]",
    "model": "in [adapters.NAME]",
    "api_key": "in [adapters.NAME]",
    "deadline": "in [capabilities.NAME]",
    "adapters": "in [capabilities.NAME]",
}


def _sentence(model: type[_Section], error: Any) -> str:
    """One pydantic error in our own words, without the value."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        key = str(error["loc"][-1])
        owner = BreakerConfig if "breaker" in error["loc"] else model
        near = _nearest(key, {each.alias or name for name, each in owner.model_fields.items()})
        if near is not None:
            return f'there is no such key; did you mean "{near}"?'
        elsewhere = _ELSEWHERE.get(key)
        return f"there is no such key here; it belongs {elsewhere}" if elsewhere else "there is no such key"
    if kind == "missing":
        return "is needed"
    if kind == "literal_error":
        return f"must be one of {context['expected']}"
    if kind == "string_pattern_mismatch":
        imports = context["pattern"] == _IMPORT_PATH
        return (
            'must be an import path such as "package.module:Name"'
            if imports
            else "must have 1 to 256 printable characters"
        )
    if kind == "value_error":
        return str(context["error"])
    message = str(error["msg"])
    return message[0].lower() + message[1:]


def _nearest(name: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(name, list(known), 1)
    return near[0] if near else None


def _without_secrets(content: Any) -> Any:
    if isinstance(content, dict):
        return {
            key: "<secret>" if key == "api_key" and each else _without_secrets(each) for key, each in content.items()
        }
    return content
