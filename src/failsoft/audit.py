"""What of a request or a response is put on record, and how: marked field by field, in the types.

    class Item(BaseModel):
        nsn: Annotated[str, Audit.public]        # in clear, in the record itself: found, counted and shown without any key
        description: str                         # committed: behind a salted commitment, encrypted and erasable
        contact: Annotated[str, Audit.omitted]   # on no record, in no form

Rules:

1. What isn't marked is committed.
2. What's omitted is taken out before anything is committed to. A prompt repeats a request and a reply repeats an answer, in
   words of their own, so of a capability that omits anything no prompt, reply or provider's error text is kept either, nor
   what a reviewer saw besides. The record names what it lacks, never what that was.
3. What's public stands in the record itself, which can't be erased: nothing personal belongs there.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Union, cast

from attrs import frozen
from pydantic import BaseModel

Path = tuple[str, ...]

Fact = str | int | float
"""A text, a number, a truth value."""

EACH = "*"
"""In a path: every element of a list, every value of a table."""

_LONGEST = 64
_MOST = 16
_NAMED = 32


class Audit(Enum):
    """How a field is put on record, as a mark in its type: ``Annotated[str, Audit.public]``."""

    public = "public"
    committed = "committed"
    omitted = "omitted"


@frozen
class Marks:
    """The marked fields of a type, by their path in its JSON.

    Args:
        public: in clear.
        omitted: on no record.
    """

    public: tuple[Path, ...] = ()
    omitted: tuple[Path, ...] = ()

    def kept(self, text: bytes) -> bytes:
        """The JSON without what's omitted."""
        if not self.omitted:
            return text
        value = json.loads(text)
        for path in self.omitted:
            _remove(value, path)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def missing(self, payload: str) -> list[str]:
        """What's omitted of a payload, each by the payload's path and its own, with dots: of many the first 32."""
        return [".".join((payload, *path))[:_LONGEST] for path in self.omitted[:_NAMED]]

    def facts(self, text: bytes) -> dict[str, Fact | list[Fact]]:
        """What's public, by dotted path: texts, numbers, truth values, and lists of them."""
        if not self.public:
            return {}
        value = json.loads(text)
        found = ((".".join(path), _at(value, path)) for path in self.public)
        return {name: each for name, each in found if each is not None}


@frozen
class AuditPlan:
    """The marks of a capability.

    Args:
        request: of its requests.
        response: of its responses.
    """

    request: Marks
    response: Marks

    @property
    def hides(self) -> bool:
        """Is anything omitted? Then no prompt, reply or error text is kept."""
        return bool(self.request.omitted or self.response.omitted)


def plan_of(request: Any, response: Any, name: str) -> AuditPlan | None:
    """The plan of a capability; None where nothing is marked.

    Args:
        request: the type of its requests.
        response: the type of its responses.
        name: the capability's, for the error.

    Raises:
        TypeError: a field can't be put on record as it's marked.
    """
    plan = AuditPlan(marks_of(request, f"{name}: request type"), marks_of(response, f"{name}: response type"))
    return plan if plan != AuditPlan(Marks(), Marks()) else None


def marks_of(annotation: Any, what: str) -> Marks:
    """The marked fields of a type.

    Args:
        annotation: the type.
        what: what it is, for the error.

    Raises:
        TypeError: a field can't be put on record as it's marked.
    """
    public: list[Path] = []
    omitted: list[Path] = []
    for path, mark in _marked(annotation, (), ()):
        if not path:
            raise TypeError(f"{what}: it's marked as a whole: mark fields of a model")
        if mark is Audit.omitted:
            omitted.append(path)
        elif mark is Audit.public:
            told = ".".join(path)
            if EACH in path:
                raise TypeError(f"{what}: {told} is public inside a list or a table: mark a field of the type itself")
            if len(told) > _LONGEST or not all(char.isascii() and (char.isalnum() or char in "_.-") for char in told):
                raise TypeError(
                    f"{what}: {told!r} can't be named in a record: at most {_LONGEST} letters, digits, _ . -"
                )
            public.append(path)
    return Marks(tuple(dict.fromkeys(public)), tuple(dict.fromkeys(omitted)))


def _marked(annotation: Any, path: Path, seen: tuple[Any, ...]) -> Iterator[tuple[Path, Audit]]:
    """Every marked place below a type. What's marked is looked into no further."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *told = typing.get_args(annotation)
        yield from _one(inner, tuple(told), path, seen)
    elif origin in (Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _marked(member, path, seen)
    elif isinstance(origin, type):  # a literal has none
        elements = [each for each in typing.get_args(annotation) if each is not Ellipsis]
        for each in elements[1:] if issubclass(origin, Mapping) else elements:
            yield from _marked(each, (*path, EACH), seen)
    elif isinstance(annotation, type) and annotation not in seen:
        owner = cast("type[Any]", annotation)
        for names, kind, metadata in _fields(owner):
            for name in names:
                yield from _one(kind, metadata, (*path, name), (*seen, owner))


def _one(kind: Any, metadata: tuple[Any, ...], path: Path, seen: tuple[Any, ...]) -> Iterator[tuple[Path, Audit]]:
    marks = [each for each in metadata if isinstance(each, Audit)]
    if marks:
        yield path, marks[-1]
    else:
        yield from _marked(kind, path, seen)


def _fields(owner: type[Any]) -> Iterator[tuple[tuple[str, ...], Any, tuple[Any, ...]]]:
    """Of a model, a dataclass or a typed dictionary: the names that its JSON may have, type and metadata of each field."""
    if issubclass(owner, BaseModel):
        for name, field in owner.model_fields.items():
            names = tuple(dict.fromkeys(each for each in (name, field.alias, field.serialization_alias) if each))
            yield names, field.annotation, tuple(field.metadata)
    elif dataclasses.is_dataclass(owner) or typing.is_typeddict(owner):
        for name, hint in typing.get_type_hints(owner, include_extras=True).items():
            yield (name,), hint, ()


def _remove(value: Any, path: Path) -> None:
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        for name in list(table) if step == EACH else [step]:
            if not rest:
                table.pop(name, None)
            else:
                _remove(table.get(name), rest)
    elif isinstance(value, list) and step == EACH:
        elements = cast("list[object]", value)
        if not rest:
            elements.clear()
        for each in elements:
            _remove(each, rest)


def _at(value: Any, path: Path) -> Fact | list[Fact] | None:
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return None
        value = cast("dict[str, Any]", value)[step]
    if isinstance(value, list):
        elements = cast("list[object]", value)
        return [each for each in elements if isinstance(each, (str, int, float))][:_MOST] or None
    return value if isinstance(value, (str, int, float)) else None
