"""A capability made ready: its types compiled, its JSON schema made once, its rules as functions that the call uses.

snapshot        the application's request, validated and detached from what the caller may still change
read_answer     a model's answer text → a value of the response type
check_value     a fallback's value, held to the response type too
"""

from __future__ import annotations

import copy
import enum
import inspect
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model
from pydantic_core import to_json

from failsoft.capability import Capability, types_of, version_of
from failsoft.core.effects import AnswerSchema
from failsoft.outcome import Referral
from failsoft.prompt import Prompt, Sampling

Q = TypeVar("Q")
R = TypeVar("R")

_IMMUTABLE = (str, bytes, int, float, complex, bool, type(None), Decimal, date, datetime, time, timedelta, UUID)


class Contract(Generic[Q, R]):
    """One capability, ready to be called.

    Args:
        capability: the instance.
        fallback: another deterministic implementation than its own, wired by configuration.

    Raises:
        TypeError: a type can't be turned into a schema, or the response type leaves nothing for a model to answer.
    """

    def __init__(self, capability: Capability[Q, R], fallback: Callable[[Q], R] | None = None) -> None:
        self.capability = capability
        self.name = capability.name
        self.version = version_of(capability)
        self.sampling: Sampling = capability.sampling
        self.request_type, self.response_type = types_of(capability)
        self.fallback: Callable[[Q], R] = fallback or capability.fallback
        self.fallback_name = import_path(fallback or capability)
        self.prompt: Callable[[Q], Prompt] = capability.prompt
        overridden = type(capability).accept is not Capability.accept
        self.accept: Callable[[Q, R], None] | None = capability.accept if overridden else None
        self._request: TypeAdapter[Q] = _adapter(self.request_type, f"{self.name}: request type")
        self._response: TypeAdapter[R] = _adapter(self.response_type, f"{self.name}: response type")
        self._frozen = deeply_frozen(self.request_type)
        self.may_refer, answer_type = _without_referral(self.response_type)
        if answer_type is None:
            raise TypeError(f"{self.name}: its response type is only Referral: there is nothing for a model to answer")
        answer = _adapter(answer_type, f"{self.name}: response type")
        schema = answer.json_schema()
        self._wrapped = not _is_object(schema)
        if self._wrapped:
            wrapper: Any = create_model("Answer", __config__=ConfigDict(extra="forbid"), value=(answer_type, ...))
            answer = TypeAdapter(wrapper)
            schema = answer.json_schema()
        self._answer = answer.validator
        self.answer = AnswerSchema(self.name, schema, self._wrapped)

    def snapshot(self, request: Q) -> tuple[Q, bytes]:
        """The request, validated and detached, and its JSON bytes: the evidence of what was asked.

        A request that's frozen all the way down is used as it is; any other is copied and validated anew, so that
        nothing the caller does later changes what is asked.

        Raises:
            pydantic.ValidationError: the request is invalid.
        """
        if self._frozen and type(request) is self.request_type:
            return request, to_json(request, inf_nan_mode="strings")
        if isinstance(request, BaseModel):
            detached = request.model_dump(round_trip=True, warnings=False)
            model = type(request) if isinstance(self.request_type, type) else None
            valid: Q = (
                typing.cast("Q", model.model_validate(detached, by_name=True, by_alias=False))
                if model is not None and issubclass(model, self.request_type)
                else self._request.validate_python(copy.deepcopy(request))
            )
        else:
            valid = self._request.validate_python(copy.deepcopy(request))
        return valid, to_json(valid, inf_nan_mode="strings")

    def parse_request(self, text: str | bytes) -> Q:
        """A request from its JSON text.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        return self._request.validate_json(text)

    def read_answer(self, answer: bytes, request: Q) -> R:
        """A model's answer as a value of the response type; validators get the request as validation context.

        Args:
            answer: strictly valid JSON text.
            request: the snapshot.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        value: Any = self._answer.validate_json(answer, context=request)
        return typing.cast("R", value.value if self._wrapped else value)

    def check_value(self, value: object) -> R:
        """A fallback's value, held to the response type.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        return self._response.validate_python(value)

    def dump_response(self, value: R) -> bytes:
        """An accepted value's JSON bytes, for the record."""
        return self._response.dump_json(value, warnings=False)


def import_path(target: object) -> str:
    """``module:qualified.name`` of a function, a class or an instance's class."""
    named = target if hasattr(target, "__qualname__") else type(target)
    body = getattr(target, "_body", None)
    if body is not None:
        named = body
    return f"{named.__module__}:{named.__qualname__}"


def deeply_frozen(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Can a value of this type never change? Only types known to be immutable count; in doubt the answer is no."""
    if annotation in seen:
        return True  # a recursive model: decided by its other fields
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType, tuple, frozenset):
        return all(each is Ellipsis or deeply_frozen(each, seen) for each in get_args(annotation))
    if origin is typing.Annotated:
        return deeply_frozen(get_args(annotation)[0], seen)
    if origin is Literal:
        return True
    if not isinstance(annotation, type):
        return False
    if issubclass(annotation, BaseModel):
        config = annotation.model_config
        if not config.get("frozen") or config.get("extra") == "allow" or annotation.__private_attributes__:
            return False
        inner = seen | {annotation}
        return all(deeply_frozen(field.annotation, inner) for field in annotation.model_fields.values())
    return annotation in _IMMUTABLE or issubclass(annotation, (enum.Enum, PurePath))


def fallback_problem(target: Any, request_type: Any, response_type: Any) -> str | None:
    """Why `target` can't be wired as a fallback; None if it can.

    It must take exactly the request, must not wait, and its annotations (where it has them) must fit.
    """
    if not callable(target):
        return "is not callable: a fallback is a function `(request) -> response`, or a class whose instance is one"
    call: Any = target if inspect.isfunction(target) else type(target).__call__
    if inspect.iscoroutinefunction(call) or inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        return "must be a plain `def`: a fallback may not wait"
    try:
        inspect.signature(target).bind(object())
    except TypeError:
        return f"must take exactly one argument, the request, not {inspect.signature(target)}"
    try:
        hints = typing.get_type_hints(call)
    except NameError as error:
        return f"has an annotation that can't be resolved: {error}"
    parameter = next(iter(inspect.signature(target).parameters))
    if parameter in hints and not _fits(request_type, hints[parameter]):
        return f"takes {_name(hints[parameter])}, but the capability's request is {_name(request_type)}"
    if "return" in hints and not _fits(hints["return"], response_type):
        return f"returns {_name(hints['return'])}, but the capability's response is {_name(response_type)}"
    return None


def _fits(given: Any, wanted: Any) -> bool:
    if given == wanted or Any in (given, wanted) or wanted is object:
        return True
    if isinstance(given, type) and isinstance(wanted, type):
        return issubclass(given, wanted)
    members = _members(wanted)
    return (
        all(any(_fits(each, one) for one in members) for each in _members(given))
        if (len(members) > 1 or len(_members(given)) > 1)
        else False
    )


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _adapter(annotation: Any, what: str) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation)
    except Exception as error:  # pydantic raises several kinds; each means the same to the reader
        raise TypeError(f"{what} {_name(annotation)} can't be validated: {error}") from error


def _without_referral(annotation: Any) -> tuple[bool, Any]:
    """Does the type allow a Referral, and what is left without it (None: nothing)?"""
    members = _members(annotation)
    rest = tuple(each for each in members if each is not Referral)
    if len(rest) == len(members):
        return False, annotation
    return True, Union[rest] if rest else None  # noqa: UP007 - built from a tuple


def _is_object(schema: dict[str, Any]) -> bool:
    target = schema
    if "$ref" in schema:
        target = schema.get("$defs", {}).get(schema["$ref"].rsplit("/", 1)[-1], {})
    return target.get("type") == "object" and "properties" in target
