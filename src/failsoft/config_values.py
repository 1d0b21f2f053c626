"""Kinds of values in a configuration, each checked and told in our own sentences: durations, labels, paths, secrets."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from failsoft.capability import name_problem
from failsoft.config_file import Resolved, nearest, shown
from failsoft.credentials import SECRET_NAME
from failsoft.durations import SECOND, parse_duration
from failsoft.postgres_address import NO_ADDRESS, form_of
from failsoft.providers import CALLABLE, find, known

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_HEADER = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MAX_LABEL = 128


class Section(BaseModel):
    """What all tables have in common: no unknown keys, no change, no value shown in an error."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )


class Secret(SecretStr):
    """A secret that knows where it came from, so that a snapshot can name it.

    Args:
        value: the secret.
        origin: ``{"env": name}`` or ``{"file": path}``.
        path: the file, where it's one.
    """

    def __init__(self, value: str, origin: Mapping[str, str], path: Path | None = None) -> None:
        super().__init__(value)
        self.origin = dict(origin)
        self.path = path


def wrong(problem: str, kind: str = "failsoft") -> PydanticCustomError:
    """A problem in our own words, as pydantic carries it."""
    return PydanticCustomError(kind, "{problem}", {"problem": problem})  # pyright: ignore[reportArgumentType]


def unwrapped(value: object) -> object:
    """What stands behind a secret, or the value itself."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def database_address(value: object, otherwise: str) -> object:
    """A PostgreSQL database's address. It may hold a password: as a secret it's kept from every snapshot and repr.

    Args:
        value: what stands in the configuration.
        otherwise: what's told where it's no such address.
    """
    given = unwrapped(value)
    if not isinstance(given, str) or not given.startswith(("postgresql://", "postgres://")):
        raise wrong(otherwise)
    if isinstance(value, SecretStr):
        return value
    if isinstance(value, Resolved):
        return Secret(value, value.origin)
    form = form_of(given)
    if form is None:
        raise wrong(NO_ADDRESS)
    if form["password"] or any(SECRET_NAME.search(each) for each, _ in parse_qsl(form["query"] or "")):
        raise wrong("an address with a password is a secret", "failsoft_inline")
    return given


def by_origin(value: Any) -> Any:
    """A part of a configuration, what came from outside by its origin: it may be a secret."""
    if isinstance(value, Resolved):
        return value.origin
    if isinstance(value, dict):
        return {key: by_origin(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [by_origin(each) for each in cast("Any", value)]
    return value


def _kept(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Of a `Resolved` pydantic makes plain text, which wouldn't know any more where it came from."""
    checked: object = check(value)
    if isinstance(value, Resolved):
        return Resolved(str(checked), value.origin, value.has_default, value.path)
    return checked


def _text(value: str) -> str:
    if not 1 <= len(value) <= 256:
        raise wrong(f"must have 1 to 256 characters, not {len(value)}")
    return _printable(value)


def _printable(value: str) -> str:
    if any(unicodedata.category(each) in ("Cc", "Cf", "Cs") for each in value):
        raise wrong("must not contain control or format characters")
    return value


def _label(value: str) -> str:
    """As `failsoft.context` takes labels: or the two would never meet."""
    value = unicodedata.normalize("NFC", _printable(value))
    if not 0 < len(value.encode()) <= _MAX_LABEL:
        raise wrong(f"must have 1 to {_MAX_LABEL} bytes")
    return value


def _import_path(value: object) -> object:
    if isinstance(value, str) and (len(value) > 256 or not _IMPORT_PATH.fullmatch(value)):
        raise wrong(f'{shown(value)} is not an import path: write "package.module:name"')
    return value


def _from_text(value: object) -> object:
    """Environment and files hold text only: what it spells is taken where a number or a flag is wanted."""
    if not isinstance(value, Resolved):
        return value
    spelled: object
    try:
        spelled = json.loads(value) if len(value) <= 32 else value
    except ValueError:
        spelled = value
    return spelled if isinstance(spelled, (bool, int, float)) else value


def _seconds(value: object) -> object:
    """The unit is in these keys' names, so a bare number will do."""
    try:
        return parse_duration(value) / SECOND if isinstance(value, str) else value
    except ValueError:
        return _from_text(value)


def duration_between(low: str, high: str) -> BeforeValidator:
    """A validator for durations in a range, into nanoseconds."""
    lowest, highest = parse_duration(low), parse_duration(high)

    def read(value: object) -> object:
        if not isinstance(value, str):
            raise wrong('a duration has a unit: write "8s", "250ms", "2m" or "1h"')
        try:
            read = parse_duration(value)
        except ValueError:
            raise wrong(f'{shown(value)} is not a duration: write "8s", "250ms", "2m" or "1h"') from None
        if not lowest <= read <= highest:
            raise wrong(f"{shown(value)} is not between {low} and {high}")
        return read

    return BeforeValidator(read)


def _secret(value: object, info: ValidationInfo) -> object:
    if isinstance(value, Resolved):
        if value.has_default:
            raise wrong("a secret has no default: it would stand in the file")
        value = Secret(value, value.origin, value.path)
    if value is None:
        return value
    if not isinstance(value, SecretStr):
        raise wrong('a secret is a pydantic.SecretStr, or { env = "NAME" }', "failsoft_inline")
    text: object = value.get_secret_value()  # a constructor checks nothing
    if not isinstance(text, str) or not text:
        raise wrong("is empty")
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise wrong("must be printable ASCII without white space around it")
    return value


def _provider_name(value: object) -> object:
    """A known provider's name, or the one that was meant."""
    if not isinstance(value, str) or value == CALLABLE:
        return value
    try:
        found = find(value) if value.isprintable() else None
    except Exception as error:  # a foreign distribution may raise anything as it's imported
        raise wrong(f"the adapter of {shown(value)} can't be loaded: {type(error).__name__}: {error}") from None
    if found is None:
        near = nearest(value, list(known()))
        hint = f'did you mean "{near}"?' if near else "it's one of " + ", ".join(f'"{each}"' for each in known())
        raise wrong(f"there is no {shown(value)}; {hint}")
    return value


def header_name(name: str) -> str:
    """A header's name, or what is wrong with it."""
    if not _HEADER.fullmatch(name):
        raise wrong("is not a header's name")
    return name


def adapter_name(name: str) -> str:
    """An adapter's name, or what is wrong with it."""
    if name == "fallback":
        raise wrong('an adapter can\'t be named "fallback": that is who answers last')
    return capability_name(name)


def capability_name(name: str) -> str:
    """A capability's name, or what is wrong with it."""
    clean = shown(name)[1:-1] if len(name) > 64 or not name.isprintable() else name
    problem = name_problem(clean)
    if problem is not None:
        raise wrong(problem)
    return name


def route_names(names: object) -> object:
    """The adapters of a route: each once, none of them the fallback."""
    given = cast("Sequence[object]", names if type(names) in (list, tuple) else ())
    if names == []:
        raise wrong("names nobody: name an adapter, or leave the key out where only the fallback shall answer")
    for each in given:
        if isinstance(each, str) and given.count(each) > 1:
            raise wrong(f"{shown(each)} is named twice")
        if each == "fallback":
            raise wrong('the fallback is always last and needs no mention: leave "fallback" out')
    return names


def as_names(value: object) -> object:
    """One name or several."""
    return (value,) if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(_text)]
"""Text that records of calls or checkpoints hold in any case: a snapshot shows it, wherever it came from."""
Text = Annotated[Name, WrapValidator(_kept)]
"""Any other: what came from outside stands in a snapshot by its origin (`by_origin`)."""
Label = Annotated[str, AfterValidator(_label)]
OutsideLabel = Annotated[Label, WrapValidator(_kept)]
# What shows the value that it refuses comes before pydantic, which makes plain text of a `Resolved`.
ProviderName = Annotated[str, BeforeValidator(_provider_name)]
ImportPath = Annotated[str, BeforeValidator(_import_path)]
Flag = Annotated[bool, BeforeValidator(_from_text)]
Whole = Annotated[int, BeforeValidator(_from_text)]
Number = Annotated[float, BeforeValidator(_from_text), Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_from_text), Field(ge=1, le=1_000_000)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=86_400, allow_inf_nan=False)]
SecretText = Annotated[SecretStr, BeforeValidator(_secret)]
