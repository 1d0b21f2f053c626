"""A value that may have changed since it was made, held once more to the classes of all that it consists of.

pydantic holds a model or its own dataclass to its type as it's made, the standard library's dataclass never; and it takes
each as it is wherever it finds one later. So every one in a value, at any depth, is made again here from its fields, and
what comes of that is thrown away: the value itself stays what it is, since code of the class's own is given a copy.

Fields are taken as they are, not as they're written: one may be left out of a dump, or written in other words. Some classes
don't take what they gave (pydantic's `Json` and `Base64Bytes`, a validator that parses text): such a one is right where what
it writes is read as the same value again.
"""

from __future__ import annotations

import copy
import functools
from collections import deque
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, cast

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, PydanticCustomError

_LEAVES: Final = frozenset((str, int, float, bool, bytes, type(None), Decimal, date, datetime))
_NO_SCHEMA: Final = ("metadata", "serialization", "cls", "default")
_AFTER: Final = {"function-after"}
_SEVERAL: Final = (list, tuple, set, frozenset, deque)


def hold_again(value: object, context: object = None, *, in_doubt: bool = False) -> None:
    """Is each model and dataclass in a value still valid by its own class?

    Args:
        value: its models may have been changed after they were made.
        context: for validators.
        in_doubt: may one pass of which nobody can tell, as its class makes something else of what it's given (by a validator
            that runs before others, a ``__post_init__``) and doesn't take what it gave?

    Raises:
        pydantic.ValidationError: one isn't, or its class doesn't take its own values.
    """
    _hold(value, context, in_doubt, {})


def _hold(value: object, context: object, in_doubt: bool, seen: dict[int, object]) -> None:
    parts = _parts(value)
    if parts is None or id(value) in seen:
        return
    seen[id(value)] = value  # kept, so that no other gets its number
    for each in parts:
        if type(each) not in _LEAVES:
            _hold(each, context, in_doubt, seen)
    if isinstance(value, BaseModel) or is_dataclass(value):
        _hold_one(value, context, in_doubt)


def _parts(value: object) -> Collection[object] | None:
    """What a value consists of; None: it's a single one."""
    if isinstance(value, BaseModel):
        return [*vars(value).values(), *(value.__pydantic_extra__ or {}).values()]
    if is_dataclass(value) and not isinstance(value, type):
        return list(_fields(value).values())
    if isinstance(value, Mapping):
        table = cast("Mapping[object, object]", value)
        return [*(key for key in table if type(key) is not str), *table.values()]
    return cast("Collection[object]", value) if isinstance(value, _SEVERAL) else None


def _fields(value: Any) -> dict[str, object]:
    return {each.name: getattr(value, each.name) for each in fields(value) if hasattr(value, each.name)}


def _hold_one(value: Any, context: object, in_doubt: bool) -> None:
    adapter, code = _adapter(cast("Hashable", type(value)))
    if adapter is None:
        return
    try:
        _make(copy.deepcopy(value) if code else value, adapter, context)
    except Exception as error:  # validators are the user's own
        if not _comes_back(value, adapter, context) and not (in_doubt and code - _AFTER):
            raise _refusal(type(value).__name__, error) from error


@functools.lru_cache(maxsize=1024)
def _adapter(kind: Any) -> tuple[TypeAdapter[Any] | None, frozenset[str]]:
    """And which code of the user's own it runs. None for a dataclass that pydantic can't make again: it knows a field's type
    not, or more than fields is wanted.
    """
    if is_dataclass(kind):
        beside = set(kind.__dataclass_fields__) - {each.name for each in fields(kind)}
        if not all(
            hasattr(kind, each) for each in beside
        ):  # an `InitVar` without a default: nobody keeps what was given
            return None, frozenset()
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast("Any", kind))
        adapter.rebuild(raise_errors=False)  # it may have been put off
    except Exception:  # several kinds, and a quoted annotation is code
        return None, frozenset()
    return (adapter, frozenset(_code(adapter.core_schema))) if adapter.pydantic_complete else (None, frozenset())


def has_inner_fields(schema: object) -> bool:
    """Is there a dataclass with fields that its constructor doesn't take? pydantic's schema doesn't know them."""
    if isinstance(schema, Mapping):
        table = cast("Mapping[str, Any]", schema)
        if table.get("type") == "dataclass" and not all(each.init for each in fields(table["cls"])):
            return True
        return any(has_inner_fields(each) for key, each in table.items() if key not in _NO_SCHEMA)
    return isinstance(schema, (list, tuple)) and any(map(has_inner_fields, cast("list[object]", schema)))


def _code(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        table = cast("Mapping[str, Any]", schema)
        kind = str(table.get("type"))
        if kind.startswith("function-"):
            yield kind
        yield from (each for each in ("post_init", "custom_init") if table.get(each))
        for key, each in table.items():
            if key not in _NO_SCHEMA:
                yield from _code(each)
    elif isinstance(schema, (list, tuple)):
        for each in cast("list[object]", schema):
            yield from _code(each)


def _make(value: Any, adapter: TypeAdapter[Any], context: object) -> None:
    if isinstance(value, RootModel):
        adapter.validate_python(cast("Any", value).root, context=context)
    elif isinstance(value, BaseModel):
        state = vars(value)
        given = {name: state[name] for name in type(value).model_fields if name in state}
        given |= value.__pydantic_extra__ or {}
        adapter.validate_python(given, context=context, by_alias=False, by_name=True)
    else:  # as a call of its class does it: from a table none is made in strict mode
        given = {
            each.name: getattr(value, each.name) for each in fields(value) if each.init and hasattr(value, each.name)
        }
        kind = cast("Any", type(value))
        blank: object = kind.__new__(kind)
        adapter.validator.validate_python(
            ArgsKwargs((), given), self_instance=blank, context=context, by_alias=False, by_name=True
        )


def _comes_back(value: Any, adapter: TypeAdapter[Any], context: object) -> bool:
    """Is what it writes read as the same again?"""
    try:
        text = adapter.dump_json(value, round_trip=True, by_alias=False, warnings=False)
        return bool(adapter.validate_json(text, context=context, by_alias=False, by_name=True) == value)
    except Exception:
        return False


def _refusal(name: str, error: Exception) -> ValidationError:
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, ValidationError):
        told = error.errors(include_url=False, include_context=False, include_input=False)
        reason = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ") for each in told)
    problem = PydanticCustomError(
        "not_renewed",
        "was changed after it was made, or its type doesn't take its own values (a validator that runs before another must "
        "take what it gave): {reason}",
        {"reason": reason},
    )
    return ValidationError.from_exception_data(name, [{"type": problem, "input": None}])
