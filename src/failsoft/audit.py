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
3. What's omitted where it can't be found again in JSON (in a named tuple, in a type that holds itself) is refused when the
   isolation is made.
4. What's public stands in the record itself, which can't be erased: nothing personal belongs there.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from types import SimpleNamespace
from typing import Any, Final, Union, cast

from attrs import evolve, frozen
from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

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
    found = list(_marked(annotation, (), ()))
    again = {owner for each in found if each.mark is _AGAIN for owner in each.owners[-1:]}
    for each in found:
        path, mark, told = each.path, each.mark, ".".join(each.path)
        if mark is _AGAIN:
            continue
        if not path:
            raise TypeError(f"{what}: it's marked as a whole: mark fields of a model")
        if mark is Audit.omitted:
            if each.inside is not None:
                raise TypeError(
                    f"{what}: {told} is omitted inside {each.inside}, where it can't be taken out: make it a model"
                )
            if not again.isdisjoint(each.owners):
                raise TypeError(f"{what}: {told} is omitted in a type that holds itself: it would be kept further down")
            omitted.append(path)
        elif mark is Audit.public:
            if EACH in path:
                raise TypeError(f"{what}: {told} is public inside a list or a table: mark a field of the type itself")
            if len(told) > _LONGEST or not all(char.isascii() and (char.isalnum() or char in "_.-") for char in told):
                raise TypeError(
                    f"{what}: {told!r} can't be named in a record: at most {_LONGEST} letters, digits, _ . -"
                )
            public.append(path)
    return Marks(tuple(dict.fromkeys(public)), tuple(dict.fromkeys(omitted)))


_AGAIN: Final = object()
"""In the place of a mark: the last of the owners stands below itself."""

_SELF: Final[Any] = vars(typing)["Self"]
_QUALIFIERS: Final = frozenset({"Final", "Required", "NotRequired", "ReadOnly"})
"""By their names: `typing` has some of them on newer Pythons only, and ``typing_extensions`` its own."""


@frozen
class _Marked:
    """A marked place below a type.

    Args:
        mark: an `Audit`, or `_AGAIN`.
        owners: the models and the like that it's in, from outside in.
        inside: what it's in that has no names in JSON; None: nothing of the kind.
    """

    path: Path
    mark: object
    owners: tuple[Any, ...]
    inside: str | None = None


def _marked(annotation: Any, path: Path, owners: tuple[Any, ...]) -> Iterator[_Marked]:
    """Every marked place below a type. What's omitted is looked into no further."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        yield from _one(arguments[0], arguments[1:], path, owners)
    elif getattr(origin, "_name", None) in _QUALIFIERS:
        yield from _marked(arguments[0], path, owners)
    elif origin in (Union, types.UnionType):
        for member in arguments:
            yield from _marked(member, path, owners)
    elif (value := _stands_for(annotation)) is not None:
        again = annotation in owners  # as of JSON's own values
        yield from [_Marked(path, _AGAIN, (annotation,))] if again else _marked(value, path, (*owners, annotation))
    elif annotation is _SELF:
        yield _Marked(path, _AGAIN, owners[-1:])
    elif isinstance(annotation, typing.TypeVar):
        for each in (annotation.__bound__, *annotation.__constraints__):
            yield from _marked(each, path, owners)
    elif isinstance(origin, type) and not _has_fields(origin):  # a literal has none
        yield from _of_container(issubclass(origin, Mapping), arguments, path, owners)
    elif isinstance(owner := origin or annotation, type):
        for each in arguments:
            yield from _without_names(each, path, owners, "what a generic type is of")
        yield from _of_owner(cast("type[Any]", owner), path, owners)


def _of_container(table: bool, arguments: tuple[Any, ...], path: Path, owners: tuple[Any, ...]) -> Iterator[_Marked]:
    elements = [each for each in arguments if each is not Ellipsis]
    for each in elements[:1] if table else ():
        yield from _without_names(each, path, owners, "a table's keys")
    for each in elements[1:] if table else elements:
        yield from _marked(each, (*path, EACH), owners)


def _of_owner(owner: type[Any], path: Path, owners: tuple[Any, ...]) -> Iterator[_Marked]:
    if owner in owners:
        yield _Marked(path, _AGAIN, (owner,))
        return
    owners = (*owners, owner)
    for names, kind, metadata in _fields(owner):
        for name in names:
            yield from _one(kind, metadata, (*path, name) if name else path, owners)
    for what, kind in _nameless(owner):
        yield from _without_names(kind, path, owners, what)


def _without_names(kind: Any, path: Path, owners: tuple[Any, ...], inside: str) -> Iterator[_Marked]:
    for each in _marked(kind, (*path, EACH), owners):
        yield evolve(each, inside=inside)


def _one(kind: Any, metadata: tuple[Any, ...], path: Path, owners: tuple[Any, ...]) -> Iterator[_Marked]:
    marks = [each for each in metadata if isinstance(each, Audit)]
    if marks:
        yield _Marked(path, marks[-1], owners)
    if Audit.omitted not in marks[-1:]:
        yield from (each for each in _marked(kind, path, owners) if not marks or each.mark in (Audit.omitted, _AGAIN))


def _stands_for(annotation: Any) -> Any:
    """What a name for a type stands for (``type Contact = …``, a `NewType`); None where it's no such name."""
    if isinstance(annotation, typing.NewType):
        return cast("Any", annotation).__supertype__
    origin = typing.get_origin(annotation)
    named = annotation if origin is None else origin
    if not (hasattr(named, "__value__") and hasattr(named, "__type_params__")):
        return None
    value = _resolved(named.__value__, vars(sys.modules.get(named.__module__, typing)))
    if origin is None or not getattr(value, "__parameters__", ()):
        return typing.get_args(annotation)[0] if isinstance(value, typing.TypeVar) and origin is not None else value
    return value[typing.get_args(annotation)]


def _has_fields(owner: type[Any]) -> bool:
    return issubclass(owner, BaseModel) or dataclasses.is_dataclass(owner) or _is_named(owner)


def _is_named(owner: type[Any]) -> bool:
    return hasattr(owner, "__required_keys__") or _is_named_tuple(owner)


def _is_named_tuple(owner: type[Any]) -> bool:
    return issubclass(owner, tuple) and any("_fields" in vars(each) for each in owner.__mro__)


def _fields(owner: type[Any]) -> Iterator[tuple[tuple[str, ...], Any, tuple[Any, ...]]]:
    """Of a model, a dataclass or a typed dictionary: the names that its JSON may have, type and metadata of each field. The
    one field of a root model has no name there.
    """
    if issubclass(owner, RootModel):
        field = owner.model_fields["root"]
        yield ("",), field.annotation, tuple(field.metadata)
        return
    own = owner.model_fields if issubclass(owner, BaseModel) else owner.__dict__.get("__pydantic_fields__")
    if own is not None:
        for name, field in own.items():
            yield _names(name, field), field.annotation, tuple(field.metadata)
        for name, computed in owner.__pydantic_decorators__.computed_fields.items():
            made, kind = computed.info.wrapped_property, computed.info.return_type
            yield _names(name, computed.info), _hint(getattr(made, "fget", None) or made.func, "return"), ()
            yield _names(name, computed.info), kind, ()
    elif dataclasses.is_dataclass(owner) or (_is_named(owner) and not _is_named_tuple(owner)):
        for name, hint in _hints(owner).items():
            told = [each for each in _metadata(hint) if isinstance(each, FieldInfo)]
            default = getattr(getattr(owner, "__dataclass_fields__", {}).get(name), "default", None)
            told += [default] if isinstance(default, FieldInfo) else []
            yield tuple(dict.fromkeys(each for field in (None, *told) for each in _names(name, field))), hint, ()


def _nameless(owner: type[Any]) -> Iterator[tuple[str, Any]]:
    """What of it has no name in its type that could be looked for in its JSON."""
    if _is_named_tuple(owner):
        yield from (("a named tuple", each) for each in _hints(owner).values())
    elif issubclass(owner, BaseModel):
        for each in owner.__mro__[: owner.__mro__.index(BaseModel)]:
            yield "a model's further fields", _hint(each, "__pydantic_extra__")


def _hints(owner: type[Any]) -> dict[str, Any]:
    """The types of its fields, as far as they can be resolved."""
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except NameError:
        if dataclasses.is_dataclass(owner):  # its bases' are elsewhere
            raise
        return {name: _hint(owner, name) for name in inspect.get_annotations(owner)}


def _hint(annotated: Any, name: str) -> Any:
    """What stands there as a type; None where nothing does. What can't be resolved is looked at as the text that it is."""
    told = inspect.get_annotations(annotated).get(name)
    told = told.__forward_arg__ if isinstance(told, typing.ForwardRef) else told
    return _resolved(told, vars(sys.modules.get(annotated.__module__, typing)))


def _resolved(told: Any, names: Mapping[str, Any]) -> Any:
    """A type, where it may be written as text. Text that can't be resolved is looked at as that."""
    try:
        return typing.get_type_hints(SimpleNamespace(__annotations__={"it": told}), dict(names), include_extras=True)[
            "it"
        ]
    except Exception:  # names of a place that nobody can look into
        return typing.Annotated[Any, Audit.omitted] if Audit.omitted.name in str(told) else Any


def _names(name: str, field: Any) -> tuple[str, ...]:
    """Those that a field may have in JSON."""
    aliases = (getattr(field, "alias", None), getattr(field, "serialization_alias", None))
    return tuple(dict.fromkeys(each for each in (name, *aliases) if each))


def _metadata(hint: Any) -> tuple[Any, ...]:
    while getattr(typing.get_origin(hint), "_name", None) in _QUALIFIERS:
        hint = typing.get_args(hint)[0]
    return tuple(hint.__metadata__) if typing.get_origin(hint) is typing.Annotated else ()


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
