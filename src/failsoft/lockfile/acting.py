"""Which statements act on something reached, or register themselves with it, as a module is imported.

A statement acts on what it mentions, and on what the functions that it calls mention, and those that they call; a
definition on what its decorators do. So a table that one module holds, a second one's decorator fills and a third one's
functions stand in is seen whole.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from attrs import define, field

from failsoft.lockfile.naming import Naming
from failsoft.lockfile.source import Import, ModuleSource, Statement, chains, imports

DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_VALUES: Final = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)
_PUTS: Final = frozenset(
    (
        "__setitem__",
        "add",
        "append",
        "appendleft",
        "clear",
        "extend",
        "insert",
        "pop",
        "register",
        "remove",
        "setdefault",
        "update",
    )
)
"""Methods by which something is put into a table or taken out, of Python's own and of most registries."""

Tell = Callable[[ModuleSource, ast.AST, Mapping[str, Import]], Iterator[str]]


class Known(Protocol):
    """The modules of the user's own. Nothing is noted of a module that's only asked about."""

    touches: dict[tuple[str, int, str], frozenset[str]]

    def own(self, name: str) -> ModuleSource | None:
        """A module of the user's own, by its full name; None for any other."""
        ...


@define(eq=False)
class Acting:
    """What acts on that which was reached until now.

    Args:
        known: the modules, and what was found out of them.
        entered: the names reached, by module: those that come later count by their module only.
    """

    known: Known
    entered: Mapping[str, set[str]]
    _names: frozenset[str] = field(init=False)
    _naming: Naming = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._names = frozenset(name for each in self.entered.values() for name in each)
        self._naming = Naming(self.known.own)

    def may_matter(self, source: ModuleSource, statement: Statement) -> bool:
        """Does a statement act on what's reached, in whichever module, or register itself with it?"""
        node = statement.node
        if statement.acts:
            calls = [_head(each) for each in ast.walk(node) if isinstance(each, ast.Call)]
            return self._touches(source, node) or any(self._calls_own(source, each) for each in calls)
        if isinstance(node, DEFINITIONS) and any(self._registers(source, each) for each in node.decorator_list):
            return True
        if isinstance(node, ast.ClassDef):
            return self._is_heir(source, node) or any(self._fills(source, each) for each in node.body)
        return self._fills(source, node)

    def _fills(self, source: ModuleSource, node: ast.stmt) -> bool:
        """Does what gives a name its value, or a member of a class, call what puts something into what's reached?

        Only what's put in counts: a constant that's computed from something reached changes nothing there.
        """
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return any(self._meets(source, each, self._written) for each in node.decorator_list)
        return isinstance(node, _VALUES) and self._meets(source, node, self._written)

    def _is_heir(self, source: ModuleSource, node: ast.ClassDef) -> bool:
        """Is a base reached, or does one act on each class that's made of it?"""
        if any(not self._names.isdisjoint(self._told(source, _head(each), {})) for each in node.bases):
            return True
        return any(self._touches(where, each) for where, each in self._hooks(source, node))

    def _hooks(self, source: ModuleSource, node: ast.ClassDef) -> Iterator[tuple[ModuleSource, ast.stmt]]:
        """Each base's ``__init_subclass__``."""
        waiting, seen = [(source, node)], {id(node)}
        while waiting:
            source, node = waiting.pop()
            for base in node.bases:
                for where, each in self._followed(source, _head(base), {}):
                    if isinstance(each, ast.ClassDef) and id(each) not in seen:
                        seen.add(id(each))
                        waiting.append((where, each))
                        yield from ((where, part) for part in each.body if _is_hook(part))

    def _touches(self, source: ModuleSource, node: ast.AST) -> bool:
        """Does a tree mention something reached, or call what does? What stands by itself is called."""
        return self._meets(source, node, self._told)

    def _meets(self, source: ModuleSource, node: ast.AST, tell: Tell) -> bool:
        key = source.name, id(node), tell.__name__
        found = self.known.touches.get(key)
        if found is None:
            found = self.known.touches[key] = frozenset(self._through_calls(source, node, tell))
        return not self._names.isdisjoint(found)

    def _through_calls(self, source: ModuleSource, node: ast.AST, tell: Tell) -> Iterator[str]:
        """What's told of a tree, and of the bodies of what it calls, and of what those call."""
        waiting, seen = [(source, node)], set[int]()
        while waiting:
            source, node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            local = _local(source, node)
            yield from tell(source, node, local)
            for head in _called(node):
                waiting += self._followed(source, head, local)

    def _written(self, source: ModuleSource, node: ast.AST, local: Mapping[str, Import]) -> Iterator[str]:
        """What a tree puts something into."""
        for each in ast.walk(node):
            if isinstance(each, (ast.Attribute, ast.Subscript)) and not isinstance(each.ctx, ast.Load):
                yield from self._told(source, each, local)
            elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in _PUTS:
                yield from self._told(source, each.func.value, local)

    def _followed(
        self, source: ModuleSource, node: ast.expr, local: Mapping[str, Import]
    ) -> Iterator[tuple[ModuleSource, ast.stmt]]:
        """The statements that bind what an expression mentions."""
        for chain in chains(node):
            yield from ((where, each.node) for where, each in self._naming.bound(source, chain, local))

    def _told(self, source: ModuleSource, node: ast.AST, local: Mapping[str, Import]) -> Iterator[str]:
        """What a tree mentions that its module binds or imports: by its own name, and by the one it was imported as."""
        for chain in chains(node):
            what = local.get(chain[0]) or source.imported.get(chain[0])
            if what is None and not source.binding(chain[0]):
                what = self._naming.through_star(source, chain[0])
                if what is None:
                    continue
            yield from chain
            if what is not None and what.name is not None:
                yield what.name

    def _calls_own(self, source: ModuleSource, call: ast.expr) -> bool:
        """In a module that's reached, any function of the user's own may act."""
        return source.name in self.entered and self._own(source, call)

    def _registers(self, source: ModuleSource, decorator: ast.expr) -> bool:
        """A decorator of the user's own counts in a module that's reached, from one that is, and where it acts itself."""
        if source.name in self.entered:
            return self._own(source, _head(decorator))
        found = [source.imported.get(chain[0]) for chain in chains(_head(decorator))]
        from_reached = any(each is not None and each.module in self.entered for each in found)
        return from_reached or self._touches(source, decorator)

    def _own(self, source: ModuleSource, node: ast.AST) -> bool:
        """Does an expression mention something that the user's own code defines?"""
        for chain in chains(node):
            what = source.imported.get(chain[0])
            if any(isinstance(each.node, DEFINITIONS) for each in source.binding(chain[0])):
                return True
            if what is not None and self.known.own(what.module) is not None:
                return True
        return False


def _local(source: ModuleSource, node: ast.AST) -> Mapping[str, Import]:
    return dict(imports(node, source.package)) if isinstance(node, DEFINITIONS) else {}


def _called(node: ast.AST) -> Iterator[ast.expr]:
    """What a tree calls, and what decorates the definitions in it; an expression by itself is a decorator."""
    if isinstance(node, ast.expr):
        yield _head(node)
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            yield _head(each)
        elif isinstance(each, DEFINITIONS):
            yield from map(_head, each.decorator_list)


def _is_hook(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init_subclass__"


def _head(node: ast.expr) -> ast.expr:
    """What is called, or given its parameters: ``register`` of ``register("x")``, ``Base`` of ``Base[Item]``."""
    while isinstance(node, (ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node
