"""The configuration: ``failsoft.toml`` or the same in code, as frozen models. What a key means stands here.

A model made in code raises pydantic's ValidationError; a file is read by `failsoft.config_read`, which lists all problems.
No repr and no snapshot shows a secret.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import parse_qsl, urlsplit

import httpx
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from failsoft.config_ledger import LedgerConfig
from failsoft.config_retention import RetentionConfig
from failsoft.config_state import StateConfig
from failsoft.config_values import (
    Count,
    Flag,
    ImportPath,
    Label,
    Name,
    Number,
    ProviderName,
    Seconds,
    Secret,
    SecretText,
    Section,
    Text,
    Whole,
    adapter_name,
    as_names,
    by_origin,
    capability_name,
    duration_between,
    header_name,
    route_names,
    wrong,
)
from failsoft.credentials import SECRET_NAME
from failsoft.durations import SECOND
from failsoft.outcome import GradeName, Pin
from failsoft.providers import CALLABLE, GRADES, facts

UNREAD: Final = ""
"""Stands for an import path that was wrong: it has been told, and nothing is imported by it."""


class BreakerConfig(Section):
    """``[adapters.NAME.breaker]``: figures that differ from the breaker's defaults.

    Names, units and ranges are those of `failsoft.core.breaker_settings.BreakerSettings`; seconds may also be written
    ``"5s"``.
    """

    window: Literal["time", "count"] | None = None
    window_calls: Count | None = None
    window_s: Seconds | None = None
    buckets: Count | None = None
    rate: Number | None = None
    min_calls: Count | None = None
    slow_rate: Number | None = None
    slow_after_s: Seconds | None = Field(default=None, ge=10)
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
    slow_start_s: Seconds | None = None
    healthy_for_s: Seconds | None = None
    lease_slack_s: Seconds | None = None
    fair_cap_s: Seconds | None = None

    def overrides(self) -> dict[str, Any]:
        """What was set, as keyword arguments of `BreakerSettings`."""
        return self.model_dump(exclude_none=True)


class LimitsConfig(Section):
    """``[adapters.NAME.limits]``: the provider's quotas, as it states them; 90 % of each is used.

    Args:
        requests_per_minute: from 1.
        tokens_per_minute: prompt and answer together, from 1.
        requests_per_day: by UTC day, of all processes that share their state, from 1.
        tokens_per_day: the same in tokens.
    """

    requests_per_minute: Whole | None = Field(default=None, ge=1, le=1_000_000_000_000)
    tokens_per_minute: Whole | None = Field(default=None, ge=1, le=1_000_000_000_000)
    requests_per_day: Whole | None = Field(default=None, ge=1, le=1_000_000_000_000)
    tokens_per_day: Whole | None = Field(default=None, ge=1, le=1_000_000_000_000)


class AdapterConfig(Section):
    """``[adapters.NAME]``: one provider at one pin.

    Args:
        provider: who is asked: a name of `failsoft.providers.PROVIDERS`, one that an installed distribution adds, or
            ``callable``.
        model: the name asked for, 1-256 characters.
        served: the names that the provider may say it served; default: `model`.
        served_pattern: a regular expression that the whole served name must match, instead of `served`.
        floating: the model's name may move; without it a name known to float is refused.
        allow_http: plain http may leave this machine.
        base_url: absolute http or https; needed where a provider has no place of its own.
        auth: import path of a function that returns a credential which doesn't last (`failsoft.credentials`), instead of
            `api_key`.
        api_key: needed where a provider takes nobody without one.
        headers: sent with each request; values are secrets.
        labels: the calls that it may see besides unlabelled ones.
        max_prompt_bytes: a larger prompt isn't sent: the next adapter is asked. 1 byte to 1 GiB; None: no limit is known.
        require_grade: the least that the served identity must be worth: ``provider``, ``gateway`` or ``echoed``.
        on_mismatch: another model than the pin's answered: ``refuse`` the answer, or ``record`` it.
        attempts: at most so many in one call, 1-10.
        attempt_timeout: of one attempt, in nanoseconds, 100 ms to 1 h.
        concurrency: attempts at once, 1-10,000.
        adaptive_concurrency: fewer at once where the provider throttles or times out, up to `concurrency`.
        transport: who speaks HTTP to it; default: as at the top level.
        max_waiting: calls that may wait for a place, 0-1,000,000.
        call: import path of a callable adapter's function.
        text: import path of what gets the answer's text from its result.
        served_by: import path of what gets the served model's name from its result.
        grade: how far that name can be believed: ``provider``, ``gateway``, ``echoed``, or ``unknown``, as without it.
        breaker: figures that differ from the defaults.
        limits: the provider's quotas, to be kept on this side.
        mode: ``observe``: its breakers refuse nothing, and say when they would have.
        stream: have replies streamed; what's given is one whole answer all the same.
        stream_first: the most that a stream's first meaningful event may take, in nanoseconds, 100 ms to 1 h.
        stream_gap: the most that may pass between two of them, in nanoseconds, 100 ms to 1 h.
        stream_end: what must have come before a stream's end is its end; default: what the provider sends.
        weights: the file behind a local server's label: its digest stands in the lock.
        options: what only this provider's adapter knows: see the page of providers.
    """

    provider: ProviderName
    model: Name
    served: Annotated[tuple[Name, ...], Field(strict=False, min_length=1), BeforeValidator(as_names)] | None = None
    served_pattern: Name | None = None
    floating: Flag = False
    allow_http: Flag = False
    base_url: Name | None = Field(default=None, validate_default=True)
    auth: ImportPath | None = None
    api_key: SecretText | None = Field(default=None, validate_default=True)
    headers: dict[Annotated[str, AfterValidator(header_name)], SecretText] = Field(default_factory=dict)
    labels: Annotated[frozenset[Label], Field(strict=False)] = frozenset()
    on_mismatch: Literal["refuse", "record"] = "refuse"
    max_prompt_bytes: Whole | None = Field(default=None, ge=1, le=1 << 30)
    require_grade: Literal["provider", "gateway", "echoed"] | None = None
    attempts: Whole = Field(default=3, ge=1, le=10)
    attempt_timeout: Annotated[int, duration_between("100ms", "1h")] | None = None
    concurrency: Whole = Field(default=100, ge=1, le=10_000)
    adaptive_concurrency: bool = False
    max_waiting: Whole = Field(default=2000, ge=0, le=1_000_000)
    call: ImportPath | None = None
    text: ImportPath | None = None
    served_by: ImportPath | None = None
    grade: GradeName | None = None
    breaker: BreakerConfig | None = None
    limits: LimitsConfig | None = None
    mode: Literal["auto", "observe"] = "auto"
    transport: Literal["httpx", "aiohttp"] | None = None
    stream: Flag = False
    stream_first: Annotated[int, duration_between("100ms", "1h")] | None = None
    stream_gap: Annotated[int, duration_between("100ms", "1h")] | None = None
    stream_end: Literal["finish", "done", "both"] | None = None
    weights: Text | None = None
    options: dict[str, Any] = Field(default_factory=dict, repr=False)

    # Each rule about two keys stands with the later one and reads the earlier from `info.data`: unlike a validator of
    # the whole, it speaks although other keys are wrong too.

    @field_validator("served_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        if pattern is not None and info.data.get("served") is not None:
            raise wrong("served says which names are expected already: leave one of the two out")
        try:
            re.compile(pattern or "")
        except (re.error, OverflowError, RecursionError, Warning):
            raise wrong("is not a regular expression") from None
        return pattern

    @field_validator("base_url")
    @classmethod
    def _sound_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        provider = info.data.get("provider")
        if url is None:
            if provider not in (None, CALLABLE) and facts(provider).base_url is None:
                raise wrong('is missing: write base_url = "https://host/v1"')
            return None
        if provider == CALLABLE:
            raise wrong("a callable adapter makes its own requests: leave it out")
        problem = _url_problem(url, bool(info.data.get("allow_http", True)))
        if problem is not None:
            raise wrong(problem)
        return url

    @field_validator("api_key")
    @classmethod
    def _needed_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        provider = info.data.get("provider")
        if key is not None and info.data.get("auth") is not None:
            raise wrong("auth gives the credential already: leave one of the two out")
        if info.data.get("auth", UNREAD) is not None:  # one that was wrong has been told
            return key
        variable = None if key is not None or provider in (None, CALLABLE) else facts(provider).key
        if variable is not None:
            raise wrong(f'is missing: write api_key = {{ env = "{variable}" }}')
        return key

    @field_validator("auth", "api_key", "headers", "options")
    @classmethod
    def _not_for_callables(cls, value: object, info: ValidationInfo) -> object:
        if value and info.data.get("provider") == CALLABLE:
            raise wrong("a callable adapter makes its own requests: leave it out")
        return value

    @field_validator("require_grade")
    @classmethod
    def _can_be_met(cls, grade: str | None, info: ValidationInfo) -> str | None:
        provider = info.data.get("provider")
        best = "provider" if provider in (None, CALLABLE) else facts(provider).best
        if grade is not None and GRADES.index(best) > GRADES.index(grade):
            raise wrong(f'no reply would do: what this provider says of who served is "{best}" at best')
        return grade

    @field_validator("transport")
    @classmethod
    def _has_none(cls, transport: str | None, info: ValidationInfo) -> str | None:
        if transport is not None and info.data.get("provider") == CALLABLE:
            raise wrong("a callable adapter makes its own requests: leave it out")
        return transport

    @field_validator("stream", "stream_first", "stream_gap", "stream_end")
    @classmethod
    def _for_streams(cls, value: object, info: ValidationInfo) -> object:
        if value and info.data.get("provider") == CALLABLE:
            raise wrong("a callable adapter makes its own requests: leave it out")
        if value and info.field_name != "stream" and not info.data.get("stream", True):
            raise wrong("nothing is streamed: write stream = true, or leave it out")
        return value

    @field_validator("headers")
    @classmethod
    def _each_once(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if len({each.lower() for each in headers}) < len(headers):
            raise wrong("a header is named twice: upper and lower case mean the same")
        return headers

    @field_validator("call", "text", "served_by", "grade")
    @classmethod
    def _for_callables(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("provider", CALLABLE) != CALLABLE:
            raise wrong('belongs to provider = "callable" only')
        return value

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
        sound = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return _NO_URL
    if not sound or "\\" in url or any(each.isspace() for each in url) or "#" in url:
        return _NO_URL
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if "@" in parts.netloc or any(SECRET_NAME.search(each) for each in names):
        return 'a secret must not stand in a URL: write api_key = { env = "NAME" } or a header'
    host = parts.hostname or ""
    try:
        if parts.port == 0:
            return _NO_PORT
    except ValueError:
        return _NO_PORT
    if not _is_host(host):
        return "its host is no name or address that can be looked up"
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        return "plain http to another machine can be read and changed on the way: use https, or write allow_http = true"
    return None


_NO_PORT: Final = "its port is not a number from 1 to 65535"


def _is_host(host: str) -> bool:
    """Can it be looked up? An address, or a name that can be written in ASCII, of labels of 1 to 63 characters."""
    try:
        httpx.URL(scheme="https", host=host).raw_host.decode().encode("idna")  # as the system's resolver does it
    except (httpx.InvalidURL, UnicodeError):
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class CapabilityConfig(Section):
    """``[capabilities.NAME]``: who is asked, how long it may take.

    Args:
        class_path: import path of the capability (``class`` in TOML); for the CLI.
        adapters: tried in this order; the fallback is always last and isn't named.
        deadline: of a whole call, in nanoseconds, 100 ms to 1 h.
        hedge_after: the second adapter is asked beside the first after so many nanoseconds, 10 ms to 1 h.
        max_in_flight: calls under way in this process, 1 to 1,000,000: beyond it the fallback answers at once.
        fallback: import path of another deterministic implementation than the capability's own.
        degraded_limit: per cent of calls that the fallback may answer before it's told, 0-100.
        degraded_window: over what time, in nanoseconds, 1 s to 24 h.
    """

    class_path: ImportPath | None = Field(default=None, alias="class")
    adapters: Annotated[tuple[Name, ...], Field(strict=False), BeforeValidator(route_names)] = ()
    deadline: Annotated[int, duration_between("100ms", "1h")] = 30 * SECOND
    hedge_after: Annotated[int, duration_between("10ms", "1h")] | None = None
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    fallback: ImportPath | None = None
    degraded_limit: Whole = Field(default=20, ge=0, le=100)
    degraded_window: Annotated[int, duration_between("1s", "24h")] = 600 * SECOND


def _default_on_bug() -> Literal["fallback", "raise"]:
    """Under tests the pytest plugin makes bugs loud."""
    return "raise" if os.environ.get("FAILSOFT_ON_BUG") == "raise" else "fallback"


class Config(Section):
    """All of it.

    Args:
        ledger: where evidence is kept.
        state: what processes share.
        retention: how long cases are kept.
        adapters: by name.
        capabilities: by name.
        on_ledger_failure: the ledger can't record: the ``fallback`` answers, the call is ``refuse``d, or ``continue``s; or
            its records wait in a ``spool`` on this host, where the ledger is in a database.
        on_bug: a capability's own ``prompt`` or ``accept`` fails: the ``fallback`` answers, or it's ``raise``d.
        host: how records name this machine; None takes the system's name.
        max_reply_bytes: of one reply, 1 KiB to 1 GiB.
        transport: who speaks HTTP to adapters that don't say it themselves; ``aiohttp`` needs the extra ``fast``.
        locked: entering is refused unless ``failsoft.lock`` says just what is in force.
        base: what relative paths are relative to.
        source: the file it came from.
    """

    ledger: LedgerConfig = Field(default_factory=LedgerConfig)
    state: StateConfig = Field(default_factory=StateConfig)
    retention: RetentionConfig = Field(default_factory=RetentionConfig)
    adapters: dict[Annotated[str, AfterValidator(adapter_name)], AdapterConfig] = Field(default_factory=dict)
    capabilities: dict[Annotated[str, AfterValidator(capability_name)], CapabilityConfig] = Field(default_factory=dict)
    on_ledger_failure: Literal["fallback", "refuse", "continue", "spool"] = "fallback"
    on_bug: Literal["fallback", "raise"] = Field(default_factory=_default_on_bug)
    host: Label | None = None
    max_reply_bytes: Whole = Field(default=16 << 20, ge=1 << 10, le=1 << 30)
    transport: Literal["httpx", "aiohttp"] = "httpx"
    locked: Flag = False
    base: Path = Field(default_factory=Path.cwd, exclude=True)
    source: Path | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _locate(self) -> Self:
        self.ledger._base = self.base
        return self

    def contradictions(self) -> list[str]:
        """What doesn't fit together, though each key by itself is right: a sentence each."""
        spools = self.on_ledger_failure == "spool"
        if spools and self.ledger.database is None:
            return ['on_ledger_failure: only a ledger in a database has a spool: write "fallback"']
        if not spools and self.ledger.has_spool:
            return ['ledger: a spool means nothing without on_ledger_failure = "spool"']
        return []

    def over_aiohttp(self) -> tuple[str, ...]:
        """The adapters that are asked over aiohttp."""
        return tuple(
            name
            for name, each in self.adapters.items()
            if each.provider != CALLABLE and (each.transport or self.transport) == "aiohttp"
        )

    def snapshot(self) -> bytes:
        """Canonical JSON of what's in force, defaults included: secrets, and what else came from outside, by name; durations
        in nanoseconds.
        """
        plain = by_origin(self.model_dump(by_alias=True, exclude_none=True))
        return json.dumps(plain, default=_plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    return value.origin if isinstance(value, Secret) else "<secret>"
