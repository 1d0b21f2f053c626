"""Reading a configuration: lenient, so that one look tells all there is to mend, in sentences that show no secret.

`read_file` and `read_mapping` don't raise for content: they give a `Draft` with what could be read and all that's wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from attrs import field, frozen
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from failsoft.config import (
    UNREAD,
    AdapterConfig,
    BreakerConfig,
    CapabilityConfig,
    Config,
    LimitsConfig,
)
from failsoft.config_file import UNRESOLVED, Place, Tree, load_file, load_mapping, nearest, place_text, shown
from failsoft.config_ledger import LedgerConfig
from failsoft.config_retention import RetentionClassConfig, RetentionConfig
from failsoft.config_state import StateConfig
from failsoft.config_values import Section
from failsoft.providers import PROVIDERS


@frozen
class Draft:
    """What could be read, and what couldn't.

    Args:
        config: what could be read, for whoever looks for more problems. A wrong key is left out of its table, and stands
            at its default; so is a whole table that nothing can be made of.
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
        """A configuration made in code: each key of it is right."""
        routes = {name: tuple(enumerate(each.adapters)) for name, each in config.capabilities.items()}
        return cls(config, config.contradictions(), frozenset(config.adapters), routes)


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


def read_file(path: Path, *, keyless: bool = False) -> Draft:
    """Reads ``failsoft.toml``. Never raises for what's in it, nor when it can't be read: see `Draft.problems`.

    Args:
        path: of the file.
        keyless: keys that can't be had are no problem.
    """
    return _draft(load_file(path, keyless=keyless), in_code=False)


def read_mapping(raw: Mapping[str, Any] | Config, base: Path | None = None) -> Draft:
    """The same for a mapping of the same shape, whose secrets may also be `pydantic.SecretStr`.

    Args:
        raw: the mapping; a `Config` is taken as it is. Anything else is a problem.
        base: what relative paths are relative to; default: the working directory.
    """
    if isinstance(raw, Config):
        return Draft.of(raw)
    if not isinstance(cast("object", raw), Mapping):
        actual = _kind_of(raw)
        return Draft(
            Config(), [f"configuration: a table (a mapping) or a failsoft.config.Config is wanted, not {actual}"]
        )
    return _draft(load_mapping(raw, base), in_code=True)


def unknown_adapters(draft: Draft) -> list[UnknownAdapter]:
    """Every mention of an adapter that isn't configured, with the name that it resembles most."""
    known = sorted(draft.adapter_names)
    return [
        UnknownAdapter(capability, index, name, nearest(name, known))
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
    wrong: list[ErrorDetails] = []
    try:
        config = Config.model_validate(table | whole)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        problems += [_sentence(each, table, in_code) for each in wrong if each["input"] is not UNRESOLVED]
        config = _mended(table, wrong, whole)
    if not {each["loc"][0] for each in wrong} & {"ledger", "on_ledger_failure"}:  # those would stand at their defaults
        problems += config.contradictions()
    return Draft(config, problems, names, routes)


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _named(capability: object) -> tuple[tuple[int, str], ...]:
    """The names in a capability's route, though the capability be wrong elsewhere."""
    names: object = cast("dict[str, Any]", capability).get("adapters") if isinstance(capability, dict) else None
    listed = cast("list[object]", names) if isinstance(names, list) else []
    return tuple((index, each) for index, each in enumerate(listed) if isinstance(each, str))


def _mended(table: Mapping[str, Any], wrong: list[ErrorDetails], whole: dict[str, Any]) -> Config:
    """What can be made of a table in which something is wrong: other rooms find what else is wrong with it."""
    places = [each["loc"] for each in wrong]
    tops = {place[0] for place in places}
    right = {key: each for key, each in table.items() if key not in tops}
    found: dict[str, Any] = {}
    sections: tuple[tuple[str, type[Section]], ...] = (("adapters", AdapterConfig), ("capabilities", CapabilityConfig))
    for name, model in sections:
        made = {key: _section(model, each, [at[2:] for at in places if at[:2] == (name, key)])
                for key, each in _table(table, name).items()}  # fmt: skip
        found[name] = {key: each for key, each in made.items() if each is not None}
    return Config.model_validate(right | whole).model_copy(update=found)


_STANDS_FOR: Final[Mapping[str, Any]] = {
    "model": "unread",
    "floating": True,
    "allow_http": True,
    "base_url": "https://unread.invalid/v1",
    "api_key": SecretStr("unread"),
}
"""In place of a wrong key that others can't do without. It has been told, and leads to no problem of its own."""


def _section(model: type[Section], given: object, places: list[Place]) -> Section | None:
    """One adapter or capability without what's wrong in it; None if nothing can be made of it."""
    keys = {str(place[0]) for place in places if place}
    if not isinstance(given, dict) or "provider" in keys:  # what all others depend on
        return None
    table = cast("dict[str, Any]", given)
    kept = {key: each for key, each in table.items() if key not in keys}
    inner = {str(place[1]) for place in places if len(place) > 1 and place[0] == "breaker"}
    if inner:
        kept["breaker"] = {key: each for key, each in _table(table, "breaker").items() if key not in inner}
    if model is AdapterConfig:
        kept |= {key: each for key, each in _STANDS_FOR.items() if key in keys}
        if "model" in keys:
            kept["floating"] = True
        if "auth" in keys:
            kept.setdefault("api_key", SecretStr("unread"))
        if kept["provider"] == "callable":  # it may have neither
            kept = {key: each for key, each in kept.items() if key not in ("base_url", "api_key")}
    try:
        made = model.model_validate(kept)
    except ValidationError:
        return None
    return made.model_copy(update={field: UNREAD for key, field in _PATHS.items() if key in keys})


_PATHS: Final = {"class": "class_path", "call": "call", "auth": "auth"}


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


def _kind_of(value: object) -> str:
    return next((name for type_, name in _KINDS if issubclass(type(value), type_)), type(value).__name__)


def _sentence(error: ErrorDetails, table: Mapping[str, Any], in_code: bool) -> str:
    """One finding of pydantic's about this table, in our words. Shows a value only through `shown`, never a secret."""
    kind, place, given = error["type"], error["loc"], error["input"]
    bounds = error.get("ctx", {})
    if kind == "failsoft_inline":
        problem = _inline_secret(place, table, in_code)
    elif kind == "failsoft":
        problem = bounds["problem"]
        place = place[:-1] if place[-1] == "[key]" else place
    elif kind == "extra_forbidden":
        problem = _unknown_key(place)
    elif kind == "missing":
        problem = f"is missing: write {place[-1]} = {EXAMPLES[str(place[-1])]}"
    elif kind == "literal_error" and isinstance(given, str):
        options = re.findall(r"'([^']+)'", bounds["expected"])
        near = nearest(given, options)
        hint = f'did you mean "{near}"?' if near else "it's one of " + ", ".join(f'"{each}"' for each in options)
        problem = f"there is no {shown(given)}; {hint}"
    elif kind in ("greater_than_equal", "less_than_equal"):
        problem = f"must be at least {bounds['ge']:,}" if "ge" in bounds else f"must be at most {bounds['le']:,}"
    elif kind == "too_short":
        problem = "must name at least one"
    else:
        wanted = _WANTED.get(kind, "something else")
        problem = f"{wanted} is wanted, not {_kind_of(given)}"
    return f"{place_text(place)}: {problem}"


EXAMPLES: Final = {
    "provider": '"openai-compatible"',
    "model": '"gpt-4.1-2025-04-14", the pinned name',
    "after": '"final-payment", the event that begins the period',
    "keep_days": "2192",
}
"""Of each key that a table must have."""


def _inline_secret(place: Place, table: Mapping[str, Any], in_code: bool) -> str:
    """How to write it instead: in the variable that the provider's own tools read, or one named like the key."""
    key = str(place[-1])
    usual = "DATABASE_URL" if key == "url" else None
    if key == "api_key":
        name: object = _table(_table(table, "adapters"), str(place[1])).get("provider")
        meant = nearest(name, list(PROVIDERS)) if isinstance(name, str) else None
        usual = PROVIDERS[meant].key if meant else None
    variable = usual or re.sub(r"[^A-Z0-9]", "_", key.upper())
    home, other = ("configuration", ", or hand in a pydantic.SecretStr") if in_code else ("file", "")
    return f'a secret must not stand in the {home}; write {place_text((key,))} = {{ env = "{variable}" }}{other}'


_PLACES: Final[tuple[tuple[type[Section], str], ...]] = (
    (Config, "at the top level, above the first [table]"),
    (LedgerConfig, "in [ledger]"),
    (StateConfig, "in [state]"),
    (AdapterConfig, "in [adapters.NAME]"),
    (BreakerConfig, "in [adapters.NAME.breaker]"),
    (LimitsConfig, "in [adapters.NAME.limits]"),
    (CapabilityConfig, "in [capabilities.NAME]"),
    (RetentionConfig, "in [retention]"),
    (RetentionClassConfig, "in [retention.classes.NAME]"),
)


def _unknown_key(place: Place) -> str:
    key = str(place[-1])
    model = _model_of(place[:-1])
    near = nearest(key, _keys(model))
    elsewhere = next((where for other, where in _PLACES if other is not model and key in _keys(other)), None)
    if elsewhere and not (near and key in near.split("_")):
        return f"belongs {elsewhere}"
    return f'unknown key; did you mean "{near}"?' if near else "unknown key"


def _model_of(place: Place) -> type[Section]:
    """Of a table."""
    match place:
        case ("adapters", _):
            return AdapterConfig
        case ("adapters", _, "limits"):
            return LimitsConfig
        case ("adapters", *_):
            return BreakerConfig
        case ("capabilities", _):
            return CapabilityConfig
        case ("retention", "classes", _):
            return RetentionClassConfig
        case ("retention", *_):
            return RetentionConfig
        case ("state", *_):
            return StateConfig
        case ("ledger", *_):
            return LedgerConfig
        case _:
            return Config


def _keys(model: type[Section]) -> list[str]:
    return [each.alias or name for name, each in model.model_fields.items() if name not in _NO_KEYS]
