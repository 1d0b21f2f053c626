"""Where a type is marked: found in what pydantic made of it, by the names that its JSON really has.

A mark stands in the schema of what it marks (`Audit` puts it there). Whatever a type is written with (forward references,
generics, names for types, aliases and their generators, computed fields), pydantic has resolved it there.

A path leads through fields, lists and tables. What's omitted anywhere else is refused, not kept in silence: in what has no
names in JSON, below a serializer that may write it in other words, in any part of a schema that isn't known here. So is a
mark that a class is written with and that's in no schema: something replaced it. What's public must be so in every schema
that stands at its path: of a union's members another one may be the value.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, cast

from attrs import evolve, field, frozen
from pydantic import TypeAdapter

from failsoft.audit import EACH, LONGEST, Audit, Marks, Path, mark_in

_AGAIN: Final = None
"""In the place of a mark: here stands once more what it's in."""

_MEMBERS = ("lax_schema", "strict_schema", "json_schema", "python_schema")
_SAME = frozenset(("schema", "choices", "steps", "serialization", "return_schema", *_MEMBERS))
"""Parts of a schema that stand where it stands."""

_OWNERS = frozenset(("model", "typed-dict", "dataclass"))
_FIELDS = frozenset(("model-fields", "typed-dict", "dataclass-args"))
_EACH = frozenset(("items_schema", "values_schema"))
_VALUES = ("default", "members", "expected")
_NO_PART = frozenset(
    (*_VALUES, "metadata", "config", "definitions", "json_schema_input_schema", "custom_error_context")
)
_NAMELESS = {
    "keys_schema": "a table's keys",
    "extras_schema": "a model's further fields",
    "fields": "a named tuple",
    "arguments_schema": "a named tuple",
}
_REWRITTEN = "what a serializer of its own writes"
_UNSEEN = "a type that makes its own schema"
_PLAIN_SERIALIZERS = frozenset(("any", "model", "include-exclude-sequence", "include-exclude-dict"))
_WRAPPERS = ("pydantic.functional_validators", "pydantic._internal")
"""Modules of pydantic's own functions around a serializer, which change no name."""


def marks_of(annotation: Any, adapter: TypeAdapter[Any], what: str) -> Marks:
    """The marked fields of a type.

    Args:
        annotation: the type.
        adapter: pydantic's for it.
        what: what it is, for the error.

    Raises:
        TypeError: a field can't be put on record as it's marked.
    """
    schema = cast("dict[str, Any]", adapter.core_schema)
    search = _Search()
    found = search.below(schema, (), ())
    stricter = [each.path for each in found if each.mark in (Audit.omitted, Audit.committed)]
    again = {each.owners[-1] for each in found if each.mark is _AGAIN}
    public: list[Path] = []
    omitted: list[Path] = []
    for each in found:
        if each.mark in (Audit.omitted, Audit.public) and not each.path:
            raise TypeError(f"{what}: it's marked as a whole: mark fields of a model")
        if each.mark is Audit.omitted:
            if problem := _never_omitted(each, again):
                raise TypeError(f"{what}: {problem}")
            omitted.append(each.path)
        elif each.mark is Audit.public and not _is_stricter(each.path, stricter):
            if problem := _never_public(each, search.is_public(schema, each.path)):
                raise TypeError(f"{what}: {problem}")
            public.append(each.path)
    if any(each is Audit.omitted for each in _within(annotation, set())) and not omitted:
        raise TypeError(f"{what}: something is omitted inside {_UNSEEN}, where it can't be taken out: make it a model")
    for lost in _lost(annotation, search.seen):
        raise TypeError(f"{what}: {lost} is omitted inside {_UNSEEN}, where it can't be taken out: make it a model")
    return Marks(tuple(dict.fromkeys(public)), tuple(dict.fromkeys(omitted)))


def _never_omitted(marked: _Marked, again: set[str]) -> str:
    """Why it can't be taken out; empty: it can."""
    told = ".".join(marked.path)
    if marked.inside is not None:
        return (
            f"{told} is omitted inside {marked.inside}, where it can't be taken out: mark all of it, or make it a model"
        )
    if not again.isdisjoint(marked.owners):
        return f"{told} is omitted in a type that holds itself: it would be kept further down"
    return ""


def _never_public(marked: _Marked, all_of_it: bool) -> str:
    """Why it can't stand in a record; empty: it can."""
    told = ".".join(marked.path)
    if EACH in marked.path:
        return f"{told} is public inside a list or a table: mark a field of the type itself"
    if marked.nested:
        return f"{told} is public, and no text, number, truth value or list of these: mark its own fields"
    if len(told) > LONGEST or not all(char.isascii() and (char.isalnum() or char in "_.-") for char in told):
        return f"{told!r} can't be named in a record: at most {LONGEST} letters, digits, _ . -"
    return (
        "" if all_of_it else f"{told} is public, and something else that may stand there isn't: mark that, or rename it"
    )


def _is_stricter(path: Path, stricter: list[Path]) -> bool:
    """Is it, or something that holds it, or an element of it, marked to be kept out of the record itself?"""
    return any(one == path[: len(one)] or one == (*path, EACH) for one in stricter)


@frozen
class _Marked:
    """A marked place.

    Args:
        mark: an `Audit`, or `_AGAIN`.
        owners: the names of the schemas that it's in, from outside in.
        inside: what it's in that no path leads through.
        nested: has it parts of its own, with names?
    """

    path: Path
    mark: Audit | None
    owners: tuple[str, ...]
    inside: str | None = None
    nested: bool = False


@frozen
class _Search:
    """Through one type's schema.

    Args:
        named: the schemas that others refer to, by their names, as they're met.
        found: what's marked in each of these.
        seen: classes, with the names of those of their fields that are omitted, and whether that's so of all of a field.
    """

    named: dict[str, Any] = field(factory=dict[str, Any])
    found: dict[str, list[_Marked]] = field(factory=dict[str, "list[_Marked]"])
    seen: set[_Written] = field(factory=set["_Written"])

    def below(self, schema: dict[str, Any], path: Path, owners: tuple[str, ...], more: bool = False) -> list[_Marked]:
        """Every marked place. What's omitted is looked into no further.

        Args:
            schema: where to look.
            path: its own.
            owners: what it's in.
            more: it may have more fields than its own.
        """
        mark = mark_in(schema)
        nested = mark is Audit.public and self._has_parts(schema)
        found = [] if mark is None else [_Marked(path, mark, owners, nested=nested)]
        if mark is Audit.omitted:
            return found
        found += self._in_parts(schema, path, owners, more or _allows_more(schema))
        if schema["type"] in _OWNERS:
            self.seen.update(
                _Written.of(schema, each.path[len(path) :]) for each in found if each.mark is Audit.omitted
            )
        if _rewrites(schema):
            found = [
                evolve(each, inside=_REWRITTEN) if len(each.path) > len(path) else evolve(each, nested=False)
                for each in found
            ]
        return found

    def _in_parts(self, schema: dict[str, Any], path: Path, owners: tuple[str, ...], more: bool) -> Iterator[_Marked]:
        if schema["type"] == "definition-ref":
            yield from self._in_named(schema["schema_ref"], path, owners)
        self.named.update((each["ref"], each) for each in schema.get("definitions", ()))
        for key, part in schema.items():
            if key == "computed_fields" or (key == "fields" and schema["type"] in _FIELDS):
                for names, each in _fields(part, more):
                    for name in names:
                        yield from self.below(each, (*path, name), owners)
            elif key in _SAME:
                for each in _schemas(part):
                    yield from self.below(each, path, owners, more)
            elif key not in _NO_PART:
                inside = None if key in _EACH else _NAMELESS.get(key, f"the {key} of a {schema['type']}")
                for each in _schemas(part):
                    for found in self.below(each, (*path, EACH), owners):
                        yield evolve(found, inside=inside or found.inside)

    def _in_named(self, name: str, path: Path, owners: tuple[str, ...]) -> Iterator[_Marked]:
        """Each is looked into once: types that hold each other would be without end."""
        if name in owners:
            yield _Marked((), _AGAIN, (name,))
            return
        if name not in self.found:
            found = self.below(self.named[name], (), (*owners, name))
            own = (each if each.mark is _AGAIN else evolve(each, owners=each.owners[len(owners) :]) for each in found)
            self.found[name] = list(dict.fromkeys(own))
        for each in self.found[name]:
            again = each.mark is _AGAIN
            yield each if again else evolve(each, path=(*path, *each.path), owners=(*owners, *each.owners))

    def _has_parts(self, schema: dict[str, Any], met: frozenset[str] = frozenset(), *, listed: bool = False) -> bool:
        """Is it a table, or has a list of it such elements? As far as its JSON is what its schema says."""
        kind = schema["type"]
        if _rewrites(schema):
            return False
        if kind == "definition-ref":
            name = schema["schema_ref"]
            return name not in met and self._has_parts(self.named[name], met | {name}, listed=listed)
        if kind == "dict" or (kind in _OWNERS and not schema.get("root_model")):
            return True
        if kind in _LISTS:
            elements = _schemas(schema.get("items_schema"))
            return listed or any(self._has_parts(each, met, listed=True) for each in elements)
        parts = [each for key in schema.keys() & _SAME for each in _schemas(schema[key])]
        if kind == "chain":  # it's written as its last step has it
            parts = parts[-1:]
        return any(self._has_parts(each, met, listed=listed) for each in parts)

    def is_public(self, schema: dict[str, Any], path: Path, owners: tuple[str, ...] = (), more: bool = False) -> bool:
        """Is whatever may stand at a path public? Then the path's own schemas are all marked so."""
        if not path and mark_in(schema) is Audit.public:
            return True
        kind = schema["type"]
        if kind == "definition-ref":
            name = schema["schema_ref"]
            return name in owners or self.is_public(self.named[name], path, (*owners, name))
        more = more or _allows_more(schema)
        if kind in _FIELDS:
            listed = (*_fields(schema["fields"], more), *_fields(schema.get("computed_fields", ()), more))
            mine = [(names, each) for names, each in listed if path[0] in names] if path else []
            if more and (not mine or any(len(names) > 1 for names, _ in mine)):
                return False
            return bool(path) and all(self.is_public(each, path[1:]) for _, each in mine)
        parts = [
            each for key in schema.keys() & _SAME - {"serialization", "return_schema"} for each in _schemas(schema[key])
        ]
        for key in ("return_schema", "serialization"):  # of a computed field; of what no validator's schema is left
            parts = parts or list(_schemas(schema.get(key)))
        if not parts:
            return kind in (_NO_FIELDS if path else _NOTHING)
        return all(self.is_public(each, path, owners, more) for each in parts)


_LISTS = frozenset(("list", "tuple", "set", "frozenset", "generator"))
_NOTHING = frozenset(("none", "missing-sentinel"))
_NO_FIELDS = _NOTHING | {"str", "int", "float", "bool", "decimal", "bytes", "literal", "enum", "list", "tuple", "set"}
"""Types of schemas whose values have no fields."""


def _fields(fields: Any, more: bool) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """The names that each may have in JSON, of fields by their names, or of a list of such that tell theirs. Where a type
    may have more fields, what's given under one of several aliases stays there under another.
    """
    if not isinstance(fields, dict):
        fields = {each.get("name") or each["property_name"]: each for each in fields}
    for name, each in cast("dict[str, dict[str, Any]]", fields).items():
        written = each.get("serialization_alias") or each.get("alias") or name
        read = _texts(each.get("validation_alias")) if more else ()
        yield list(dict.fromkeys((name, written, *read))), each


def _texts(alias: Any) -> Iterator[str]:
    """The names in an alias: a choice of some, or of steps to a place, numbers among them."""
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, list):
        for each in cast("Iterable[Any]", alias):
            yield from _texts(each)


def _allows_more(schema: dict[str, Any]) -> bool:
    return "allow" in (schema.get("extra_behavior"), schema.get("config", {}).get("extra_fields_behavior"))


def _schemas(part: Any) -> Iterator[dict[str, Any]]:
    """The schemas in a part of one: itself, or those in a list or a table of such."""
    if isinstance(part, dict):
        table = cast("dict[str, Any]", part)
        if isinstance(table.get("type"), str):
            yield table
        else:
            yield from _schemas(list(table.values()))
    elif isinstance(part, (list, tuple)):
        for each in cast("list[Any]", part):
            yield from _schemas(each)


def _rewrites(schema: dict[str, Any]) -> bool:
    """May its JSON be written in other words than its fields'? Pydantic's own wrappers of serializers change none."""
    serialization = schema.get("serialization")
    if serialization is None:
        return bool(schema.get("config", {}).get("polymorphic_serialization"))
    module = getattr(serialization.get("function"), "__module__", None) or ""
    wraps = serialization["type"] == "function-wrap" and module.startswith(_WRAPPERS)
    return not (wraps or serialization["type"] in _PLAIN_SERIALIZERS)


# --- what classes are written with -----------------------------------------------------------------------------------------


@frozen
class _Written:
    """A field that's omitted.

    Args:
        whole: all of it is; else something in it.
    """

    owner: type
    name: str
    whole: bool

    @classmethod
    def of(cls, schema: dict[str, Any], path: Path) -> _Written:
        """By a place in a class's schema."""
        if schema.get("root_model"):
            return cls(schema["cls"], "root", not path)
        return cls(schema["cls"], path[0], len(path) == 1)


def _lost(annotation: Any, seen: set[_Written]) -> Iterator[str]:
    """Fields of classes that a type is written with, which are omitted there and in no schema."""
    waiting, met = [annotation], set[Any]()
    while waiting:
        for each in _within(waiting.pop(), met):
            owner: Any = typing.get_origin(each) or each
            if not isinstance(owner, type) or owner in met:
                continue
            met.add(owner)
            for name, told in _hints(owner).items():
                if _is_omitted(told):
                    if _Written(owner, name, True) not in seen:
                        yield f"{owner.__name__}.{name}"
                    continue
                waiting.append(told)
                here = {_Written(owner, name, whole) for whole in (True, False)}
                if any(one is Audit.omitted for one in _within(told, set())) and here.isdisjoint(seen):
                    yield f"{owner.__name__}.{name}"


def _within(annotation: Any, met: set[Any]) -> Iterator[Any]:
    """A type and all that it's written with; of what's omitted, only that."""
    if _is_omitted(annotation):
        yield Audit.omitted
        return
    yield annotation
    for each in typing.get_args(annotation):
        yield from _within(each, met)
    named = typing.get_origin(annotation) or annotation
    if isinstance(named, typing.NewType):
        yield from _within(cast("Any", named).__supertype__, met)
    elif hasattr(named, "__value__") and hasattr(named, "__type_params__") and named not in met:
        met.add(named)
        yield from _within(named.__value__, met)


def _is_omitted(annotation: Any) -> bool:
    """Is it marked so itself? What else it's marked with may be anybody's, and compare as it likes."""
    marks = getattr(annotation, "__metadata__", ())
    return isinstance(marks, tuple) and any(each is Audit.omitted for each in cast("tuple[object, ...]", marks))


_ELEMENTS = re.compile(
    r"(?:[\w.]*(?:Required|ReadOnly|Optional)\[|None *\| *)*"
    r"[\w.]*\b(?:list|dict|set|frozenset|tuple|List|Dict|Set|FrozenSet|Tuple)\["
)
"""How a type begins that isn't marked itself: what it's made of may be."""


def _as_text(told: str) -> Any:
    """What stands for a type that can't be resolved: in doubt all of it is marked."""
    if "Audit.omitted" not in told:
        return Any
    marked = typing.Annotated[Any, Audit.omitted]
    return list[marked] if _ELEMENTS.match(told) else marked


def _hints(owner: Any) -> dict[str, Any]:
    """The fields of a class, each as it's written: what can't be resolved as the text that it is."""
    if hasattr(owner, "model_rebuild"):  # a field's type may still stand there as text
        with suppress(Exception):  # `BaseModel` itself can't be; of another it may be the user's own
            owner.model_rebuild(raise_errors=False)
    fields = getattr(owner, "__pydantic_fields__", None)
    if fields is not None:
        return {name: typing.Annotated[each.annotation, None, *each.metadata] for name, each in fields.items()}
    try:
        hints = typing.get_type_hints(owner, include_extras=True)
    except Exception:  # names of a place that nobody can look into
        hints = {
            name: _as_text(getattr(told, "__forward_arg__", str(told)))
            for each in owner.__mro__
            for name, told in inspect.get_annotations(each).items()
        }
    return {name: each for name, each in hints.items() if typing.get_origin(each) is not typing.ClassVar}
