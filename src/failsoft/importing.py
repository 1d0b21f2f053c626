"""Objects by their import paths, as a configuration names them: every problem is listed."""

from __future__ import annotations

import importlib

from failsoft.config import UNREAD


def import_object(path: str) -> object:
    """The object at ``package.module:qualified.name``.

    Raises:
        ValueError: it can't be had; the text says why.
    """
    module_name, _, qualified = path.partition(":")
    if not module_name or not qualified:
        raise ValueError(f'"{path}" is not an import path: write "package.module:name"')
    try:
        found: object = importlib.import_module(module_name)
    except Exception as error:  # a module may raise anything as it's imported
        raise ValueError(f'can\'t import "{module_name}": {type(error).__name__}: {error}') from error
    for name in qualified.split("."):
        if not hasattr(found, name):
            raise ValueError(f'"{module_name}" has no "{qualified}"')
        found = getattr(found, name)
    return found


def object_at(path: str, place: str, problems: list[str]) -> object:
    """What's at an import path; None where that is a problem."""
    if path == UNREAD:
        return None
    try:
        found = import_object(path)
    except ValueError as error:
        problems.append(f"{place}: {error}")
        return None
    if found is None:
        problems.append(f"{place}: {path} is None")
    return found
