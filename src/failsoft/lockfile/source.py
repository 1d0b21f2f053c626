"""A module's source, statement by statement: what each binds, what it mentions, and its digest without formatting.

The digest is of the syntax tree in a normal form of our own (`ast.dump` differs between Python's versions): comments,
layout, docstrings and `pass` aren't in it, and neither is how a literal was spelt.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import decode_source, find_spec
from pathlib import Path
from typing import Any, Final, cast

from attrs import field, frozen

_STANDARD: Final = Path(sysconfig.get_path("stdlib"))
_SILENT: Final = frozenset(("ctx", "type_comment", "type_ignores", "kind", "lineno", "col_offset"))
_BODIES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
_BLOCKS: Final = (ast.If, ast.Try, ast.TryStar, ast.With)
_PLAIN: Final = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Pass,
    ast.Raise, ast.Global, ast.Assert, ast.AugAssign,
)  # fmt: skip


def digest_of(node: ast.AST) -> str:
    """SHA-256 (lower-case hex) of a tree's normal form. It recurses nowhere: a tree may be deep."""
    found = sha256()
    waiting: list[object] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.AST):
            fields = [(name, value) for name, value in ast.iter_fields(each) if name not in _SILENT and _says(value)]
            found.update(f"<{type(each).__name__} {' '.join(name for name, _ in fields)}>".encode())
            for name, value in reversed(fields):
                waiting.append(_told(each, cast("list[ast.stmt]", value)) if name == "body" else value)
        elif isinstance(each, list):
            listed = cast("list[object]", each)
            found.update(b"[%d]" % len(listed))
            waiting.extend(reversed(listed))
        else:
            found.update(f"({type(each).__name__} {each!r})".encode("utf-8", "backslashreplace"))
    return found.hexdigest()


def _says(value: object) -> bool:
    return value is not None and value != []


def _told(holder: ast.AST, body: object) -> object:
    """A body without its docstring, and without `pass`."""
    if not isinstance(body, list):
        return body
    statements = cast("list[ast.stmt]", body)
    if isinstance(holder, _BODIES) and statements and _is_text(statements[0]):
        statements = statements[1:]
    return [each for each in statements if not isinstance(each, ast.Pass)]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every name that a tree mentions, with the attributes that follow it: ``a.b.c`` is ``("a", "b", "c")``."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        chain = _chain(each)
        if chain is not None:
            yield chain
        else:
            waiting.extend(ast.iter_child_nodes(each))


def _chain(node: ast.AST) -> tuple[str, ...] | None:
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else None


@frozen
class Import:
    """What an import statement binds a name to: a module, or something in one.

    Args:
        module: its full name.
        name: what's taken from it; None: the module itself; ``*``: all of it.
    """

    module: str
    name: str | None = None


def imports(node: ast.AST, package: str) -> Iterator[tuple[str, Import]]:
    """The names that import statements anywhere in a tree bind; ``*`` where all of a module's are taken.

    Args:
        node: any.
        package: what a relative import is relative to.
    """
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            for alias in each.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield bound, Import(alias.name if alias.asname else bound)
        elif isinstance(each, ast.ImportFrom):
            base = package.rsplit(".", each.level - 1)[0] if each.level else ""
            module = ".".join(filter(None, (base, each.module)))
            for alias in each.names:
                yield alias.asname or alias.name, Import(module, alias.name)


@frozen(eq=False)
class Statement:
    """One statement of a module.

    Args:
        node: its tree.
        label: how it's told: a name that it binds, numbered where that's bound again; else by its digest.
        binds: the names that it gives a value, imports left out.
        acts: it does more than give names their values: a call, a loop, an assignment into something.
    """

    node: ast.stmt
    label: str
    binds: frozenset[str]
    acts: bool


@frozen(eq=False)
class ModuleSource:
    """A module of the user's own, read.

    Args:
        name: its full name.
        package: what its relative imports are relative to.
        statements: in order; the docstring isn't one.
        imported: names that it imports at its top level.
        stars: modules all of whose names it takes.
        mentioned: what may be a module that it imports, anywhere in it.
    """

    name: str
    package: str
    statements: tuple[Statement, ...] = field(repr=False)
    imported: dict[str, Import] = field(repr=False)
    stars: tuple[str, ...] = ()
    mentioned: frozenset[str] = frozenset()
    _binding: dict[str, list[Statement]] = field(init=False, factory=dict[str, list[Statement]], repr=False)

    def __attrs_post_init__(self) -> None:
        for each in self.statements:
            for name in each.binds:
                self._binding.setdefault(name, []).append(each)

    def binding(self, name: str) -> list[Statement]:
        """The statements that give a name its value."""
        return self._binding.get(name, [])

    def at(self, line: int) -> Statement | None:
        """The statement that a line belongs to."""
        return next(
            (each for each in self.statements if _first(each.node) <= line <= (each.node.end_lineno or 0)), None
        )


def _first(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min((node.lineno, *(each.lineno for each in decorators)))


def parsed(name: str, text: str, *, is_package: bool = False) -> ModuleSource:
    """A module from its source text.

    Raises:
        SyntaxError: it isn't Python.
    """
    package = name if is_package else name.rpartition(".")[0]
    tree = ast.parse(text)
    found: list[Statement] = []
    imported: dict[str, Import] = {}
    stars: list[str] = []
    labels: Counter[str] = Counter()
    for node in tree.body:
        if _is_text(node) or _is_main_guard(node):
            continue
        for bound, what in () if isinstance(node, _BODIES) else imports(node, package):
            if bound == "*":
                stars.append(what.module)
            else:
                imported[bound] = what
        binds = frozenset(bound_by(node))
        label = min(binds) if binds else f"statement {digest_of(node)[:8]}"
        labels[label] += 1
        found.append(Statement(node, numbered(label, labels[label]), binds, _acts(node)))
    return ModuleSource(name, package, tuple(found), imported, tuple(stars), frozenset(_mentioned(tree, package)))


def _mentioned(tree: ast.Module, package: str) -> Iterator[str]:
    for each in ast.walk(tree):
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
    for _, what in imports(tree, package):
        yield what.module
        if what.name is not None:
            yield f"{what.module}.{what.name}"


def numbered(label: str, count: int) -> str:
    """A label for the first, the second, … that is called so."""
    return label if count == 1 else f"{label} #{count}"


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ("__name__",) in set(chains(node.test))


def bound_by(node: ast.AST) -> Iterator[str]:
    """Names that a statement binds in its own scope."""
    waiting: list[ast.AST] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield each.name
        elif isinstance(each, ast.Name):
            if isinstance(each.ctx, (ast.Store, ast.Del)):
                yield each.id
        elif type(each).__name__ == "TypeAlias":  # from Python 3.12
            yield cast("Any", each).name.id
        elif not isinstance(each, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            waiting.extend(ast.iter_child_nodes(each))


def _acts(node: ast.stmt) -> bool:
    waiting: list[ast.AST] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, _BLOCKS):
            waiting.extend(
                child for child in ast.iter_child_nodes(each) if isinstance(child, (ast.stmt, ast.ExceptHandler))
            )
        elif isinstance(each, ast.ExceptHandler):
            waiting.extend(each.body)
        elif isinstance(each, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            if any(isinstance(part, (ast.Attribute, ast.Subscript)) for target in targets for part in ast.walk(target)):
                return True
        elif not isinstance(each, _PLAIN) and type(each).__name__ != "TypeAlias" and not _is_constant(each):
            return True
    return False


def _is_constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def spec_of(name: str) -> ModuleSpec | None:
    """Where a module comes from; None where that can't be told, or there's none."""
    try:
        return find_spec(name)
    except (ImportError, ValueError, AttributeError):  # of __main__, of a module made by hand
        return None


def is_package(name: str) -> bool:
    """Does a module hold others?"""
    module = sys.modules.get(name)
    if module is not None:
        return hasattr(module, "__path__")
    spec = spec_of(name)
    return spec is not None and spec.submodule_search_locations is not None


def file_of(name: str) -> Path | None:
    """The file of a module's source; None for one that's built in, or made in memory."""
    module = sys.modules.get(name)
    spec = None if getattr(module, "__file__", None) else spec_of(name)
    stated: object = getattr(module, "__file__", None) or (None if spec is None else spec.origin)
    return Path(stated) if isinstance(stated, str) and stated not in ("built-in", "frozen") else None


def text_of(name: str) -> str | None:
    """A module's source text, from its file or from its loader (a zip archive); None where there's none."""
    file = file_of(name)
    if file is not None and file.suffix == ".py" and file.is_file():
        return decode_source(file.read_bytes())
    spec = spec_of(name)
    loader: Any = None if spec is None else spec.loader
    try:
        text: object = loader.get_source(name)
    except (AttributeError, ImportError, OSError):
        return None
    return text if isinstance(text, str) else None


def is_foreign(name: str) -> bool:
    """Is a module the standard library's, failsoft's, or an installed distribution's?"""
    if is_ours(name) or is_standard(name):
        return True
    file = file_of(name)
    return file is not None and bool({"site-packages", "dist-packages"} & set(file.parts))


def is_ours(name: str) -> bool:
    """Is a module failsoft's?"""
    return name.partition(".")[0] == "failsoft"


def is_standard(name: str) -> bool:
    """Is a module the standard library's? One of the user's may be called as one of its is."""
    if name.partition(".")[0] not in sys.stdlib_module_names:
        return False
    file = file_of(name)
    return file is None or file.is_relative_to(_STANDARD)
