"""A capability made ready: its types compiled, its JSON schema made once, its rules as functions that the call uses.

snapshot        the application's request, validated and detached from what anybody may still change
read_answer     a model's answer text → a value of the response type
check_value     a fallback's value, held to the response type too
render          the prompt for a request
"""

from __future__ import annotations

import copy
import inspect
import json
import types
import typing
from collections.abc import Callable
from typing import Any, Generic, LiteralString, TypeVar, Union, get_args, get_origin

from attrs import define, field
from pydantic import BaseModel, ConfigDict, PydanticUserError, RootModel, TypeAdapter, ValidationError, create_model
from pydantic_core import PydanticCustomError, to_json

from failsoft.audit import plan_of
from failsoft.capability import (
    Capability,
    FunctionCapability,
    check_review,
    check_told,
    default_prompt,
    types_of,
    version_of,
)
from failsoft.core.answerable import is_object, property_names, runs_before, unanswerable
from failsoft.core.effects import AnswerSchema
from failsoft.core.finite import BY_ITSELF, Place, lost_number
from failsoft.core.frozen import deeply_frozen, is_flat, is_frozen
from failsoft.core.keys import check_keys, has_free_keys
from failsoft.core.marked import marks_of
from failsoft.core.renewed import has_inner_fields, hold_again
from failsoft.outcome import Referral
from failsoft.prompt import Prompt, Sampling

Q = TypeVar("Q")
R = TypeVar("R")


@define(eq=False)
class Snapshot(Generic[Q]):
    """A validated request that nothing can change any more.

    Args:
        request: the request.
        text: its JSON bytes: the evidence of what was asked.
        frozen: it can't change, so everybody gets the same one.
    """

    request: Q
    text: bytes = field(repr=False)
    frozen: bool

    def lend(self) -> Q:
        """The request for code that may change it: itself where it can't change, else a copy for each borrower."""
        return self.request if self.frozen else copy.deepcopy(self.request)


class Contract(Generic[Q, R]):
    """One capability, ready to be called.

    Args:
        capability: the instance.
        fallback: another deterministic implementation than its own, wired by configuration.

    Raises:
        TypeError: a type can't be turned into a schema, the response type leaves nothing for a model to answer, or an
            instance's own `review`, `version` or `sampling` is none.
    """

    def __init__(self, capability: Capability[Q, R], fallback: Callable[[Q], R] | None = None) -> None:
        self.capability = capability
        self.name = capability.name
        self.version = version_of(capability)
        self.sampling: Sampling = capability.sampling
        self.repair, self.idempotent = capability.repair, capability.idempotent
        self.review = capability.review
        check_review(self.name, self.review)  # an instance may have its own
        check_told(self.name, self.version, self.sampling)
        self.request_type, self.response_type = types_of(capability)
        self.fallback: Callable[[Q], R] = fallback or capability.fallback
        self.fallback_name = import_path(fallback or capability)
        asks = type(capability).prompt is not Capability[Any, Any].prompt
        self.prompt: Callable[[Q], Prompt] | None = capability.prompt if asks else None
        overridden = type(capability).accept is not Capability[Any, Any].accept
        self.accept: Callable[[Q, R], None] | None = capability.accept if overridden else None
        self._request: TypeAdapter[Q] = _adapter(self.request_type, f"{self.name}: request type")
        self._response: TypeAdapter[R] = _adapter(self.response_type, f"{self.name}: response type")
        self.audit = plan_of(
            marks_of(self.request_type, self._request, f"{self.name}: request type"),
            marks_of(self.response_type, self._response, f"{self.name}: response type"),
        )
        self._free_keys = has_free_keys(self._request.core_schema), has_free_keys(self._response.core_schema)
        self._by_type = not (_is_model(self.request_type) or has_inner_fields(self._request.core_schema))
        self._by_type |= bool(self.audit is not None and self.audit.request.omitted)
        self._frozen = deeply_frozen(self.request_type)
        self._flat = is_flat(self.request_type)
        self.may_refer, answer_type = _without_referral(self.response_type)
        if answer_type is None:
            raise TypeError(f"{self.name}: its response type is only Referral: there is nothing for a model to answer")
        answer = _adapter(answer_type, f"{self.name}: response type")
        schema = _schema(answer, f"{self.name}: response type {_name(answer_type)}")
        if unanswerable(answer.core_schema):
            raise TypeError(
                f"{self.name}: response type {_name(answer_type)} takes nothing that its JSON schema allows"
            )
        self._wrapped = not is_object(schema)
        if self._wrapped:
            wrapper: Any = create_model("Answer", __config__=ConfigDict(extra="forbid"), value=(answer_type, ...))
            answer = TypeAdapter(wrapper)
            schema = answer.json_schema()
        self._answer = answer.validator
        self._strict = not runs_before(answer.core_schema)
        self.field_names = frozenset(property_names(schema))
        """Every name that its schema knows: what may be said of where an answer doesn't fit."""
        self.answer_frozen = deeply_frozen(answer_type)
        """Can an answer never change? Another is copied for `accept`, which only judges."""
        self.answer = AnswerSchema(self.name, schema, self._wrapped)

    def schema_json(self) -> bytes:
        """The JSON schema of what a model may answer, as it's put on record: keys in order."""
        return json.dumps(self.answer.schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def snapshot(self, request: Q) -> Snapshot[Q]:
        """The request, validated and detached.

        One that's frozen all the way down is used as it is. Any other is copied, and its models and dataclasses are held
        to their classes once more, since they may have been changed after they were made; what's asked is the copy, not
        what validators would make of it the second time.

        Raises:
            pydantic.ValidationError: the request is invalid, can't be copied, or can't be written as JSON, or two keys of a
                table are written alike. A number that isn't finite can be only where it's written as text that its type
                reads as that number: in a field of numbers of what's no model, of a model with
                ``ser_json_inf_nan = "strings"``, or where a field is omitted.
        """
        if self._frozen and type(request) is self.request_type and (self._flat or is_frozen(request)):
            try:
                text = to_json(request, inf_nan_mode="strings")
            except ValueError as error:
                raise _not_json(request, error) from None
            if b"null" in text or b"NaN" in text or b"Infinity" in text:
                self._check_finite(text, request)
            return Snapshot(request, text, True)
        try:
            own = copy.deepcopy(request)
            valid = self._request.validate_python(own)
            hold_again(own)
        except ValidationError:
            raise
        except Exception as error:
            raise _invalid(request, "not_detached", "can't be copied and validated anew", error) from error
        try:
            text = self._evidence(valid)
        except Exception as error:  # the user's own code writes some of it
            raise _not_json(request, error) from None
        if b"null" in text or b"NaN" in text or b"Infinity" in text:
            self._check_finite(text, valid)
        if self._free_keys[0] or self._fields_of(valid) is not None:
            whole = self._request.dump_json(valid, by_alias=True, warnings=False) if self._by_type else text
            check_keys(type(request).__name__, whole, valid, self._request.validate_json)
        return Snapshot(valid, text, False)

    def _check_finite(self, text: bytes, request: Q) -> None:
        place = lost_number(
            text,
            request,
            self._request.serializer if self._by_type else BY_ITSELF,
            self._request.validate_json,
            self._request.core_schema,
            by_alias=True,
            include=None if self._by_type else self._fields_of(request),
        )
        if place is not None:
            raise _not_finite(type(request).__name__, place)

    def _fields_of(self, request: Q) -> set[str] | None:
        """What the capability declares of an instance of a subclass; None where all of it's told."""
        return _declared(self.request_type) if type(request) is not self.request_type else None

    def _evidence(self, request: Q) -> bytes:
        """A request's JSON bytes: of a subclass's instance only what the capability declares. Where that omits anything
        it's so at any depth: what only a subclass has may be marked there. What's no model doesn't know by itself how
        its type has it written.
        """
        if self._by_type:
            declared = self._request.dump_python(request, mode="json", by_alias=True, warnings=False)
            return to_json(declared, inf_nan_mode="strings")
        return to_json(request, include=self._fields_of(request), inf_nan_mode="strings")

    def parse_request(self, text: str | bytes) -> Q:
        """A request from its JSON text.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        return self._request.validate_json(text)

    def render(self, snapshot: Snapshot[Q]) -> Prompt:
        """What a model is asked about this request: by the capability's own ``prompt()``, or the default.

        Raises:
            Exception: what ``prompt()`` raises; a ValueError says that this request can't be put to a model.
            TypeError: it returned something else than a `Prompt`.
        """
        if self.prompt is None:
            return default_prompt(self.capability, snapshot.text)
        prompt: object = self.prompt(snapshot.lend())
        if not isinstance(prompt, Prompt):
            raise TypeError(f"prompt() returned {type(prompt).__name__}, not Prompt")
        return prompt

    def read_answer(self, answer: bytes, request: Q) -> R:
        """A model's answer as a value of the response type; validators get the request as validation context.

        Held to what the schema said: ``"3"`` is no integer, ``1`` no boolean (pydantic's strict mode for JSON). Not where a
        validator of the type's runs *before* or around another: it hands on a Python value, and of such a one strict mode
        takes no text for a date.

        Args:
            answer: strictly valid JSON text.
            request: as `Snapshot.lend` gives it.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        read: Any = self._answer.validate_json(answer, strict=self._strict, context=request)
        value: R = read.value if self._wrapped else read
        return value

    def check_value(self, value: object, request: Q | None) -> R:
        """A fallback's value, held to the response type; validators get the request as validation context here too.

        Its models and dataclasses are held to their classes once more, as a request's are, unless they're frozen all the
        way down.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        valid = self._response.validate_python(value, context=request)
        if not (isinstance(value, BaseModel) and is_frozen(value)):
            hold_again(value, request, in_doubt=True)  # one that always worked mustn't fail for its type's manners
        return valid

    def answer_by_fallback(self, snapshot: Snapshot[Q]) -> R:
        """What the fallback says to this request, held to the response type.

        Raises:
            Exception: what the fallback raises.
            pydantic.ValidationError: its value doesn't fit.
        """
        return self.check_value(self.fallback(snapshot.lend()), snapshot.lend())

    def parse_value(self, text: str | bytes, request: Q | None) -> R:
        """A value of the response type from its JSON text, as a person writes it; otherwise as `check_value`.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        return self._response.validate_json(text, context=request)

    def read_written(self, text: str | bytes, request: Q | None) -> R:
        """A value of the response type from its JSON text, as `dump_response` writes it; otherwise as `check_value`.

        Raises:
            pydantic.ValidationError: it doesn't fit.
        """
        return self._response.validate_json(text, context=request, by_alias=True, by_name=True)

    def dump_response(self, value: R) -> bytes:
        """An accepted value's JSON bytes, for the record.

        Raises:
            pydantic.ValidationError: a number in it isn't finite, or two keys of a table are written alike, and these bytes
                would say another thing.
            Exception: what a serializer of the user's own raises.
        """
        text = self._response.dump_json(value, warnings=False)
        if b"null" in text or b"NaN" in text or b"Infinity" in text:
            response = self._response
            place = lost_number(text, value, response.serializer, response.validate_json, response.core_schema)
            if place is not None:
                raise _not_finite(_name(self.response_type), place)
        if self._free_keys[1]:
            check_keys(_name(self.response_type), text, value, self._response.validate_json)
        return text


def import_path(target: object) -> str:
    """``module:qualified.name`` of a function, a class or an instance's class."""
    body: Any = typing.cast("Any", target)._body if isinstance(target, FunctionCapability) else target
    named: Any = body if hasattr(body, "__qualname__") else body.__class__
    return f"{named.__module__}:{named.__qualname__}"


def fallback_problem(target: Any, request_type: Any, response_type: Any) -> str | None:
    """Why `target` can't be wired as a fallback; None if it can.

    It must take exactly the request, must not wait, and its annotations (where it has them) must fit.
    """
    if not callable(target):
        return "is not callable: a fallback is a function `(request) -> response`, or a class whose instance is one"
    call: Any = target if inspect.isroutine(target) else type(target).__call__
    if inspect.iscoroutinefunction(call) or inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        return "must be a plain `def`: a fallback may not wait"
    try:
        signature = inspect.signature(target)
    except ValueError:
        return "has no signature that can be read: wire a function written in Python"
    try:
        signature.bind(object())
    except TypeError:
        return f"must take exactly one argument, the request, not {signature}"
    try:
        hints = typing.get_type_hints(call, include_extras=True)
    except Exception as error:  # a quoted annotation is code: it may raise anything
        return f"has an annotation that can't be resolved: {error}"
    parameter = next(iter(signature.parameters))
    if parameter in hints and not _fits(request_type, hints[parameter]):
        return f"takes {_name(hints[parameter])}, but the capability's request is {_name(request_type)}"
    if "return" in hints and not _fits(hints["return"], response_type):
        return f"returns {_name(hints['return'])}, but the capability's response is {_name(response_type)}"
    return None


def _fits(given: Any, wanted: Any) -> bool:
    if given == wanted or Any in (given, wanted) or wanted is object:
        return True
    if get_origin(given) is typing.Annotated or get_origin(wanted) is typing.Annotated:
        return _fits(_bare(given), _bare(wanted))
    if isinstance(given, type) and isinstance(wanted, type):
        return issubclass(given, wanted)
    offered, members = _members(given), _members(wanted)
    return (len(offered) > 1 or len(members) > 1) and all(any(_fits(each, one) for one in members) for each in offered)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is typing.Annotated else annotation


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _adapter(annotation: Any, what: str) -> TypeAdapter[Any]:
    try:
        adapter = TypeAdapter(annotation)
        if not adapter.pydantic_complete:  # something that it refers to wasn't defined when its class was
            adapter.rebuild()
        return adapter
    except Exception as error:  # pydantic raises several kinds; each means the same to the reader
        raise TypeError(f"{what} {_name(annotation)} can't be validated: {error}") from error


def _schema(answer: TypeAdapter[Any], what: str) -> dict[str, Any]:
    try:
        return answer.json_schema()
    except PydanticUserError as error:
        raise TypeError(f"{what} has no JSON schema, so no model can be asked for it: {error}") from error


def _without_referral(annotation: Any) -> tuple[bool, Any]:
    """Does the type allow a Referral, and what is left without it (None: nothing)?"""
    members = _members(_bare(annotation))
    rest = tuple(each for each in members if not _is_referral(each))
    if len(rest) == len(members):
        return False, annotation
    if not rest:
        return True, None
    left: Any = Union[rest]  # noqa: UP007 - built from a tuple
    told = getattr(annotation, "__metadata__", ()) if len(rest) > 1 else ()  # a discriminator of one is an error
    return True, typing.Annotated[(left, *told)] if told else left


def _is_referral(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Referral)


def _declared(annotation: Any) -> set[str] | None:
    """The names of a model's fields; None for any other type."""
    return set(annotation.model_fields) if _is_model(annotation) and not issubclass(annotation, RootModel) else None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _not_json(request: Any, error: Exception) -> ValidationError:
    return _invalid(request, "not_json", "can't be written as JSON", error)


def _not_finite(title: str, place: Place) -> ValidationError:
    problem = PydanticCustomError("not_finite", "isn't finite, and JSON has no word for it")
    return ValidationError.from_exception_data(title, [{"type": problem, "loc": place, "input": None}])


def _invalid(request: Any, kind: LiteralString, sentence: LiteralString, error: Exception) -> ValidationError:
    told = f"{type(error).__name__}: {error}"
    problem = PydanticCustomError(kind, sentence + ": {reason}", {"reason": told})
    return ValidationError.from_exception_data(type(request).__name__, [{"type": problem, "input": None}])
