"""From a TOML file to plain values: ``extends`` merged, ``{ env = … }`` and ``{ file = … }`` looked up, places kept.

Nothing here raises for what a file contains; problems are collected as sentences. A value looked up is remembered by its
place, so that a snapshot can name where it came from instead of showing it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

MAX_BYTES = 1 << 20
_REFERENCE_KEYS = ({"env"}, {"env", "default"}, {"file"})

Place = tuple[str, ...]


@define(eq=False)
class Raw:
    """What was read.

    Args:
        table: the values, looked up.
        looked_up: by place: the reference that stood there.
        problems: what went wrong.
        bases: by place of a path-like value: the folder that it's relative to.
    """

    table: dict[str, Any] = field(factory=dict[str, Any])
    looked_up: dict[Place, dict[str, str]] = field(factory=dict[Place, "dict[str, str]"])
    problems: list[str] = field(factory=list[str])


def read_toml(path: Path) -> Raw:
    """A file and all that it extends."""
    raw = Raw()
    raw.table = _read(path, raw, ())
    return raw


def read_table(table: Mapping[str, Any], base: Path) -> Raw:
    """A mapping of the same shape."""
    raw = Raw()
    raw.table = _looked_up(_plain(table), base, (), raw)
    return raw


def dotted(place: Iterable[object]) -> str:
    """A place as people write it: ``capabilities.classify-item.adapters[1]``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _read(path: Path, raw: Raw, above: tuple[Path, ...]) -> dict[str, Any]:
    path = path.absolute()
    if path in above:
        raw.problems.append(f"{path}: extends itself, through {' → '.join(str(each) for each in above)}")
        return {}
    table = _parsed(path, raw.problems)
    extends = table.pop("extends", None)
    own: dict[str, Any] = _looked_up(table, path.parent, (), raw)
    _anchor(own, path.parent)
    if extends is None:
        return own
    if not isinstance(extends, str):
        raw.problems.append(f'{path}: extends: must be a path such as "base.toml"')
        return own
    return _merged(_read(path.parent / extends, raw, (*above, path)), own)


def _parsed(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        problems.append(f"{path}: there is no such file")
        return {}
    except OSError as error:
        problems.append(f"{path}: can't be read: {error.strerror}")
        return {}
    if len(data) > MAX_BYTES:
        problems.append(f"{path}: larger than {MAX_BYTES} bytes: that's no configuration")
        return {}
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError:
        problems.append(f"{path}: isn't UTF-8")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problems.append(f"{path}: isn't TOML: {error}")
    return {}


def _anchor(table: dict[str, Any], base: Path) -> None:
    """A relative ledger file is relative to the file that names it."""
    ledger = table.get("ledger")
    url = ledger.get("url") if isinstance(ledger, dict) else None
    prefix = "sqlite:///"
    if isinstance(ledger, dict) and isinstance(url, str) and url.startswith(prefix) and not url.startswith(prefix + "/"):
        ledger["url"] = f"{prefix}{base / url.removeprefix(prefix)}"


def _looked_up(value: Any, base: Path, place: Place, raw: Raw) -> Any:
    if isinstance(value, dict):
        if set(value) in _REFERENCE_KEYS and all(isinstance(each, (str, int, float)) for each in value.values()):
            return _resolved(value, base, place, raw)
        return {key: _looked_up(each, base, (*place, str(key)), raw) for key, each in value.items()}
    if isinstance(value, list):
        return [_looked_up(each, base, (*place, str(index)), raw) for index, each in enumerate(value)]
    return value


def _resolved(reference: dict[str, Any], base: Path, place: Place, raw: Raw) -> Any:
    raw.looked_up[place] = {key: str(each) for key, each in reference.items() if key != "default"}
    if "env" in reference:
        name = str(reference["env"])
        if name in os.environ:
            return os.environ[name]
        if "default" in reference:
            return reference["default"]
        raw.problems.append(f"{dotted(place)}: the environment variable {name} isn't set")
        return MISSING
    path = base / str(reference["file"])
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_BYTES).removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it isn't UTF-8"
        raw.problems.append(f"{dotted(place)}: the file {path} can't be read: {why}")
        return MISSING


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple, set, frozenset)) else value


class _Missing:
    """Stands where a reference couldn't be looked up: told already, so it's no second problem."""

    def __repr__(self) -> str:
        return "(not set)"


MISSING = _Missing()
