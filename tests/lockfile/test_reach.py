"""What a function reaches: through imports, decorators, closures, registries; and where that ends."""

from __future__ import annotations

import ast
import functools
import importlib
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from failsoft.lockfile.reach import Reach, dunders
from failsoft.lockfile.source import (
    bound_by,
    chains,
    digest_of,
    file_of,
    is_foreign,
    is_package,
    is_standard,
    parsed,
    text_of,
)
from tests.lockfile.shop import forget, importable

Reached = Callable[..., set[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with importable(tmp_path):
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop/__init__.py").write_text("")
        yield tmp_path


@pytest.fixture
def reached(folder: Path) -> Reached:
    def find(root: str, **modules: str) -> set[str]:
        for name, text in modules.items():
            (folder / f"shop/{name}.py").write_text(text)
        forget()
        module = importlib.import_module("shop.m")
        walk = Reach("shop.m").walk()
        walk.root(eval(root, vars(module)))
        return {each.removeprefix("shop.") for each in walk.finish()}

    return find


def test_names_of_the_same_module_and_no_others(reached: Reached) -> None:
    assert reached("f", m="A = 1\nB = 2\nC = A\ndef f(x): return g(x) + C\ndef g(x): return x\ndef h(x): return B") == {
        "m:A", "m:C", "m:f", "m:g"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("how", "use"),
    [
        ("from shop.n import g", "g"),
        ("from shop.n import g as other", "other"),
        ("from .n import g", "g"),
        ("from . import n", "n.g"),
        ("import shop.n", "shop.n.g"),
        ("import shop.n as other", "other.g"),
        ("from shop import n as other", "other.g"),
        ("from shop.n import *", "g"),
        ("import shop", "shop.n.g"),
        ("try:\n    from shop.n import g\nexcept ImportError:\n    g = None", "g"),
        ("if True:\n    from shop.n import g", "g"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_every_way_to_import_leads_to_the_same_piece(reached: Reached, how: str, use: str, inside: bool) -> None:
    if inside and "*" in how:
        return
    body = f"import shop.n\n{'' if inside else how}\ndef f(x):\n"
    body += "".join(f"    {line}\n" for line in how.splitlines() if inside) + f"    return {use}(x)\n"
    found = reached("f", m=body, n="def g(x): return x\ndef h(x): return x")
    assert "n:g" in found
    assert "n:h" not in found


def test_names_that_are_exported_again_are_followed_and_circles_end(reached: Reached) -> None:
    found = reached("f", m="from shop.a import g\ndef f(x): return g(x)", a="from shop.b import *", b="from shop.c import *\nfrom shop.c import g", c="def g(x): return x")  # fmt: skip
    assert found == {"m:f", "c:g"}
    circle = {
        "m": "import shop.a\ndef f(x): return shop.a.gone(x)",
        "a": "import shop.b\nfrom shop.b import *",
        "b": "from shop.a import *",
    }
    assert reached("f", **circle) == {"m:f"}


def test_a_module_that_is_handed_about_is_reached_whole(reached: Reached) -> None:
    assert reached("f", m="from shop import n\ndef f(x): return getattr(n, x)", n="A = 1\ndef g(): return 2") == {
        "m:f",
        "n:A",
        "n:g",
    }


def test_a_class_is_reached_with_all_its_methods_and_what_it_inherits(reached: Reached) -> None:
    found = reached(
        "f",
        m="from shop.n import Base\nX = 3\nclass K(Base):\n    def a(self): return X\ndef f(x): return K().a()",
        n="class Base: pass",
    )
    assert found == {"m:f", "m:K", "m:X", "n:Base"}


def test_what_registers_itself_with_something_reached_is_reached(reached: Reached) -> None:
    found = reached(
        "f",
        m="""
TABLE = {}
PLAIN = {}

def register(function):
    TABLE[function.__name__] = function
    return function

@register
def one(x): return 1

class Base:
    def __init_subclass__(cls): TABLE[cls.__name__] = cls

class Sub(Base): pass

for each in (1, 2):
    TABLE[each] = each

PLAIN["x"] = 1
print
OTHER = 5
OTHER += 1

def f(x):
    return TABLE[x], Base, OTHER
""",
    )
    assert {each for each in found if "statement" not in each} == {
        "m:TABLE", "m:register", "m:one", "m:Base", "m:Sub", "m:each", "m:f", "m:OTHER", "m:OTHER #2"
    }  # fmt: skip
    assert not any(each.startswith("m:PLAIN") for each in found)


def test_a_decorator_from_elsewhere_registers_nothing(reached: Reached) -> None:
    assert reached("f", m="import functools\n@functools.cache\ndef g(x): return 1\ndef f(x): return 2") == {"m:f"}


def test_a_decorator_imported_from_the_users_own_code_may(reached: Reached) -> None:
    found = reached(
        "f",
        m="from shop.n import keep\n@keep\ndef g(x): return 1\n@keep\ndef f(x): return 2",
        n="def keep(f): return f",
    )
    assert found == {"m:f", "m:g", "n:keep"}


@pytest.mark.parametrize(
    ("root", "more"),
    [
        ("functools.partial(g, h)", {"m:g", "m:h"}),
        ("K().method", {"m:K"}),
        ("K()", {"m:K"}),
        ("Holder(h)", {"m:Holder", "m:h"}),
        ("wrapped", {"m:wrapped", "m:deco", "m:wraps"}),
        ("closure", {"m:closure", "m:make", "m:h"}),
        ("LAMBDA", {"m:LAMBDA", "m:h"}),
        ("list[K]", {"m:K"}),
        ("K | None", {"m:K"}),
        ("len", set[str]()),
        ("5", set[str]()),
    ],
)
def test_a_root_is_any_callable_or_type(reached: Reached, root: str, more: set[str]) -> None:
    text = """
import functools

def g(x): return x
def h(x): return x

class K:
    def method(self, x): return x
    def __call__(self, x): return x

class Holder:
    def __init__(self, held): self.held = held

def deco(function):
    @functools.wraps(function)
    def inner(x): return function(x)
    return inner

def wraps(x): return x

@deco
def wrapped(x): return wraps(x)

def make(what):
    def inner(x): return what(x)
    return inner

closure = make(h)
LAMBDA = lambda x: h(x)
"""
    found = reached(root, m=text)
    assert found - {"m:closure", "m:wrapped"} == more - {"m:closure", "m:wrapped"} | ({"m:wraps", "m:deco"} & found)


def test_an_empty_cell_holds_nothing(folder: Path) -> None:
    def outer() -> Callable[[], Any]:
        def inner() -> Any:
            return later

        if len(sys.path) < 0:
            later = 1
        return inner

    walk = Reach("tests").walk()
    walk.root(outer())
    assert "tests.lockfile.test_reach:test_an_empty_cell_holds_nothing" in walk.finish()


def test_a_foreign_module_is_a_dependency_and_the_standard_library_none(folder: Path) -> None:
    (folder / "shop/m.py").write_text(
        "import json, packaging.version, failsoft\nimport packaging as p\ndef f(x): return json.dumps(packaging.version.Version(x)), failsoft.Capability, p.x"
    )
    reach = Reach("shop.m")
    walk = reach.walk()
    walk.root(importlib.import_module("shop.m").f)
    assert walk.finish() == ("shop.m:f",)
    assert reach.foreign == {"packaging"}
    assert reach.unread == set()


def test_code_without_a_source_is_told_as_unread() -> None:
    made = types.ModuleType("made_by_hand")
    sys.modules["made_by_hand"] = made
    try:
        exec("def f(x): return x", vars(made))
        reach = Reach("made_by_hand")
        walk = reach.walk()
        walk.root(made.f)
        assert walk.finish() == ()
        assert reach.unread == {"made_by_hand"}
    finally:
        del sys.modules["made_by_hand"]


def test_code_in_an_archive_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("zipped_app.py", "A = 1\ndef f(x): return A")
    monkeypatch.syspath_prepend(str(tmp_path / "app.zip"))
    walk = Reach("zipped_app").walk()
    walk.root(importlib.import_module("zipped_app").f)
    assert walk.finish() == ("zipped_app:A", "zipped_app:f")
    del sys.modules["zipped_app"]


def test_a_broken_module_is_told_as_unread(folder: Path) -> None:
    (folder / "shop/m.py").write_text("def f(x):\n    from shop import n\n    return n.g(x)")
    (folder / "shop/n.py").write_text("def (")
    reach = Reach("shop.m")
    walk = reach.walk()
    walk.root(importlib.import_module("shop.m").f)
    assert walk.finish() == ("shop.m:f",)
    assert reach.unread == {"shop.n"}


def test_a_namespace_leads_to_what_is_in_it(folder: Path) -> None:
    (folder / "shop/m.py").write_text(
        "from shop.space import n\nimport shop.space.n\ndef f(x): return n.g(x), shop.space.n.h"
    )
    (folder / "shop/space").mkdir()
    (folder / "shop/space/n.py").write_text("def g(x): return x\nh = 1")
    reach = Reach("shop.m")
    walk = reach.walk()
    walk.root(importlib.import_module("shop.m").f)
    assert walk.finish() == ("shop.m:f", "shop.space.n:g", "shop.space.n:h")
    assert reach.unread == set()


MEMBERS = """
from failsoft import Capability

class Base:
    SIZE = 1
    def helper(self): return self.SIZE

def free(): return 1

class K(Base):
    count: int = 3
    first = second = 4

    def __init__(self): self.x = 1
    def a(self): return self.helper() + self.size + super().more()
    @property
    def size(self): return self.count
    @size.setter
    def size(self, value): pass
    def b(self): return free()

def local():
    class Inner:
        def a(self): return 1
    return Inner
"""


def test_members_of_a_capability_are_reached_one_by_one(folder: Path) -> None:
    (folder / "shop/m.py").write_text(MEMBERS)
    module = importlib.import_module("shop.m")
    walk = Reach("shop.m").walk()
    walk.members(module.K, "a", *dunders(module.K))
    assert {each.removeprefix("shop.m:") for each in walk.finish()} == {
        "K.a", "K.__init__", "K.size", "K.size #2", "K.count", "Base.helper", "Base.SIZE"
    }  # fmt: skip
    other = Reach("shop.m").walk()
    other.members(module.K, "b", "first")
    assert {each.removeprefix("shop.m:") for each in other.finish()} == {"K.b", "K.first", "free"}
    inner = Reach("shop.m").walk()
    inner.members(module.local(), "a")
    assert inner.finish() == ("shop.m:local",)


# --- the normal form ------------------------------------------------------------------------------------------------------


def digest(text: str) -> str:
    return digest_of(ast.parse(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(a,b): return (a+b)", "def f(\n    a, b\n):\n    'Doc.'\n    # a comment\n    return a + b\n"),
        ("x = 'a' 'b'", 'x = "ab"'),
        ("x = 1_000", "x = 1000"),
        ("class K:\n    'Doc.'", "class K: pass"),
        ("def f(x):\n    pass\n    return x", "def f(x): return x"),
        ("x = (1, 2)", "x = 1, 2"),
    ],
)
def test_spelling_is_not_in_the_normal_form(one: str, other: str) -> None:
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = '1'", "x = b'1'"),
        ("f(a, b)", "f(b, a)"),
        ("f(a=b)", "f(b=a)"),
        ("x = [1]", "x = (1,)"),
        ("def f(): return 'Doc.'", "def f(): 'Doc.'"),
        ("def f(a, /): pass", "def f(a): pass"),
        ("if a:\n    b\nelse:\n    c", "if a:\n    b\nc"),
        ("x = f'{a!r}'", "x = f'{a}'"),
        ("a = b.c", "a = b.d"),
        ("del a", "a"),
        ("x = '\\ud800'", "x = '\\ud801'"),
        ("lambda: 0", "lambda: 1"),
    ],
)
def test_meaning_is(one: str, other: str) -> None:
    assert digest(one) != digest(other)


def test_a_deep_tree_is_no_recursion() -> None:
    text = "x = " + " + ".join(["a"] * 900)
    assert digest(text) != digest(text + " + a")
    assert len(list(chains(parsed("m", text).statements[0].node))) == 901


def test_statements_are_labelled_by_what_they_bind() -> None:
    source = parsed(
        "m",
        "'Doc.'\nimport a\na, b = 1, 2\na = 3\nf(x)\ntype = 4\nwith open('x') as w: v = 1\n[z for z in a]\n...\nx.y = 1\nx: int\nx[0], q = 1, 2\ntry:\n    import t\nexcept E:\n    t = f()\n    f()",
    )
    told = [(each.label.partition(" ")[0], each.acts) for each in source.statements]
    assert told == [
        ("statement", False), ("a", False), ("a", False), ("statement", True), ("type", False), ("v", False), ("statement", True),
        ("statement", False), ("statement", True), ("x", False), ("q", True), ("t", True),
    ]  # fmt: skip
    assert source.statements[2].label == "a #2"
    assert source.at(4) is source.statements[2]
    assert source.at(99) is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type X = …` is of Python 3.12")
def test_a_type_alias_binds_its_name() -> None:
    (statement,) = parsed("m", "type X = int").statements
    assert (statement.label, statement.acts) == ("X", False)


def test_where_modules_come_from() -> None:
    assert text_of("sys") is None
    assert file_of("sys") is None
    assert is_standard("json")
    assert is_foreign("json")
    assert is_foreign("pydantic")
    assert is_foreign("failsoft.config")
    assert not is_foreign("tests.lockfile.shop")
    assert not is_standard("no_such_module_anywhere")
    assert text_of("no_such_module_anywhere") is None
    assert file_of("functools") == Path(functools.__file__)


def test_packages_are_known_before_they_are_imported(folder: Path) -> None:
    forget()
    assert is_package("shop")
    assert not is_package("no_such_module_anywhere")
    (folder / "shop/inner").mkdir()
    (folder / "shop/inner/__init__.py").write_text("from .n import g")
    (folder / "shop/inner/n.py").write_text("def g(x): return x")
    (folder / "shop/m.py").write_text("def f(x):\n    from shop.inner import g\n    return g(x)")
    walk = Reach("shop.m").walk()
    walk.root(importlib.import_module("shop.m").f)
    assert walk.finish() == ("shop.inner.n:g", "shop.m:f")


def test_a_namespace_that_is_handed_about_has_no_source(folder: Path) -> None:
    (folder / "shop/space").mkdir()
    (folder / "shop/m.py").write_text("import shop.space as space\ndef f(x): return space")
    reach = Reach("shop.m")
    walk = reach.walk()
    walk.root(importlib.import_module("shop.m").f)
    assert walk.finish() == ("shop.m:f",)
    assert reach.unread == set()


PLUGINS = {
    "m": "import shop.registry\nfrom shop import plugins, bystander\ndef f(x): return shop.registry.TABLE[x], shop.registry.Base",
    "registry": "TABLE = {}\nclass Base: pass\ndef register(f):\n    TABLE[f.__name__] = f\n    return f\nOTHER = {}",
    "plugins": """
from shop import registry
from shop.registry import TABLE as T, Base, register

@register
def one(x): return 1

class Sub(Base): pass

registry.TABLE["y"] = 2
""",
    "fills": "from shop.registry import TABLE as T\ndef fill(): T['x'] = 1\nfill()",
    "bystander": """
import functools, logging
from shop import fills
from shop.registry import OTHER

@functools.cache
def two(x): return 2

class Own: pass
class Sub(Own): pass

def noise(): OTHER["x"] = 1

noise()
OTHER["z"] = 3
logging.info("x")
""",
}


def test_a_module_that_nobody_mentions_may_register_itself(reached: Reached) -> None:
    found = reached("f", **PLUGINS)
    assert {each for each in found if "statement" not in each} == {
        "m:f", "registry:TABLE", "registry:Base", "registry:register", "plugins:one", "plugins:Sub", "fills:fill"
    }  # fmt: skip
    assert sorted(each.partition(" ")[0] for each in found if "statement" in each) == [
        "fills:statement",
        "plugins:statement",
    ]


def test_what_later_pythons_call_a_type_alias_binds_its_name() -> None:
    class TypeAlias(ast.stmt):
        name = ast.Name("X", ast.Store())

    assert list(bound_by(TypeAlias())) == ["X"]


# --- registered through another module's functions ----------------------------------------------------------------------

M = "from shop import deep, h\ndef fallback(x): return deep.REG['handler'](x)"
HANDLER = "from shop.reg import register\n@register\ndef handler(x): return 1\ndef beside(x): return 2"


@pytest.mark.parametrize(
    "reg",
    [
        "from shop import deep\ndef register(f):\n    deep.REG[f.__name__] = f\n    return f",
        "from shop.deep import REG\ndef register(f):\n    REG[f.__name__] = f\n    return f",
        "from shop.deep import *\ndef register(f):\n    REG[f.__name__] = f\n    return f",
        "def register(f):\n    from shop import deep\n    deep.REG[f.__name__] = f\n    return f",
        "from shop.put import put\ndef register(f):\n    put(f)\n    return f",
        "from shop import put\nclass Registry:\n    def __call__(self, f):\n        put.put(f)\n        return f\nregister = Registry()",
        "from shop.again import register",
    ],
)
def test_what_another_modules_decorator_registers_is_reached(reached: Reached, reg: str) -> None:
    found = reached(
        "fallback",
        deep="REG = {}",
        put="from shop import deep\ndef put(f): deep.REG[f.__name__] = f",
        again="from shop.put import put\ndef register(f):\n    put(f)\n    return f",
        reg=reg,
        h=HANDLER,
        m=M,
    )
    assert {"h:handler", "deep:REG", "m:fallback"} <= found
    assert "h:beside" not in found


@pytest.mark.parametrize(
    "handler",
    [
        "from shop.reg import register\ndef handler(x): return 1\nregister(handler)",
        "from shop.reg import named\n@named('handler')\ndef handler(x): return 1",
        "from shop.reg import Base\nclass handler(Base):\n    x = 1",
        "from shop.reg import register\ndef f(x): return 1\nhandler = register(f)",
        "from shop.reg import register\nclass handler:\n    @register\n    def handler(self): return 1",
        "from shop.reg import register\ndef f(x): return 1\nclass handler:\n    x = register(f)",
        "from shop.reg import kept\ndef f(x): return 1\nhandler = kept(f)",
        "from shop import reg\nclass Between(reg.Base[int]): pass\nclass handler(Between): pass",
    ],
)
def test_so_is_what_is_registered_by_a_call_by_parameters_or_by_a_base(reached: Reached, handler: str) -> None:
    reg = (
        "from shop import deep\ndef register(f):\n    deep.REG[f.__name__] = f\n    return f\n"
        "def named(name):\n    def wrap(f):\n        return register(f)\n    return wrap\n"
        "def kept(f):\n    deep.REG.setdefault(f.__name__, f)\n    return f\n"
        "class Base:\n    def __class_getitem__(cls, x): return cls\n    def __init_subclass__(cls): deep.REG[cls.__name__] = cls"
    )
    assert "h:handler" in reached("fallback", deep="REG = {}", reg=reg, h=handler, m=M)


def test_a_decorator_or_a_base_that_touches_nothing_reached_reaches_nothing(reached: Reached) -> None:
    reg = "OTHER = {}\ndef register(f):\n    OTHER[f.__name__] = f\n    return f\nclass Base:\n    def __init_subclass__(cls): OTHER[0] = cls"
    m = "from shop import deep, h\ndef fallback(x): return deep.TABLE"
    handler = HANDLER + "\nfrom shop.reg import Base\nclass C(Base): pass\nclass D(C): pass"
    assert reached("fallback", deep="TABLE = {}", reg=reg, h=handler, m=m) == {"deep:TABLE", "m:fallback"}


def test_what_is_computed_from_something_reached_puts_nothing_into_it(reached: Reached) -> None:
    reg = "from shop import deep\ndef look(x): return deep.TABLE.get(x)"
    m = "from shop import deep, h\ndef fallback(x): return deep.TABLE"
    h = "from shop.reg import look\nA = look(1)\nclass C:\n    a = look(2)"
    assert reached("fallback", deep="TABLE = {}", reg=reg, h=h, m=m) == {"deep:TABLE", "m:fallback"}
