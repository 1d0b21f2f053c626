"""A capability: one thing the application asks of AI, and the deterministic fallback that answers when AI doesn't.

    class ClassifyItem(Capability[Item, SupplyClass]):
        '''Which Federal Supply Class does this item belong to?'''

        def fallback(self, request: Item) -> SupplyClass:
            return keyword_table(request)

What must be declared is checked when the class is created: a concrete capability without a fallback is a TypeError
that says what to write, so a program that can't answer by itself doesn't start.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, cast, get_args, get_origin, overload

from pydantic_core import to_json

from failsoft.context import identifier
from failsoft.prompt import Message, Prompt, Sampling
from failsoft.review import Required

Q = TypeVar("Q")
R = TypeVar("R")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_NAME = 64


def _resolve_types(cls: type[Capability[Any, Any]]) -> tuple[Any, Any]:
    """Request and response type of `cls`, type variables of its generic bases substituted."""
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin: Any = get_origin(base) or base
        if not (isinstance(origin, type) and issubclass(origin, Capability)):
            continue
        parameters: tuple[Any, ...] = getattr(cast("Any", origin), "__parameters__", ())
        given = dict(zip(parameters, get_args(base), strict=False))
        request, response = origin._types
        return _substitute(request, given), _substitute(response, given)
    raise AssertionError(cls)  # a subclass has Capability among its bases


def _substitute(annotation: Any, given: dict[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return given.get(annotation, annotation)
    free: tuple[Any, ...] = getattr(annotation, "__parameters__", ())
    return annotation[tuple(given.get(each, each) for each in free)] if free else annotation


class Capability(Generic[Q, R]):
    """What a subclass declares: request and response type, a fallback; optionally a prompt and an acceptance rule.

    Class attributes:
        name: kebab-case of the class's name unless set; unique within an isolation, at most 64 characters.
        version: an optional label, kept in records and in the lock.
        sampling: how a model should sample its answer.
        repair: True: a model whose answer doesn't fit the response type, or isn't acceptable, is shown what's wrong and
            asked once more, within the same deadline. What it's shown is put on record.
        idempotent: True: asking two providers the same question at once does no harm but cost; ``hedge_after`` needs it.
        artefacts: files that the fallback, the prompt or the acceptance rule reads, relative to the folder of the class's
            module and inside it, ``*`` allowed: the lock holds their digests.
        golden: requests whose answers by the fallback stand in the lock, so that a change of behaviour is seen.
        review: `Required(...)`: a person looks at its answers, at all or at some (`failsoft.review`). None: nobody has to.

    Class arguments:
        abstract: ``class Team(Capability[Item, R], Generic[R], abstract=True)`` marks an intermediate class: nothing is
            demanded of it.

    Raises:
        TypeError: when a concrete subclass is created without a fallback, with an asynchronous one, with one that
            doesn't take exactly the request, without type parameters, with a `repair` or `idempotent` that is no bool,
            with `artefacts` that are no tuple of texts, `golden` that is no tuple, a `review` that is no `Required`, a
            `sampling` that is no `Sampling`, or a `version` that's no text of 1-128 bytes without control characters.
    """

    name: str = ""
    version: ClassVar[str | None] = None
    sampling: ClassVar[Sampling] = Sampling()
    repair: bool = False
    idempotent: bool = False
    artefacts: tuple[str, ...] = ()
    golden: tuple[Any, ...] = ()
    review: Required | None = None

    _types: ClassVar[tuple[Any, Any]]

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._types = _resolve_types(cls)
        if "name" not in cls.__dict__:
            cls.name = kebab_case(cls.__name__)
        if not abstract:
            _check_concrete(cls)

    def fallback(self, request: Q) -> R:
        """The capability's own answer: plain ``def``, no I/O, no clock, no randomness, total over valid requests.

        It may use what the capability was constructed with (a table, a frozen classifier).
        """
        raise NotImplementedError  # never reached: a concrete class without its own is refused at creation

    def prompt(self, request: Q) -> Prompt:
        """What to ask a model. Default: the docstring as system text, the request's JSON as user text."""
        return default_prompt(self, to_json(request, inf_nan_mode="strings"))

    def accept(self, request: Q, response: R) -> None:
        """Raise ValueError (or AssertionError) where a schema-valid response isn't acceptable for this request."""

    @cached_property
    def instruction(self) -> str:
        """The default prompt's instruction: the docstring."""
        return inspect.cleandoc(self.__doc__ or "")

    @cached_property
    def _system_message(self) -> Message:
        return Message("system", self.instruction)


Capability._types = (Q, R)  # subclasses substitute their arguments


def kebab_case(name: str) -> str:
    """``ClassifyItem`` and ``classify_item`` → ``classify-item``; ``NSNLookup`` → ``nsn-lookup``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name.strip("_"))
    return re.sub(r"[-_\s]+", "-", parted).lower()


def types_of(instance: Capability[Any, Any]) -> tuple[Any, Any]:
    """A capability's request and response types, forward references resolved in its own module."""
    if isinstance(instance, FunctionCapability):
        return instance._own_types
    holder = types.SimpleNamespace(
        __annotations__=dict(zip(("request", "response"), type(instance)._types, strict=True))
    )
    module = sys.modules.get(type(instance).__module__)
    names = {} if module is None else vars(module)
    # Two modules' Capability["Item", …] share one reference; separate locals keep it from remembering the first's Item.
    hints = typing.get_type_hints(holder, names, {}, include_extras=True)
    return hints["request"], hints["response"]


def version_of(instance: Capability[Any, Any]) -> str | None:
    """A capability's version label."""
    return instance._own_version if isinstance(instance, FunctionCapability) else instance.version


def default_prompt(instance: Capability[Any, Any], request_json: bytes) -> Prompt:
    """The prompt of a capability without its own, from the request's JSON as it's put on record."""
    return Prompt((instance._system_message, Message("user", request_json.decode(), False)))


def name_problem(name: object) -> str | None:
    """What is wrong with a capability's or adapter's name; None if nothing."""
    if not isinstance(name, str):
        return f"a name is text, not {type(name).__name__}"
    if len(name) <= _MAX_NAME and _NAME.fullmatch(name):
        return None
    return f'"{name}" is not a name: kebab-case, at most {_MAX_NAME} characters, e.g. "{kebab_case(name) or "my-name"}"'


def _check_concrete(cls: type[Capability[Any, Any]]) -> None:
    if any(isinstance(each, TypeVar) or getattr(each, "__parameters__", ()) for each in cls._types):
        raise TypeError(
            f"{cls.__name__} doesn't say what it asks and answers: write `class {cls.__name__}(Capability[Request, "
            "Response])`, or mark an intermediate class with abstract=True"
        )
    problem = name_problem(cls.name)
    if problem:
        raise TypeError(f"{cls.__name__}.name: {problem}")
    _check_bools(cls.__name__, repair=cls.repair, idempotent=cls.idempotent)
    _check_locked(cls.__name__, cls.artefacts, cls.golden)
    check_review(cls.__name__, cls.review)
    check_told(cls.__name__, cls.version, cls.sampling)
    if cls.fallback is cast("Any", Capability).fallback:
        request, response = (_type_name(each) for each in cls._types)
        raise TypeError(
            f"{cls.__name__} has no fallback. Every capability answers without AI: write\n\n"
            f"    def fallback(self, request: {request}) -> {response}:\n        ...\n\n"
            "in it (deterministic, no I/O), or mark an intermediate class with abstract=True"
        )
    function = inspect.getattr_static(cls, "fallback")
    arguments = 1 if isinstance(function, (staticmethod, classmethod)) else 2
    _check_body(cls.fallback, f"{cls.__name__}.fallback", arguments if not isinstance(function, classmethod) else 1)
    for name in ("prompt", "accept"):
        if inspect.iscoroutinefunction(getattr(cls, name)) or inspect.isgeneratorfunction(getattr(cls, name)):
            raise TypeError(f"{cls.__name__}.{name} must be a plain `def`: it may not wait (no `async`, no `yield`)")


def _check_bools(where: str, **flags: object) -> None:
    """A text such as "no" would count as yes."""
    for name, value in flags.items():
        if type(value) is not bool:
            raise TypeError(f"{where}.{name} must be True or False, not {value!r:.60}")


def _check_locked(where: str, artefacts: object, golden: object) -> None:
    """A text instead of a tuple would be read letter by letter."""
    listed = cast("tuple[object, ...]", artefacts)
    if type(artefacts) is not tuple or not all(isinstance(each, str) and each for each in listed):
        raise TypeError(f'{where}.artefacts must be a tuple of files, such as ("table.csv",), not {artefacts!r:.60}')
    if type(golden) is not tuple:
        raise TypeError(f"{where}.golden must be a tuple of requests, such as (Item(…),), not {golden!r:.60}")


def check_review(where: str, review: object) -> None:
    """A class, or True, would pass for a declaration and demand nothing.

    Raises:
        TypeError: it's none.
    """
    if review is not None and not isinstance(review, Required):
        raise TypeError(
            f"{where}.review must be Required(…), such as Required() or Required(sample=0.05), not {review!r:.60}"
        )


def check_told(where: str, version: object, sampling: object) -> None:
    """What stands in each record of a capability's must fit into one. Of a property each instance's own is looked at.

    Raises:
        TypeError: it doesn't.
    """
    if not isinstance(sampling, (Sampling, property, cached_property)):
        raise TypeError(
            f"{where}.sampling must be Sampling(…), such as Sampling(temperature=0.0), not {sampling!r:.60}"
        )
    if version is None or isinstance(version, (property, cached_property)):
        return
    try:
        identifier(cast("str", version), f"{where}.version")
    except (TypeError, ValueError) as error:
        raise TypeError(str(error)) from None


def _check_body(body: Callable[..., Any], where: str, arguments: int) -> None:
    """A fallback is a plain function that takes the request and nothing else."""
    if not callable(body):
        raise TypeError(f"{where} must be a plain `def` that takes the request, not {type(body).__name__}")
    if inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body) or inspect.isgeneratorfunction(body):
        raise TypeError(f"{where} must be a plain `def`: it may not wait (no `async`, no `yield`)")
    try:
        inspect.signature(body).bind(*range(arguments))
    except TypeError:
        raise TypeError(f"{where} must take exactly one argument, the request, not {inspect.signature(body)}") from None


def _function_types(function: Callable[..., Any], local_names: dict[str, Any]) -> tuple[Any, Any]:
    _check_body(function, function.__name__, 1)
    try:
        hints = typing.get_type_hints(function, localns=local_names, include_extras=True)
    except Exception as error:  # a quoted annotation is code: it may raise anything
        raise TypeError(f"{function.__name__}: an annotation can't be resolved: {error}") from error
    parameter = next(iter(inspect.signature(function).parameters))
    if parameter not in hints or "return" not in hints:
        raise TypeError(
            f"{function.__name__} needs both annotations: `def {function.__name__}({parameter}: Request) -> Response`"
        )
    return hints[parameter], hints["return"]


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


class FunctionCapability(Capability[Q, R], abstract=True):
    """A capability made by `capability` from a function: the body is the fallback."""

    def __init__(
        self,
        body: Callable[[Q], R],
        declared: tuple[Any, Any],
        name: str,
        version: str | None,
        repair: bool,
        idempotent: bool,
        artefacts: tuple[str, ...],
        golden: tuple[Q, ...],
        review: Required | None,
    ) -> None:
        self.name = name
        self.repair = repair
        self.idempotent = idempotent
        self.artefacts = artefacts
        self.golden = golden
        self.review = review
        self._body = body
        self._own_types = declared
        self._own_version = version
        self.__doc__ = body.__doc__

    def fallback(self, request: Q) -> R:
        """The decorated function's body."""
        return self._body(request)

    def __call__(self, *_: object, **__: object) -> typing.NoReturn:
        """Not this way: say whether AI is to be asked.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{self._body.__name__} is a capability: `await isolation[{self._body.__name__}](request)` asks it, "
            f"`{self._body.__name__}.fallback(request)` runs its body"
        )


@overload
def capability(body: Callable[[Q], R], /) -> FunctionCapability[Q, R]: ...
@overload
def capability(
    *,
    name: str = ...,
    version: str | None = ...,
    repair: bool = ...,
    idempotent: bool = ...,
    artefacts: tuple[str, ...] = ...,
    golden: tuple[Any, ...] = ...,
    review: Required | None = ...,
) -> Callable[[Callable[[Q], R]], FunctionCapability[Q, R]]: ...
def capability(
    body: Callable[[Q], R] | None = None,
    /,
    *,
    name: str = "",
    version: str | None = None,
    repair: bool = False,
    idempotent: bool = False,
    artefacts: tuple[str, ...] = (),
    golden: tuple[Any, ...] = (),
    review: Required | None = None,
) -> FunctionCapability[Q, R] | Callable[[Callable[[Q], R]], FunctionCapability[Q, R]]:
    """The short form: the function's body is the fallback, its docstring the default prompt's instruction.

    Args:
        body: the decorated function.
        name: kebab-case of the function's name unless given.
        version: an optional label, kept in records and in the lock.
        repair: as `Capability.repair`.
        idempotent: as `Capability.idempotent`.
        artefacts: as `Capability.artefacts`.
        golden: as `Capability.golden`.
        review: as `Capability.review`.

    Raises:
        TypeError: the function is asynchronous, takes other than one argument, or lacks annotations; `repair` or
            `idempotent` is no bool; `artefacts` is no tuple of texts, `golden` no tuple, `review` no `Required`, or
            `version` no text of 1-128 bytes without control characters.
    """
    frame_locals = sys._getframe(1).f_locals

    def make(function: Callable[[Q], R]) -> FunctionCapability[Q, R]:
        if not inspect.isroutine(function):
            raise TypeError(f"@capability decorates a plain function, not {type(function).__name__}")
        own_name = name or kebab_case(function.__name__)
        declared = _function_types(function, frame_locals)
        problem = name_problem(own_name)
        if problem:
            raise TypeError(f"{function.__name__}: {problem}")
        _check_bools(function.__name__, repair=repair, idempotent=idempotent)
        _check_locked(function.__name__, artefacts, golden)
        check_review(function.__name__, review)
        check_told(function.__name__, version, Sampling())
        return FunctionCapability(function, declared, own_name, version, repair, idempotent, artefacts, golden, review)

    return make if body is None else make(body)
