"""Where a piece of code that a lock names stands: its file and line, while the code is at hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from failsoft.lockfile.source import ModuleSource, file_of, is_package, parsed, text_of

_NUMBERED: Final = re.compile(r"(.+) #(\d+)")


def place_of(piece: str) -> str | None:
    """``file:line`` of a piece named ``module:name``, as the code is now; None where that can't be told."""
    module, _, label = piece.partition(":")
    text, file = text_of(module), file_of(module)
    if text is None or file is None:
        return None
    try:
        source = parsed(module, text, is_package=is_package(module))
    except (SyntaxError, ValueError, RecursionError):
        return None
    node = next((each.node for each in source.statements if each.label == label), None) or _member(source, label)
    return None if node is None else f"{_near(file)}:{node.lineno}"


def _member(source: ModuleSource, label: str) -> ast.stmt | None:
    """``Class.name``, or the second and third that is called so."""
    numbered = _NUMBERED.fullmatch(label)
    path, count = (numbered[1], int(numbered[2])) if numbered else (label, 1)
    body: Iterable[ast.stmt] = [each.node for each in source.statements]
    *classes, name = path.split(".")
    for part in classes:
        owner = next((each for each in body if isinstance(each, ast.ClassDef) and each.name == part), None)
        if owner is None:
            return None
        body = owner.body
    found = [each for each in body if name in _names(each)] if classes else []
    return found[count - 1] if len(found) >= count else None


def _names(node: ast.stmt) -> set[str]:
    named = getattr(node, "name", None)
    if named is not None:
        return {named}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {each.id for each in targets if isinstance(each, ast.Name)}


def _near(file: Path) -> str:
    try:
        return file.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return file.name
