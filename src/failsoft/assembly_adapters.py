"""From an adapter's configuration to one that runs: its codec, its credential, its guards. Every problem is listed.

An adapter may be defined in the configuration or, by ``@isolation.adapter(...)``, in code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from attrs import define, field, frozen

from failsoft.adapters.access import Access
from failsoft.adapters.callable import FunctionCodec, hidden_retries
from failsoft.adapters.grades import check_belief
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.pins import expected, floating_problem
from failsoft.adapters.registry import codec_of
from failsoft.adapters.streaming import FIRST_NS, GAP_NS, Ending, Streaming
from failsoft.config import AdapterConfig
from failsoft.config_file import Resolved, place_text, read_value
from failsoft.config_values import Secret
from failsoft.core.adaptive import AdaptiveBulkhead
from failsoft.core.breaker import Breaker, Change, Mode
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.bulkhead import Bulkhead, BulkheadFull
from failsoft.core.credential import CredentialKeeper
from failsoft.core.effects import SECOND, Clock, Codec, Random
from failsoft.core.latch import Latch, LatchChange
from failsoft.core.limits import Limits, LimitSettings
from failsoft.core.route import CallableCodec, GuardedAdapter
from failsoft.core.throttle import Throttle, ThrottleChange
from failsoft.credentials import SHORTEST_SECRET, Source, Token, UnsoundCredential
from failsoft.errors import ConfigurationError
from failsoft.importing import object_at
from failsoft.outcome import Grade, Pin
from failsoft.providers import CALLABLE, Provider, facts

Told = Change | ThrottleChange | LatchChange


_PORTS = {"http": 80, "https": 443}


@define(eq=False)
class Parts:
    """What the clock and the listeners are for every guard."""

    clock: Clock
    random: Random
    on_change: Callable[[str, Told], None]
    on_full: Callable[[str, BulkheadFull], None]
    _credentials: dict[tuple[str, str], tuple[Latch, list[str]]] = field(
        factory=dict[tuple[str, str], tuple[Latch, list[str]]], repr=False
    )

    def credential(self, adapter: str, endpoint: str | None, key: str | None) -> Latch | None:
        """The latch of everybody who uses this key at this host; None where there's no key."""
        if endpoint is None or key is None:
            return None
        parts = urlsplit(endpoint)
        place = (f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS.get(parts.scheme)}", key)
        if place not in self._credentials:
            users: list[str] = []

            def told(change: LatchChange) -> None:
                for each in users:
                    self.on_change(each, change)

            self._credentials[place] = Latch(self.random, told), users
        latch, users = self._credentials[place]
        users.append(adapter)
        return latch


def guarded(name: str, config: AdapterConfig, problems: list[str], parts: Parts) -> GuardedAdapter | None:
    """An adapter from its configuration, with guards of its own."""
    place = place_text(("adapters", name))
    settings = _settings(config, place, problems)
    keeper = _keeper(config, place, problems, parts.clock)
    codec = _codec(config, place, problems, kept=keeper is not None)
    if keeper is not None and isinstance(codec, HttpCodec):
        keeper.takes = codec.takes
        problem = codec.auth_problem() if config.auth is not None else None
        problems += [] if problem is None else [f"{place}.{problem}"]
    return None if codec is None or settings is None else _guarded(name, codec, config, settings, parts, keeper)


def guard(name: str, codec: Codec | CallableCodec, config: AdapterConfig, parts: Parts) -> GuardedAdapter:
    """A codec with a breaker, a throttle, a latch and a bulkhead of its own.

    Raises:
        ConfigurationError: a floating name, figures of the breaker that are out of range or don't fit together.
    """
    problems: list[str] = []
    settings = _settings(config, place_text(("adapters", name)), problems)
    if problems or settings is None:
        raise ConfigurationError(problems)
    return _guarded(name, codec, config, settings, parts)


def pin_of(config: AdapterConfig) -> Pin:
    """Which model is asked for, and which names may be served: as told, else as its provider spells that name."""
    if config.served is not None or config.served_pattern is not None:
        return config.pin
    return expected(config.provider, config.model, floating=config.floating)


def _settings(config: AdapterConfig, place: str, problems: list[str]) -> BreakerSettings | None:
    """The breaker's figures; what's wrong with them or with the pin is told."""
    told = config.served is not None or config.served_pattern is not None
    floating = None if config.floating else floating_problem(config.provider, config.model, told=told)
    if floating is not None:
        problems.append(f"{place}.model: {floating}")
    overrides = {} if config.breaker is None else config.breaker.overrides()
    if config.attempt_timeout is not None:
        overrides.setdefault(
            "fair_cap_s", config.attempt_timeout / SECOND
        )  # fair time is at most what an attempt may take
    try:
        settings = BreakerSettings(**overrides)
    except ConfigurationError as error:
        problems += [f"{place}.{each}" for each in error.problems]
        return None
    idle = [f"{place}.breaker.{key}: {why}" for key, why in _without_effect(settings).items() if key in overrides]
    problems += idle
    return None if idle else settings


def _without_effect(settings: BreakerSettings) -> dict[str, str]:
    """Figures that nothing reads: whoever wrote one believes that a rule is on."""
    found: dict[str, str] = {}
    if not settings.slow_rate:
        found["slow_after_s"] = "has no effect without slow_rate: write slow_rate = 80"
    if settings.window != "count":
        found["window_calls"] = 'has no effect without window = "count"'
    return found


def _guarded(
    name: str,
    codec: Codec | CallableCodec,
    config: AdapterConfig,
    settings: BreakerSettings,
    parts: Parts,
    keeper: CredentialKeeper | None = None,
) -> GuardedAdapter:
    def told(change: Told) -> None:
        parts.on_change(name, change)

    key = config.auth and f"auth={config.auth}" if config.api_key is None else config.api_key.get_secret_value()
    latch = Latch(parts.random, told)
    bulkhead = AdaptiveBulkhead if config.adaptive_concurrency else Bulkhead
    return GuardedAdapter(
        name,
        codec,
        pin_of(config),
        Breaker(settings, parts.clock, parts.random, told, Mode(config.mode)),
        Throttle(parts.random, told),
        latch,
        bulkhead(config.concurrency, config.max_waiting, lambda full: parts.on_full(name, full)),
        labels=config.labels,
        attempts=config.attempts,
        attempt_cap=config.attempt_timeout,
        on_mismatch=config.on_mismatch,
        require_grade=None if config.require_grade is None else Grade[config.require_grade.upper()],
        keeper=keeper,
        max_prompt=config.max_prompt_bytes,
        limits=None if config.limits is None else Limits(LimitSettings(**config.limits.model_dump())),
        credential=parts.credential(name, codec.endpoint, key) or latch,
    )


@frozen
class Transition:
    """A guard's change in the words of the record."""

    layer: str
    before: str
    after: str
    reason: str
    until: int | None = None


def transition(change: Told, capability: str | None = None) -> Transition:
    """What a guard told, whichever it is; one that belongs to a capability is its quality breaker."""
    if isinstance(change, Change):
        layer = "health" if capability is None else "quality"
        return Transition(layer, str(change.before), str(change.after), change.reason, change.until_ns)
    if isinstance(change, LatchChange):
        if change.cause is None:
            return Transition("latch", "latched", "open_way", "mended")
        return Transition("latch", "open_way", "latched", change.cause)
    if change.until_ns:
        reason = "as told" if change.hinted else "back-off"
        return Transition("throttle", "free", "waiting", reason, change.until_ns)
    return Transition("throttle", "waiting", "free", "wait over")


def function_codec(
    function: Callable[..., Any], place: str, problems: list[str], **extractors: Any
) -> FunctionCodec | None:
    """A callable adapter's codec; a client seen to retry by itself is a problem."""
    retries = hidden_retries(function)
    if retries:
        problems.append(
            f"{place}: its client retries {retries} times by itself, outside breaker and deadline: make the client with "
            "max_retries=0"
        )
        return None
    return FunctionCodec(function, **extractors)


KEY_FILE_REFRESH = 60 * SECOND
"""A key in a file is read anew so often, and after a 401: whoever replaces it needs no restart."""


def _keeper(config: AdapterConfig, place: str, problems: list[str], clock: Clock) -> CredentialKeeper | None:
    """What keeps a credential that may change; None for one that stands still."""
    if config.auth is not None:
        source = object_at(config.auth, f"{place}.auth", problems)
        if source is not None and not callable(source):
            problems.append(f"{place}.auth: {config.auth} is not callable")
        elif source is not None and not _takes_nothing(source):
            problems.append(f"{place}.auth: {config.auth} is called without arguments, and wants some")
        return None if source is None else CredentialKeeper(cast("Source", source), clock)
    key = config.api_key
    if not isinstance(key, Secret) or key.path is None:
        return None
    path = key.path

    def read() -> Token:
        try:
            return Token(read_value(path))
        except ValueError as error:
            raise UnsoundCredential(f"the key file {error}") from None

    try:
        first = Token(key.get_secret_value())
    except ValueError:  # the codec says what's wrong with it
        return None
    return CredentialKeeper(read, clock, refresh=KEY_FILE_REFRESH, first=first)


def _http_codec(config: AdapterConfig, *, kept: bool) -> Codec:
    provider = facts(config.provider)
    base_url = config.base_url or provider.base_url
    assert base_url is not None
    access = Access(
        config.model,
        config.provider,
        base_url,
        None if config.api_key is None or kept else config.api_key.get_secret_value(),
        {name: each.get_secret_value() for name, each in config.headers.items()},
        _streaming(config, provider),
        config.options,
        _from_outside(config.options.get("body")),
    )
    return codec_of(provider, access)


def _takes_nothing(function: Any) -> bool:
    """May it be called without arguments?"""
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:  # one that's written in C doesn't say
        return True
    return True


def _from_outside(value: Any) -> tuple[str, ...]:
    """What the further fields of a request took from the environment or from files: it may be secret, and is struck.

    Other options are an adapter's own words (a region, a deployment): to strike those would alter answers.
    """
    if isinstance(value, Resolved):
        return (str(value),) if len(value) >= SHORTEST_SECRET else ()
    if isinstance(value, dict):
        return tuple(each for inner in cast("dict[str, Any]", value).values() for each in _from_outside(inner))
    if isinstance(value, list):
        return tuple(each for inner in cast("Any", value) for each in _from_outside(inner))
    return ()


def _streaming(config: AdapterConfig, provider: Provider) -> Streaming | None:
    """Some providers end each stream with both marks; of others' servers some never send the second."""
    if not config.stream:
        return None
    usual = Ending.BOTH if provider.both_ends else Ending.FINISH
    return Streaming(
        config.stream_first or FIRST_NS,
        config.stream_gap or GAP_NS,
        usual if config.stream_end is None else Ending(config.stream_end),
    )


def _codec(config: AdapterConfig, place: str, problems: list[str], *, kept: bool) -> Codec | CallableCodec | None:
    if config.provider != CALLABLE:
        try:
            return _http_codec(config, kept=kept)
        except ConfigurationError as error:  # the codec names its own arguments
            problems += [f"{place}.{each.removeprefix('extra_')}" for each in error.problems]
            return None
    if config.call is None:
        problems.append(f'{place}: a callable adapter needs call = "package.module:function"')
    found: dict[str, Any] = {}
    for key_name, path in (("call", config.call), ("text", config.text), ("served_by", config.served_by)):
        target = None if path is None else object_at(path, f"{place}.{key_name}", problems)
        if target is None:
            continue
        if callable(target):
            found[key_name] = target
        else:
            problems.append(f"{place}.{key_name}: {path} is not callable")
    grade = Grade.UNKNOWN if config.grade is None else Grade[config.grade.upper()]
    check_belief(config, place, problems, grade, served=config.served_by is not None)
    if "call" not in found:
        return None
    return function_codec(
        found["call"], f"{place}.call", problems, text=found.get("text"), served=found.get("served_by"), grade=grade
    )
