"""The user's own function as an adapter: an existing SDK or framework call, under the same rules as any provider.

The function is handed the `Ask` (typed request, prompt, answer schema, sampling, pin) and returns whatever its SDK returns.
Two extractors read that: `text` gives the answer's JSON text, `served` the name of the model that answered. Without `text`
a string or bytes is taken as the JSON text, and any other value as the answer itself. Without `served` nothing is known
about who answered: **the pin isn't checked**.

A value that's the answer itself travels as JSON like any other, and must arrive as what it is: models in it are read
back by their own type. What comes back as another value (a secret is written as asterisks, an excluded field not at
all) can't be carried: that's a bug told aloud, never a wrong answer.

What `served` gives is a name, or None where this one result names nobody; anything else is a bug in it.

What an extractor raises isn't caught here: it's a bug in the application's own code, which asking (and paying) again won't
mend. A result that can't be an answer at all is one too.

What the function raises is the provider's fault, classified by the ``status_code`` (or ``response.status_code``) that SDK
exceptions carry, else by being an `OSError` or a time-out, else as ``adapter_raised``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic_core import to_json

from failsoft.adapters.status import fault_of_status
from failsoft.adapters.strict_json import StrictJsonError, loads
from failsoft.core.effects import AnswerSchema, Ask, Reply, Unusable
from failsoft.core.finite import BY_ITSELF, lost_number
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Grade, Served

_SLIPS = (NameError, TypeError, AttributeError, ImportError, SyntaxError, NotImplementedError)
"""What says that the function itself is wrong, rather than its provider: a failure like any other, but told aloud."""


class FunctionCodec:
    """A function, and how its result is read.

    Attributes:
        states_served: can its results say which model answered? If not, its pin isn't checked.
        grade: how far that can be believed.

    Args:
        function: synchronous or not; takes the `Ask`.
        text: from what it returned to the answer's JSON text.
        served: from what it returned to the name of the model that answered.
        grade: how far that name can be believed.
    """

    provider = "callable"
    version = "1"
    endpoint: str | None = None

    def __init__(
        self,
        function: Callable[[Ask], Any],
        *,
        text: Callable[[Any], str | bytes | None] | None = None,
        served: Callable[[Any], str | None] | None = None,
        grade: Grade = Grade.UNKNOWN,
    ) -> None:
        self.function = function
        self.states_served = served is not None
        self._text = text
        self._served = served
        self.grade = grade

    def read(self, result: object, ask: Ask) -> Reply | Unusable:
        """What the function returned, as an answer or as a fault. Raises what an extractor raises."""
        model: object = None if self._served is None else self._served(result)
        if model is not None and not (
            isinstance(model, str) and model
        ):  # taken for None it would pass the pin unchecked
            kind = "an empty text" if model == "" else type(model).__name__
            return Unusable(Fault(FaultKind.BUG, f"`served` gave {kind}: it's the name of the model, or None"))
        served = Served() if model is None else Served(model, self.grade)
        text = result if self._text is None else self._text(result)
        null = text is None and self._text is None and _takes_null(ask.answer)
        try:
            answer = b'{"value":null}' if null else _json_text(text, wrapped=ask.answer.wrapped)
        except StrictJsonError as error:
            return Unusable(Fault(FaultKind.MALFORMED_ANSWER, str(error)), served)
        except (ValueError, RecursionError):  # unserialisable, circular, or nested without end
            problem = f"{type(text).__name__} is no JSON value: `text` must get the answer out of it"
            return Unusable(Fault(FaultKind.BUG, problem), served)
        except _NotCarried as error:
            return Unusable(Fault(FaultKind.BUG, str(error)), served)
        if not answer:
            return Unusable(Fault(FaultKind.EMPTY_REPLY, "the function returned no text"), served)
        try:
            loads(answer)
        except StrictJsonError as error:
            return Unusable(Fault(FaultKind.MALFORMED_ANSWER, str(error)), served)
        return Reply(answer, served)

    def classify(self, error: Exception) -> Unusable:
        """What the function raised, as a fault: by status, by kind of exception, never by its text."""
        status = getattr(error, "status_code", None)
        if status is None:
            status = getattr(getattr(error, "response", None), "status_code", None)
        name = type(error).__name__
        if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599:
            return Unusable(fault_of_status(status, name))
        if isinstance(error, TimeoutError) or "Timeout" in name:
            return Unusable(Fault(FaultKind.ATTEMPT_TIMEOUT, name))
        if isinstance(error, ConnectionRefusedError):
            return Unusable(Fault(FaultKind.CONNECT_REFUSED, name))
        if isinstance(error, OSError):
            return Unusable(Fault(FaultKind.CONNECTION_LOST, name))
        return Unusable(Fault(FaultKind.ADAPTER_RAISED, name, error=name if isinstance(error, _SLIPS) else None))


def _json_text(text: object, *, wrapped: bool) -> bytes:
    if text is None:
        return b""
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")  # half a character is told by the strict reader
    if isinstance(text, bytes):
        return text
    whole = {"value": text} if wrapped else text
    _check_finite(whole)
    for by_alias in (True, False):  # fields may be written under other names than they're read by
        try:
            _check_carried(text, by_alias)
        except ValidationError:
            continue
        return to_json(whole, inf_nan_mode="constants", round_trip=True, by_alias=by_alias)
    return to_json(whole, inf_nan_mode="constants", round_trip=True)  # whoever reads it says what doesn't fit


def _check_finite(value: object) -> None:
    """A number in a model that isn't finite is written as null.

    Raises:
        StrictJsonError: there is one.
    """
    text = to_json(value, inf_nan_mode="constants", round_trip=True)
    if b"null" in text and lost_number(text, value, BY_ITSELF, None, round_trip=True) is not None:
        raise StrictJsonError("NaN or Infinity")


class _NotCarried(Exception):
    """A value that JSON doesn't bring back."""

    def __init__(self, value: object) -> None:
        super().__init__(f"{type(value).__name__} isn't the same after it was JSON: `text` must write it")


def _check_carried(value: object, by_alias: bool) -> None:
    """Do the models in a value come back as they are?

    Raises:
        _NotCarried: one comes back as another value.
        ValidationError: one doesn't come back at all.
    """
    if isinstance(value, Mapping):
        value = tuple(cast("Mapping[object, object]", value).values())
    if isinstance(value, (list, tuple, set, frozenset)):
        for each in cast("Collection[object]", value):
            _check_carried(each, by_alias)
    elif isinstance(value, (SecretStr, SecretBytes, Secret)):
        raise _NotCarried(cast("object", value))
    elif isinstance(value, BaseModel):
        written = to_json(value, inf_nan_mode="constants", round_trip=True, by_alias=by_alias)
        back = type(value).__pydantic_validator__.validate_json(written)
        if back != value and any(getattr(back, name) != getattr(value, name) for name in type(value).model_fields):
            raise _NotCarried(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            _check_carried(getattr(value, field.name), by_alias)


def _takes_null(answer: AnswerSchema) -> bool:
    """Is null an answer, rather than none?"""
    value: dict[str, Any] = answer.schema.get("properties", {}).get("value", {}) if answer.wrapped else {}
    forms: list[dict[str, Any]] = [value, *value.get("anyOf", ())]
    return any(each.get("type") == "null" for each in forms)


def hidden_retries(function: Callable[..., Any]) -> int:
    """How often a client that the function uses would retry by itself, where that can be seen: 0 if it can't.

    Looks at a callable object or a bound method's, at its ``_client`` and ``client``, and at what a function's closure and
    globals name.
    The OpenAI and Anthropic SDKs retry twice unless told not to, under their own time-outs.
    """
    bound = inspect.unwrap(function)
    plain = getattr(bound, "__func__", bound)
    seen: list[object] = [bound, getattr(bound, "__self__", None)]
    if inspect.isfunction(plain):
        with contextlib.suppress(ValueError):  # a variable of the enclosing function that has no value yet
            variables = inspect.getclosurevars(plain)
            seen += [*variables.nonlocals.values(), *variables.globals.values()]
    most = 0
    for each in seen:
        for holder in (each, _attribute(each, "_client"), _attribute(each, "client")):
            retries = _attribute(holder, "max_retries")
            if isinstance(retries, int) and not isinstance(retries, bool):
                most = max(most, retries)
    return most


def _attribute(holder: object, name: str) -> object:
    """An instance attribute, read without running any of the user's properties."""
    return getattr(holder, "__dict__", {}).get(name)
