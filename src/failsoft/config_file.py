"""Reads a configuration into one plain tree of tables, lists and scalars: files, what they extend, references.

Theory of operation. Each file is read and *copied*: a table ``{ env = "NAME" }`` or ``{ file = "path" }`` becomes one
`Reference`, which knows the directory that it's relative to. Then files are *merged*, the extending one over its base:
tables deep, everything else replaced (so a reference is replaced whole). What's left is *resolved*: a base's reference
that was overridden isn't looked up, and can't fail.

Nothing here knows which keys exist, and nothing raises for content: what's wrong is added to `Tree.problems`, and
`UNRESOLVED` stands where a value should be. Text that came from outside the file is `Resolved`: its origin may be
shown, its value never.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from attrs import define, field, frozen

Place = tuple[str | int, ...]

MAX_FILE = 1 << 20
"""Bytes of a configuration file: far beyond any that people write."""

MAX_VALUE = 1 << 16
"""Bytes of a file that a value is read from: a key, a token, a host name."""

_MAX_DEPTH = 8
"""Levels of tables and lists. The deepest that means anything has five; the rest of the code may recurse."""

_MAX_SHOWN = 60

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_MADE_BY: dict[Place, str] = {
    ("ledger", "key"): "failsoft keys new {file} --name ORIGIN",
    ("ledger", "payload_key"): "failsoft keys new {file} --payload",
}
"""What makes a file that's missing."""

_LEDGER_URL: Place = ("ledger", "url")
_LEDGER_PATHS: frozenset[Place] = frozenset(
    {("ledger", "key_state"), ("ledger", "anchor_file"), ("ledger", "case_keys"), ("ledger", "spool")}
)


class Resolved(str):
    """Text from an environment variable or a file.

    Attributes:
        origin: ``{"env": name}`` or ``{"file": path as written}``: what may be shown of it.
        has_default: the reference gave a default besides.
        path: the file that it was read from; None where it's a variable's.
    """

    origin: dict[str, str]
    has_default: bool
    path: Path | None

    def __new__(
        cls, value: str, origin: dict[str, str], has_default: bool = False, path: Path | None = None
    ) -> Resolved:
        """`value`, with where it came from."""
        self = super().__new__(cls, value)
        self.origin = origin
        self.has_default = has_default
        self.path = path
        return self

    def __reduce__(self) -> tuple[type[Resolved], tuple[str, dict[str, str], bool, Path | None]]:
        """How a copy is made."""
        return Resolved, (str(self), self.origin, self.has_default, self.path)

    def __repr__(self) -> str:
        """Its origin: it may be a secret."""
        return shown(self)


NO_KEY: Final = "no-key-here"
"""Stands for a key that can't be had, where nobody will be asked."""


class _Unresolved:
    def __repr__(self) -> str:
        return "UNRESOLVED"


UNRESOLVED: Final = _Unresolved()
"""Stands where a value couldn't be had. The problem has been told."""


@frozen
class Reference:
    """A scalar that stands elsewhere: the variable's or file's name, and what the file is relative to."""

    kind: str
    name: str
    directory: Path
    has_default: bool
    default: Any


@frozen
class _Broken:
    """Something that can't be a value; told only if nothing replaces it."""

    problem: str


class Unreadable(ValueError):
    """A file or variable that can't be read: why, and nothing of what it holds."""


@define
class Tree:
    """What was read: a plain table, what was wrong on the way, and where it came from."""

    base: Path
    source: Path | None = None
    table: dict[str, Any] = field(factory=dict[str, Any])
    problems: list[str] = field(factory=list[str])
    keyless: bool = False
    """Keys that can't be had are no problem: nobody will be asked."""


def load_file(path: Path, *, keyless: bool = False) -> Tree:
    """Reads a TOML file and what it extends. Never raises for what's in them, nor for what's missing."""
    tree = Tree(path.absolute().parent, path, keyless=keyless)
    table = _toml(path, tree.problems)
    return tree if table is None else _load(tree, table)


def load_mapping(raw: Mapping[str, Any], base: Path | None) -> Tree:
    """The same for a mapping; `base` is what relative paths are relative to (default: the working directory)."""
    return _load(Tree(Path.cwd() if base is None else base.absolute()), raw)


def shown(value: str) -> str:
    """A piece of the configuration for people to read: quoted, printable, short; for what came from outside, its origin."""
    if isinstance(value, Resolved):
        return " ".join(("{", *(f"{kind} = {shown(name)}" for kind, name in value.origin.items()), "}"))
    short = value if len(value) <= _MAX_SHOWN else value[: _MAX_SHOWN - 1] + "…"
    return '"' + "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in short) + '"'


def nearest(word: str, known: list[str]) -> str | None:
    """What a mistyped word was meant to be: a word that has it as a part, one of the same letters, or one
    spelled much like it.
    """
    short = word[:64].lower()
    parts = [each for each in known if short in each.split("_")]
    swapped = [each for each in known if sorted(each) == sorted(short)]
    return next(iter(parts or swapped or difflib.get_close_matches(short, known, 1)), None)


def place_text(place: Place) -> str:
    """``adapters.gpt.labels[1]``."""
    text = ""
    for each in place:
        if isinstance(each, int):
            text += f"[{each}]"
        else:
            text += ("." if text else "") + (each if _BARE_KEY.fullmatch(each) else shown(each))
    return text


# --- files and their bases --------------------------------------------------------------------------------------------


def _load(tree: Tree, table: Mapping[Any, Any]) -> Tree:
    files: list[dict[str, Any]] = []
    directory, trail = tree.base, [] if tree.source is None else [tree.source]
    following: Mapping[Any, Any] | None = table
    while following is not None:
        copied = _Copy(directory, tree).table(following, ())
        extends = copied.pop("extends", None)
        files.append(copied)
        following = None
        if isinstance(extends, str):
            path = directory / extends
            if _same(path) in map(_same, trail):
                names = " → ".join(each.name for each in (*trail, path))
                tree.problems.append(f"extends: {names} is a cycle")
            else:
                following = _toml(path, tree.problems)
                directory = path.parent
                trail.append(path)
        elif extends is not None:
            tree.problems.append('extends: a path is wanted, such as extends = "base.toml"')
    merged: dict[str, Any] = {}
    for each in reversed(files):
        merged = _merged(merged, each)
    tree.table = {key: _resolved(value, (key,), tree) for key, value in merged.items()}
    return tree


def _same(path: Path) -> str:
    """A name that two paths to one file share; the path itself where the system has none for it."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        result[key] = _merged(cast("dict[str, Any]", below), cast("dict[str, Any]", value)) if both else value
    return result


def _toml(path: Path, problems: list[str]) -> dict[str, Any] | None:
    name = shown(str(path))[1:-1] if len(str(path)) <= _MAX_SHOWN else shown(path.name)[1:-1]
    try:
        return tomllib.loads(_read(path, MAX_FILE))
    except Unreadable as error:
        problems.append(f"{name}: {error}")
    except RecursionError:
        problems.append(f"{name}: not TOML that can be read: nested too deeply")
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        found = _POSITION.search(str(error))
        reason = str(error)[: found.start()] if found else "a value that can't be read"
        where = f", line {found[1]}, column {found[2]}" if found and found[1] else ", at its end" if found else ""
        problems.append(f"{name}{where}: not TOML: {shown(reason)[1:-1]}")
    return None


def _read(path: Path, limit: int) -> str:
    """A regular file's text. Nothing else is opened for long: a pipe would make the program wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unreadable("is not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unreadable(f"can't be read: {error.strerror}") from None
    except Unreadable:
        raise
    except ValueError:  # a NUL, or half a surrogate pair
        raise Unreadable("is not a path") from None
    if len(content) > limit:
        raise Unreadable(f"is larger than {limit >> 10} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8") from None


# --- copying: references become one value -----------------------------------------------------------------------------


@frozen
class _Copy:
    directory: Path
    tree: Tree

    def table(self, table: Mapping[object, object], place: Place) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, value in table.items():
            if isinstance(key, str) and not _SURROGATE.search(key):
                copied[key] = self.value(value, (*place, key))
            else:
                where = place_text(place) or "configuration"
                actual = "half a character" if isinstance(key, str) else type(key).__name__
                self.tree.problems.append(f"{where}: a key must be text, not {actual}")
        return copied

    def value(self, value: object, place: Place) -> Any:
        if isinstance(value, str) and place == _LEDGER_URL:
            return _rebased(value, self.directory, self.tree.base)
        if isinstance(value, str) and place in _LEDGER_PATHS and self.directory != self.tree.base:
            return os.path.relpath(self.directory / value, self.tree.base)
        if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
            return value
        if len(place) > _MAX_DEPTH:
            return _Broken("is nested too deeply")
        if isinstance(value, Mapping):
            table = cast("Mapping[object, object]", value)
            return self.reference(table) if _is_reference(table) else self.table(table, place)
        items = cast("Iterable[object]", value)
        ordered = sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items
        return [self.value(each, (*place, index)) for index, each in enumerate(ordered)]

    def reference(self, table: Mapping[object, object]) -> Reference | _Broken:
        kind = "env" if "env" in table else "file"
        name = table[kind]
        allowed = {"env", "default"} if kind == "env" else {"file"}
        if not isinstance(name, str) or not name:
            return _Broken(f"{kind} must name " + ("an environment variable" if kind == "env" else "a file"))
        if not set(table) <= allowed:
            return _Broken('a reference is { env = "NAME" }, with a default if you like, or { file = "path" }')
        default = table.get("default")
        if isinstance(default, (Mapping, list, tuple)):
            return _Broken("default must be one value, not a table or a list")
        if kind == "env" and not _VARIABLE.fullmatch(name):
            return _Broken('env must name an environment variable, such as { env = "OPENAI_API_KEY" }')
        return Reference(kind, name, self.directory, "default" in table, default)


def _is_reference(table: Mapping[object, object]) -> bool:
    """An adapter may be named "env" or "file": then a table stands there."""
    return any(key in table and not isinstance(table[key], Mapping) for key in ("env", "file"))


def _rebased(url: str, directory: Path, base: Path) -> str:
    """A base file's ledger is relative to the base file."""
    path = url.removeprefix("sqlite:///")
    if path in (url, "") or path.startswith("/") or directory == base:
        return url
    moved = "sqlite:///" + os.path.relpath(directory / path, base)
    return Resolved(moved, url.origin, url.has_default) if isinstance(url, Resolved) else moved


# --- resolving --------------------------------------------------------------------------------------------------------


def _resolved(value: object, place: Place, tree: Tree) -> Any:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: _resolved(each, (*place, key), tree) for key, each in table.items()}
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [_resolved(each, (*place, index), tree) for index, each in enumerate(items)]
    if isinstance(value, _Broken):
        tree.problems.append(f"{place_text(place)}: {value.problem}")
        return UNRESOLVED
    if not isinstance(value, Reference):
        return value
    try:
        found = _from_environment(value) if value.kind == "env" else _from_file(value)
    except Unreadable as error:
        if tree.keyless and (place[-1] == "api_key" or place[-2:-1] == ("headers",)):
            return Resolved(NO_KEY, {value.kind: value.name})
        made = _MADE_BY.get(place) if value.kind == "file" and not (value.directory / value.name).exists() else None
        way_out = "" if made is None else f" (`{made.format(file=value.name)}` makes one)"
        tree.problems.append(f"{place_text(place)}: {error}{way_out}")
        return UNRESOLVED
    return _rebased(found, value.directory, tree.base) if place == _LEDGER_URL and isinstance(found, str) else found


def _from_environment(reference: Reference) -> Any:
    value = os.environ.get(reference.name)
    if value is None:
        if reference.has_default:
            return reference.default
        raise Unreadable(f"the environment variable {reference.name} isn't set")
    return _sound(value, f"the environment variable {reference.name}", reference)


def _from_file(reference: Reference) -> Resolved:
    path = reference.directory / reference.name
    try:
        text = read_value(path)
    except ValueError as error:
        raise Unreadable(f"the file {shown(reference.name)} {error}") from None
    return _sound(text, f"the file {shown(reference.name)}", reference, path)


def read_value(path: Path) -> str:
    """The value that a file holds, without the line's end.

    Raises:
        ValueError: it can't be read; the text says why, and shows nothing of it.
    """
    return re.sub(r"\r?\n\Z", "", _read(path, MAX_VALUE))


def _sound(value: str, what: str, reference: Reference, path: Path | None = None) -> Resolved:
    if _SURROGATE.search(value):  # the environment holds bytes, which Python smuggles in as half surrogate pairs
        raise Unreadable(f"{what} is not UTF-8")
    return Resolved(value, {reference.kind: reference.name}, reference.has_default, path)
