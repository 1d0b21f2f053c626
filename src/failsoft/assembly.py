"""From configuration to parts that run: every problem found on the way is listed, none is raised alone.

A route names adapters by name. An adapter may be defined in the configuration or, by ``@isolation.adapter(...)``, in code
after the isolation was made: names are resolved for good when the isolation is entered.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from failsoft.capability import Capability, name_problem
from failsoft.config import AdapterConfig, CapabilityConfig, Config
from failsoft.config_file import place_text
from failsoft.core.contract import Contract, fallback_problem
from failsoft.core.route import GuardedAdapter
from failsoft.errors import ConfigurationError
from failsoft.importing import object_at

AnyCapability = Capability[Any, Any]
Given = type[AnyCapability] | AnyCapability


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
        instance = _imported(name, config, problems)
        if instance is not None:
            found.append(instance)
        elif config.fallback is not None:  # whether it fits can't be told without the capability
            object_at(config.fallback, place_text(("capabilities", name, "fallback")), problems)
    return found


def _imported(name: str, config: CapabilityConfig, problems: list[str]) -> AnyCapability | None:
    place = place_text(("capabilities", name))
    path = config.class_path
    if path is None:
        problems.append(f'{place}: write class = "package.module:{_pascal(name)}", or pass it in code')
        return None
    target = object_at(path, f"{place}.class", problems)
    instance = None if target is None else _instance(target, problems, place)
    if instance is not None and instance.name != name:
        problems.append(f'{place}.class: {path} is named "{instance.name}", not "{name}"')
        return None
    return instance


def contract_of(instance: AnyCapability, config: CapabilityConfig, problems: list[str]) -> Contract[Any, Any] | None:
    """The capability compiled, with its wired fallback where the configuration names one."""
    place = f"capabilities.{instance.name}"
    try:
        contract: Contract[Any, Any] = Contract(instance)
    except Exception as error:  # an annotation that can't be resolved or validated
        problems.append(f"{place}: {error}")
        if config.fallback is not None:
            object_at(config.fallback, f"{place}.fallback", problems)
        return None
    if config.fallback is None:
        return contract
    wired = _wired(config.fallback, contract, f"{place}.fallback", problems)
    return contract if wired is None else Contract(instance, wired)


def check_transport(config: Config, problems: list[str]) -> None:
    """Can what the configuration names as transport be had?"""
    names = config.over_aiohttp()
    if config.transport != "aiohttp" and not names:
        return
    try:
        from failsoft.io.transport_aiohttp import problem
    except ImportError:
        found: str | None = "aiohttp isn't installed"
    else:
        found = problem()
    if found is not None:
        place = "transport" if config.transport == "aiohttp" else place_text(("adapters", names[0], "transport"))
        problems.append(f'{place}: {found}: install the extra `fast` ("failsoft[fast]"), or write transport = "httpx"')


def check_state(config: Config, problems: list[str]) -> None:
    """Can the store of shared state be had?"""
    url = config.state.database
    if url is None:
        return
    try:
        from failsoft.io.state_postgres import problem
    except ImportError:
        problems.append(
            'state.url: psycopg isn\'t installed: install the extra `postgres` ("failsoft[postgres]"), or write url = "file"'
        )
        return
    found = problem(url)
    if found is not None:
        problems.append(f"state.url: {found}")


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


def check_times(
    contract: Contract[Any, Any], config: CapabilityConfig, adapters: Mapping[str, AdapterConfig], problems: list[str]
) -> None:
    """Do the times of a capability and of its route fit together?"""
    place = f"capabilities.{contract.name}"
    if config.hedge_after is not None:
        if not contract.idempotent:
            problems.append(
                f"{place}.hedge_after: two providers would be asked at once, and both are paid: "
                f"say idempotent = True on the capability if that does no harm"
            )
        if config.hedge_after >= config.deadline:
            problems.append(f"{place}.hedge_after: must be less than the deadline")
    for name in config.adapters:
        adapter = adapters.get(name)
        if adapter is not None and adapter.attempt_timeout is not None and adapter.attempt_timeout >= config.deadline:
            problems.append(
                f"{place}.deadline: an attempt at {name} may take as long: its attempt_timeout must be less"
            )


def pick(config: Config, names: Iterable[str]) -> dict[str, CapabilityConfig]:
    """The configuration of each capability; one that isn't mentioned has no adapters yet."""
    return {name: config.capabilities.get(name, CapabilityConfig()) for name in names}


def _wired(path: str, contract: Contract[Any, Any], place: str, problems: list[str]) -> Callable[[Any], Any] | None:
    target: Any = object_at(path, place, problems)
    if target is None:
        return None
    if inspect.isclass(target):
        try:
            target = target()
        except Exception as error:
            problems.append(f"{place}: {path} can't be made without arguments: {type(error).__name__}: {error}")
            return None
    problem = _built_in_problem(target) or fallback_problem(target, contract.request_type, contract.response_type)
    if problem is not None:
        problems.append(f"{place}: {path} {problem}")
        return None
    wired: Callable[[Any], Any] = target
    return wired


def _built_in_problem(target: object) -> str | None:
    """A function written in C states neither what it takes nor what it returns, and it may do anything (``sys:exit``)."""
    if inspect.isbuiltin(target) or inspect.ismethoddescriptor(target):
        return "is built in, so nothing says whether it fits: wire a function written in Python, with annotations"
    return None


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
