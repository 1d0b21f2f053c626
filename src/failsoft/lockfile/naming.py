"""Where a name leads: to the statements that bind it, in its own module or through imports in others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from attrs import frozen

from failsoft.lockfile.source import Import, ModuleSource, Statement, is_ours, is_standard, spec_of

_MOST_HOPS: Final = 64
"""Re-exports that are followed for one name: beyond it they go round in circles."""


@frozen
class Naming:
    """Names, followed as far as the user's own modules go.

    Args:
        module: a module of the user's own, by its full name; None for any other.
    """

    module: Callable[[str], ModuleSource | None]

    def bound(
        self, source: ModuleSource, chain: tuple[str, ...], local: Mapping[str, Import]
    ) -> Iterator[tuple[ModuleSource, Statement]]:
        """The statements that bind a name, each with its module, through as many imports as it takes.

        Args:
            source: where the name is mentioned.
            chain: the name, with the attributes that follow it.
            local: what a function around it imports itself.
        """
        name, rest = chain[0], chain[1:]
        for _ in range(_MOST_HOPS):
            what = local.get(name) or source.imported.get(name)
            local = {}
            statements = source.binding(name)
            yield from ((source, each) for each in statements)
            if what is None and not statements:
                what = self.through_star(source, name)
            if what is None:
                return
            found = self._imported(what, rest)
            if found is None:
                return
            source, names = found
            if not names:  # the module itself is handed about: anything in it may be used
                yield from ((source, each) for each in source.statements)
                return
            name, rest = names[0], names[1:]

    def through_star(self, source: ModuleSource, name: str) -> Import | None:
        """What a name is that a module takes with all of another's."""
        for star in source.stars:
            other = self.module(star)
            if other is not None and (other.binding(name) or name in other.imported or other.stars):
                return Import(star, name)
        return None

    def _imported(self, what: Import, rest: tuple[str, ...]) -> tuple[ModuleSource, tuple[str, ...]] | None:
        """Where an import and the attributes after it lead: a module, and the names in it; None where that's the end."""
        module, names = what.module, rest if what.name is None else (what.name, *rest)
        while True:
            source = self.module(module)
            if names and self._is_module(f"{module}.{names[0]}", source, names[0]):
                module, names = f"{module}.{names[0]}", names[1:]
            else:
                return None if source is None else (source, names)

    def _is_module(self, full: str, holder: ModuleSource | None, name: str) -> bool:
        if holder is None:
            return full in sys.modules and not is_standard(full) and not is_ours(full) and self.module(full) is not None
        if holder.binding(name) or name in holder.imported:
            return False
        return spec_of(full) is not None
