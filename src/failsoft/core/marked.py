"""Where a type is marked: found in what pydantic made of it, by the names that its JSON really has.

A mark stands in the schema of what it marks (`Audit` puts it there). Whatever a type is written with (forward references,
generics, names for types, aliases and their generators, computed fields), pydantic has resolved it there.

A path leads through fields, lists and tables. What's omitted anywhere else is refused, not kept in silence: in what has no
names in JSON, below a serializer that may write it in other words, in any part of a schema that isn't known here.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any, Final, cast

from attrs import evolve, field, frozen
from pydantic import TypeAdapter

from failsoft.audit import EACH, Audit, Marks, Path, mark_in

_LONGEST = 64
_AGAIN: Final = None
"""In the place of a mark: here stands once more what it's in."""

_MEMBERS = ("lax_schema", "strict_schema", "json_schema", "python_schema")
_SAME = frozenset(("schema", "choices", "steps", "serialization", "return_schema", *_MEMBERS))
"""Parts of a schema that stand where it stands."""

_FIELDS = frozenset(("model-fields", "typed-dict", "dataclass-args"))
_EACH = frozenset(("items_schema", "values_schema"))
_NO_PART = frozenset(("metadata", "default", "definitions", "json_schema_input_schema"))
_NAMELESS = {
    "keys_schema": "a table's keys",
    "extras_schema": "a model's further fields",
    "fields": "a named tuple",
    "arguments_schema": "a named tuple",
}
_REWRITTEN = "what a serializer of its own writes"
_UNSEEN = "a type that makes its own schema"


def marks_of(annotation: Any, adapter: TypeAdapter[Any], what: str) -> Marks:
    """The marked fields of a type.

    Args:
        annotation: the type.
        adapter: pydantic's for it.
        what: what it is, for the error.

    Raises:
        TypeError: a field can't be put on record as it's marked.
    """
    found = list(_Search().below(cast("dict[str, Any]", adapter.core_schema), (), ()))
    if _mentions(annotation) and not any(each.mark is Audit.omitted for each in found):
        found.append(_Marked((EACH,), Audit.omitted, (), _UNSEEN))
    stricter = [each.path for each in found if each.mark in (Audit.omitted, Audit.committed)]
    again = {each.owners[-1] for each in found if each.mark is _AGAIN}
    public: list[Path] = []
    omitted: list[Path] = []
    for each in found:
        told = ".".join(each.path)
        if each.mark is _AGAIN or each.mark is Audit.committed:
            continue
        if not each.path:
            raise TypeError(f"{what}: it's marked as a whole: mark fields of a model")
        if each.mark is Audit.omitted:
            if each.inside is not None:
                raise TypeError(
                    f"{what}: {told} is omitted inside {each.inside}, where it can't be taken out: "
                    "mark all of it, or make it a model"
                )
            if not again.isdisjoint(each.owners):
                raise TypeError(f"{what}: {told} is omitted in a type that holds itself: it would be kept further down")
            omitted.append(each.path)
        elif not any(one == each.path[: len(one)] or one == (*each.path, EACH) for one in stricter):
            if EACH in each.path:
                raise TypeError(f"{what}: {told} is public inside a list or a table: mark a field of the type itself")
            if len(told) > _LONGEST or not all(char.isascii() and (char.isalnum() or char in "_.-") for char in told):
                raise TypeError(
                    f"{what}: {told!r} can't be named in a record: at most {_LONGEST} letters, digits, _ . -"
                )
            public.append(each.path)
    return Marks(tuple(dict.fromkeys(public)), tuple(dict.fromkeys(omitted)))


@frozen
class _Marked:
    """A marked place.

    Args:
        mark: an `Audit`, or `_AGAIN`.
        owners: the names of the schemas that it's in, from outside in.
        inside: what it's in that no path leads through.
    """

    path: Path
    mark: Audit | None
    owners: tuple[str, ...]
    inside: str | None = None


@frozen
class _Search:
    """Through one type's schema.

    Args:
        named: the schemas that others refer to, by their names, as they're met.
    """

    named: dict[str, Any] = field(factory=dict[str, Any])

    def below(self, schema: dict[str, Any], path: Path, owners: tuple[str, ...]) -> Iterator[_Marked]:
        """Every marked place. What's omitted is looked into no further."""
        mark = mark_in(schema)
        if mark is not None:
            yield _Marked(path, mark, owners)
        if mark is Audit.omitted:
            return
        found = list(self._in_parts(schema, path, owners))
        found += _unseen(schema, found, path, owners)
        rewrites = _rewrites(schema)
        for each in found:
            yield evolve(each, inside=_REWRITTEN) if rewrites and len(each.path) > len(path) else each

    def _in_parts(self, schema: dict[str, Any], path: Path, owners: tuple[str, ...]) -> Iterator[_Marked]:
        if schema["type"] == "definition-ref":
            name = schema["schema_ref"]
            if name in owners:
                yield _Marked(path, _AGAIN, (name,))
            else:
                yield from self.below(self.named[name], path, (*owners, name))
        self.named.update((each["ref"], each) for each in schema.get("definitions", ()))
        for key, part in schema.items():
            if key == "computed_fields" or (key == "fields" and schema["type"] in _FIELDS):
                yield from self._in_fields(part, path, owners)
            elif key in _SAME:
                for each in _schemas(part):
                    yield from self.below(each, path, owners)
            elif key not in _NO_PART:
                inside = None if key in _EACH else _NAMELESS.get(key, f"the {key} of a {schema['type']}")
                for each in _schemas(part):
                    for found in self.below(each, (*path, EACH), owners):
                        yield evolve(found, inside=inside or found.inside)

    def _in_fields(self, fields: Any, path: Path, owners: tuple[str, ...]) -> Iterator[_Marked]:
        """Fields by their names, or a list of such that tell theirs; computed ones are such a list."""
        if not isinstance(fields, dict):
            fields = {each.get("name") or each["property_name"]: each for each in fields}
        for name, each in cast("dict[str, dict[str, Any]]", fields).items():
            written = each.get("serialization_alias") or each.get("alias") or name
            for called in dict.fromkeys((name, written)):
                yield from self.below(each, (*path, called), owners)


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
    """Does the user's own code write the JSON of this? Pydantic's does for some types too, without changing any name."""
    function = schema.get("serialization", {}).get("function")
    return function is not None and not function.__module__.startswith("pydantic.")


def _unseen(schema: dict[str, Any], found: list[_Marked], path: Path, owners: tuple[str, ...]) -> Iterator[_Marked]:
    """What's written as omitted in a model's fields, and in none of their schemas."""
    owner: Any = schema.get("cls")
    if hasattr(owner, "model_rebuild"):
        owner.model_rebuild(raise_errors=False)  # a field's type may still stand there as text
    for name, told in getattr(owner, "__pydantic_fields__", {}).items():
        if _mentions(told.annotation) or Audit.omitted in told.metadata:
            place = path if schema.get("root_model") else (*path, name)
            if not any(each.mark is Audit.omitted and each.path[: len(place)] == place for each in found):
                yield _Marked((*path, name), Audit.omitted, owners, _UNSEEN)


def _mentions(annotation: Any) -> bool:
    """Is anything in it written as omitted, but for what's in the classes that it names?"""
    return annotation is Audit.omitted or any(map(_mentions, typing.get_args(annotation)))
