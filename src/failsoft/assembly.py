"""From configuration to parts that run: every problem found on the way is listed, none is raised alone.

A route names adapters by name. An adapter may be defined in the configuration or, by ``@isolation.adapter(...)``, in code
after the isolation was made: names are resolved for good when the isolation is entered.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from attrs import define, frozen

from failsoft.adapters.callable import FunctionCodec, hidden_retries
from failsoft.adapters.openai_compatible import openai, openai_compatible
from failsoft.adapters.pins import floating_problem
from failsoft.capability import Capability, name_problem
from failsoft.config import AdapterConfig, CapabilityConfig, Config
from failsoft.core.breaker import Breaker, Change
from failsoft.core.breaker_settings import BreakerSettings
from failsoft.core.bulkhead import Bulkhead, BulkheadFull
from failsoft.core.contract import Contract, fallback_problem
from failsoft.core.effects import SECOND, Clock, Codec, Random
from failsoft.core.latch import Latch, LatchChange
from failsoft.core.route import CallableCodec, GuardedAdapter
from failsoft.core.throttle import Throttle, ThrottleChange
from failsoft.errors import ConfigurationError

AnyCapability = Capability[Any, Any]
Given = type[AnyCapability] | AnyCapability

Told = Change | ThrottleChange | LatchChange


@define(eq=False)
class Parts:
    """What the clock and the listeners are for every guard."""

    clock: Clock
    random: Random
    on_change: Callable[[str, Told], None]
    on_full: Callable[[str, BulkheadFull], None]


def import_object(path: str) -> object:
    """The object at ``package.module:qualified.name``.

    Raises:
        ValueError: it can't be had; the text says why.
    """
    module_name, _, qualified = path.partition(":")
    try:
        found: object = importlib.import_module(module_name)
    except Exception as error:  # a module may raise anything as it's imported
        raise ValueError(f'can\'t import "{module_name}": {type(error).__name__}: {error}') from error
    for name in qualified.split("."):
        if not hasattr(found, name):
            raise ValueError(f'"{module_name}" has no "{qualified}"')
        found = getattr(found, name)
    return found


def instances(given: Iterable[Given], problems: list[str]) -> dict[str, AnyCapability]:
    """The capabilities by name: classes are instantiated, collisions are problems."""
    found: dict[str, AnyCapability] = {}
    for each in given:
        instance = _instance(each, problems)
        if instance is None:
            continue
        problem = name_problem(instance.name)
        if problem is not None:
            problems.append(f"capabilities: {_described(instance)}: {problem}")
            continue
        if instance.name in found:
            problems.append(
                f'capabilities: two are named "{instance.name}" ({_described(found[instance.name])} and '
                f"{_described(instance)}); give one another `name`"
            )
            continue
        found[instance.name] = instance
    return found


def imported(configs: Mapping[str, CapabilityConfig], problems: list[str]) -> list[Given]:
    """The capabilities that the configuration names by ``class``."""
    found: list[Given] = []
    for name, config in configs.items():
        place = f"capabilities.{name}"
        if config.class_path is None:
            problems.append(f'{place}: write class = "package.module:{_pascal(name)}", or pass it in code')
            continue
        try:
            target = import_object(config.class_path)
        except ValueError as error:
            problems.append(f"{place}.class: {error}")
            continue
        instance = _instance(target, problems, place)
        if instance is None:
            continue
        if instance.name != name:
            problems.append(f'{place}.class: {config.class_path} is named "{instance.name}", not "{name}"')
            continue
        found.append(instance)
    return found


def contract_of(instance: AnyCapability, config: CapabilityConfig, problems: list[str]) -> Contract[Any, Any] | None:
    """The capability compiled, with its wired fallback where the configuration names one."""
    place = f"capabilities.{instance.name}"
    try:
        contract: Contract[Any, Any] = Contract(instance)
        if config.fallback is not None:
            wired = _wired(config.fallback, contract, f"{place}.fallback", problems)
            contract = contract if wired is None else Contract(instance, wired)
    except Exception as error:  # an annotation that can't be resolved or validated
        problems.append(f"{place}: {error}")
        return None
    return contract


def guarded(name: str, config: AdapterConfig, problems: list[str], parts: Parts) -> GuardedAdapter | None:
    """An adapter from its configuration, with guards of its own."""
    place = f"adapters.{name}"
    if not config.floating:
        floating = floating_problem(config.provider, config.model)
        if floating is not None:
            problems.append(f"{place}.model: {floating}")
    codec = _codec(config, place, problems)
    try:
        return None if codec is None else guard(name, codec, config, parts)
    except ConfigurationError as error:  # figures of the breaker that are out of range, or don't fit together
        problems += [f"{place}.breaker: {each}" for each in error.problems]
        return None


def guard(name: str, codec: Codec | CallableCodec, config: AdapterConfig, parts: Parts) -> GuardedAdapter:
    """A codec with a breaker, a throttle, a latch and a bulkhead of its own."""

    def told(change: Told) -> None:
        parts.on_change(name, change)

    overrides = {} if config.breaker is None else config.breaker.overrides()
    if config.attempt_timeout is not None:
        overrides.setdefault(
            "fair_cap_s", config.attempt_timeout / SECOND
        )  # fair time is at most what an attempt may take
    settings = BreakerSettings(**overrides)
    return GuardedAdapter(
        name,
        codec,
        config.pin,
        Breaker(settings, parts.clock, parts.random, told),
        Throttle(parts.random, told),
        Latch(parts.random, told),
        Bulkhead(config.concurrency, config.max_waiting, lambda full: parts.on_full(name, full)),
        labels=config.labels,
        attempts=config.attempts,
        attempt_cap=config.attempt_timeout,
        on_mismatch=config.on_mismatch,
    )


@frozen
class Transition:
    """A guard's change in the words of the record."""

    layer: str
    before: str
    after: str
    reason: str
    until: int | None = None


def transition(change: Told) -> Transition:
    """What a guard told, whichever it is."""
    if isinstance(change, Change):
        return Transition("health", str(change.before), str(change.after), change.reason, change.until_ns)
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


def check_schemas(
    contract: Contract[Any, Any], route: Iterable[str], adapters: Mapping[str, GuardedAdapter], problems: list[str]
) -> None:
    """Can each adapter of a route ask for the capability's response type in its dialect? Made now, used by every call."""
    for name in route:
        adapter = adapters.get(name)
        prepare = None if adapter is None else getattr(adapter.codec, "prepare", None)
        if prepare is None:
            continue
        try:
            prepare(contract.answer)
        except ConfigurationError as error:
            problems += [f"capabilities.{contract.name}: for adapter {name}: {each}" for each in error.problems]


def pick(config: Config, names: Iterable[str]) -> dict[str, CapabilityConfig]:
    """The configuration of each capability; one that isn't mentioned has no adapters yet."""
    return {name: config.capabilities.get(name, CapabilityConfig()) for name in names}


def _codec(config: AdapterConfig, place: str, problems: list[str]) -> Codec | CallableCodec | None:
    key = None if config.api_key is None else config.api_key.get_secret_value()
    headers = {name: each.get_secret_value() for name, each in config.headers.items()}
    if config.provider == "openai":
        options: dict[str, Any] = {"base_url": config.base_url} if config.base_url else {}
        return openai(key or "", extra_headers=headers, **options)
    if config.provider == "openai-compatible":
        assert config.base_url is not None
        return openai_compatible(config.base_url, api_key=key, extra_headers=headers)
    if config.call is None:
        problems.append(f'{place}: a callable adapter needs call = "package.module:function"')
        return None
    found: dict[str, Any] = {}
    for key_name, path in (("call", config.call), ("text", config.text), ("served_by", config.served_by)):
        if path is None:
            continue
        try:
            found[key_name] = import_object(path)
        except ValueError as error:
            problems.append(f"{place}.{key_name}: {error}")
            continue
        if not callable(found[key_name]):
            problems.append(f"{place}.{key_name}: {path} is not callable")
            del found[key_name]
    if "call" not in found:
        return None
    return function_codec(
        found["call"], f"{place}.call", problems, text=found.get("text"), served=found.get("served_by")
    )


def _wired(path: str, contract: Contract[Any, Any], place: str, problems: list[str]) -> Callable[[Any], Any] | None:
    try:
        target: Any = import_object(path)
    except ValueError as error:
        problems.append(f"{place}: {error}")
        return None
    if inspect.isclass(target):
        try:
            target = target()
        except Exception as error:
            problems.append(f"{place}: {path} can't be made without arguments: {type(error).__name__}: {error}")
            return None
    problem = fallback_problem(target, contract.request_type, contract.response_type)
    if problem is not None:
        problems.append(f"{place}: {path} {problem}")
        return None
    wired: Callable[[Any], Any] = target
    return wired


def _instance(given: object, problems: list[str], place: str = "capabilities") -> AnyCapability | None:
    if isinstance(given, Capability):
        return cast("AnyCapability", cast("Any", given))
    if inspect.isclass(given) and issubclass(given, Capability):
        try:
            return cast("type[AnyCapability]", cast("Any", given))()
        except Exception as error:  # whatever its constructor raises
            problems.append(
                f"{place}: {given.__name__} can't be made without arguments ({type(error).__name__}: {error}); pass an "
                f"instance, {given.__name__}(…)"
            )
            return None
    problems.append(f"{place}: {given!r} is no capability: pass a class, an instance, or a @capability function")
    return None


def _described(instance: AnyCapability) -> str:
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def _pascal(name: str) -> str:
    return "".join(part.title() for part in name.split("-"))
