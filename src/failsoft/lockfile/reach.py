"""What code a function reaches in the user's own modules: the statements whose change may change what it does.

Theory of operation. A *piece* is one statement at a module's top level, or one member of a capability's class. Whoever
mentions a name reaches the piece that binds it: in the same module, or through an import in another, as far as the user's
own code goes (`failsoft.lockfile.naming`). What a distribution brings, or the standard library, isn't walked: its version
stands for it.

Doubt counts as reached. A class is reached whole, with all its methods. Besides what is mentioned, in all modules that are
imported with a reached one those statements count that *act* on something reached (a loop that fills a table, a call of a
function of the user's own), functions under a decorator of the user's own, and subclasses of a reached class: each may
register itself (`failsoft.lockfile.acting`).

What can't be seen: a module imported by a name that's put together at run time, a name that another module sets from
outside. Golden inputs notice some of that; a file can be declared as an artefact.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from attrs import define, field

from failsoft.lockfile.acting import DEFINITIONS, Acting
from failsoft.lockfile.naming import Naming
from failsoft.lockfile.plain import contents
from failsoft.lockfile.source import (
    ModuleSource,
    Statement,
    chains,
    digest_of,
    imports,
    is_foreign,
    is_ours,
    is_package,
    is_standard,
    numbered,
    parsed,
    spec_of,
    text_of,
)

_CODE: Final = (type, types.FunctionType, types.MethodType, functools.partial)


@define(eq=False)
class Reach:
    """What was reached from several roots, and what it all hangs on.

    Args:
        home: the module of the capability: what shares its top-level package is the user's own, installed or not.

    Attributes:
        pieces: digest of each reached piece, by ``module:name``.
        foreign: top-level names of modules that aren't the user's own and were mentioned.
        unread: modules of the user's own whose source can't be had.
        touches: the names that a tree mentions, or what it calls, by its module and identity: `failsoft.lockfile.acting`.
    """

    home: str
    pieces: dict[str, str] = field(init=False, factory=dict[str, str])
    foreign: set[str] = field(init=False, factory=set[str])
    unread: set[str] = field(init=False, factory=set[str])
    touches: dict[tuple[str, int, str], frozenset[str]] = field(
        init=False, factory=dict[tuple[str, int, str], frozenset[str]]
    )
    _modules: dict[str, ModuleSource | None] = field(init=False, factory=dict[str, ModuleSource | None])

    def module(self, name: str) -> ModuleSource | None:
        """A module of the user's own; None for any other, and for one without a source."""
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def _read(self, name: str) -> ModuleSource | None:
        if not self._is_own(name):
            if not is_standard(name) and not is_ours(name):
                self.foreign.add(name.partition(".")[0])
            return None
        text = text_of(name)
        try:
            return parsed(name, "\0" if text is None else text, is_package=is_package(name))
        except (SyntaxError, ValueError, RecursionError):  # of a null byte too
            self.unread.add(name)
            return None

    def _is_own(self, name: str) -> bool:
        shares = name.partition(".")[0] == self.home.partition(".")[0]
        return (shares and not is_ours(name)) or not is_foreign(name)

    def is_known(self, name: str) -> bool:
        """Is it a module of the user's own at all? What is imported from one may also be something in it."""
        if name in self._modules:
            return self._modules[name] is not None
        return (name in sys.modules or spec_of(name) is not None) and self._is_own(name)

    def own(self, name: str) -> ModuleSource | None:
        """As `module`, and nothing is noted of another: for looking further than what is reached."""
        return self.module(name) if self.is_known(name) else None

    def walk(self) -> Walk:
        """A walk from roots of its own."""
        return Walk(self)


@define(eq=False)
class Walk:
    """One walk: what its roots reach, by name.

    Attributes:
        found: the pieces reached, as ``module:name``.
    """

    reach: Reach
    found: set[str] = field(init=False, factory=set[str])
    _seen: set[tuple[str, int]] = field(init=False, factory=set[tuple[str, int]])
    _waiting: list[tuple[ModuleSource, ast.AST]] = field(init=False, factory=list[tuple[ModuleSource, ast.AST]])
    _entered: dict[str, set[str]] = field(init=False, factory=dict[str, set[str]])

    # --- roots --------------------------------------------------------------------------------------------------------

    def root(self, target: object) -> None:
        """A function, a class, a type with arguments, a bound method, a partial, or an instance of a class."""
        waiting, seen = [target], set[int]()
        while waiting:
            each: Any = waiting.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            waiting += get_args(each)
            waiting += self._within(each)
            named = each if isinstance(each, (type, types.FunctionType)) else type(each)
            self._enter_named(named.__module__, named.__qualname__, _line(each))

    def _within(self, target: Any) -> Iterator[object]:
        """What a target carries along: what it wraps, what its closure holds, what it's bound to."""
        if isinstance(target, functools.partial):
            yield target.func
            yield from target.args
            yield from target.keywords.values()
        if isinstance(target, types.MethodType):
            yield target.__func__
            yield target.__self__
        if isinstance(target, types.FunctionType):
            yield from (each for each in [getattr(target, "__wrapped__", None)] if each is not None)
            for cell in target.__closure__ or ():
                yield from (each for each in contents(cell) if self._is_code(each))
        elif not isinstance(target, _CODE) and self._is_own_object(target):
            held: dict[str, object] = getattr(target, "__dict__", {})
            yield from (each for each in held.values() if self._is_code(each))

    def _is_code(self, value: object) -> bool:
        return isinstance(
            value, (type, types.FunctionType, types.MethodType, functools.partial)
        ) or self._is_own_object(value)

    def _is_own_object(self, value: Any) -> bool:
        return self.reach.module(type(value).__module__) is not None

    def _enter_named(self, module: str, qualname: str, line: int | None) -> None:
        source = self.reach.module(module)
        if source is None:
            return
        top = qualname.partition(".")[0]
        statements = source.binding(top)
        if not statements and line is not None:
            statements = [each for each in [source.at(line)] if each is not None]
        for each in statements:
            self._enter(source, each)

    def members(self, owner: type, *names: str) -> None:
        """Members of a class and of what it inherits from, and the other members that they mention."""
        waiting, seen = [*names], set[str]()
        classes = [each for each in owner.__mro__ if self.reach.module(each.__module__) is not None]
        tables = [(each, self._members(each)) for each in classes]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for each, table in tables:
                for count, node in enumerate(table.get(name, ()), 1):
                    source = self.reach.module(each.__module__)
                    assert source is not None
                    self._note(source, numbered(f"{each.__qualname__}.{name}", count), node)
                    waiting += [part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)]

    def _members(self, owner: type) -> dict[str, list[ast.stmt]]:
        """The statements of a class's body, by what they bind."""
        source = self.reach.module(owner.__module__)
        assert source is not None
        node = _class_node(source, owner)
        if node is None:
            self._enter_named(owner.__module__, owner.__qualname__, None)
            return {}
        found: dict[str, list[ast.stmt]] = {}
        for each in node.body:
            name = getattr(each, "name", None)
            targets = (
                each.targets
                if isinstance(each, ast.Assign)
                else [each.target]
                if isinstance(each, ast.AnnAssign)
                else []
            )
            for bound in [name] if name else [part.id for part in targets if isinstance(part, ast.Name)]:
                found.setdefault(bound, []).append(each)
        return found

    # --- walking ------------------------------------------------------------------------------------------------------

    def finish(self) -> tuple[str, ...]:
        """Walk until nothing new is reached: the names of all pieces, in order."""
        naming = Naming(self.reach.module)
        while True:
            while self._waiting:
                source, node = self._waiting.pop()
                local = {} if not isinstance(node, DEFINITIONS) else dict(imports(node, source.package))
                for chain in chains(node):
                    for where, each in naming.bound(source, chain, local):
                        self._enter(where, each)
            if not self._act():
                return tuple(sorted(self.found))

    def _enter(self, source: ModuleSource, statement: Statement) -> None:
        self._entered.setdefault(source.name, set()).update(statement.binds)
        self._note(source, statement.label, statement.node)

    def _note(self, source: ModuleSource, label: str, node: ast.AST) -> None:
        key = source.name, id(node)
        if key in self._seen:
            return
        self._seen.add(key)
        name = f"{source.name}:{label}"
        self.reach.pieces[name] = digest_of(node)
        self.found.add(name)
        self._waiting.append((source, node))

    def _act(self) -> bool:
        """Enter what acts on something reached; was there anything new?"""
        before = len(self.found)
        acting = Acting(self.reach, self._entered)
        for source in self._imported_with():
            for each in source.statements:
                if (source.name, id(each.node)) not in self._seen and acting.may_matter(source, each):
                    self._enter(source, each)
        return len(self.found) > before

    def _imported_with(self) -> list[ModuleSource]:
        """The modules of the user's own that are imported where something is reached from, whoever mentions them."""
        found: dict[str, ModuleSource] = {}
        waiting = sorted(self._entered)
        while waiting:
            name = waiting.pop()
            source = None if name in found or not self.reach.is_known(name) else self.reach.module(name)
            if source is not None:
                found[name] = source
                waiting += sorted(source.mentioned)
        return list(found.values())


def _line(target: Any) -> int | None:
    code: Any = getattr(target, "__code__", None)
    return getattr(code, "co_firstlineno", None)


def _class_node(source: ModuleSource, owner: type) -> ast.ClassDef | None:
    """The class's own statement, wherever in its module; None where it's made inside a function, or elsewise."""
    body: Iterable[ast.stmt] = [each.node for each in source.statements]
    found: ast.ClassDef | None = None
    for part in owner.__qualname__.split("."):
        listed = [each for each in body if isinstance(each, ast.ClassDef) and each.name == part]
        if not listed:
            return None
        found = listed[-1]
        body = found.body
    return found


def dunders(owner: type) -> tuple[str, ...]:
    """The special methods that a class of the user's own defines itself."""
    return tuple(name for name in vars(owner) if name.startswith("__") and inspect.isroutine(vars(owner)[name]))
