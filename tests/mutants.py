"""Does a test notice when a room is changed in one place? A seeded sample of such mutants, each of which meets the tests named.

    python -m tests.mutants src/failsoft/ledger/verification/covered.py --sample 40 -- tests/ledger/test_ledger_signing.py

Run it in an environment that has the tests' packages (`./dev test` makes one). It works in a copy of what's committed. What
survived is listed with its line, and is either equivalent or wants a test; see `tests/core/MUTANTS.md`.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 240
"""For the tests of one mutant: whoever takes longer hangs, and is killed by that."""

_PAIRS: tuple[tuple[type[ast.AST], type[ast.AST]], ...] = (
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.And, ast.Or),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.FloorDiv),
)
_TURNED = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}

Mutant = tuple[int, str, Callable[[], Callable[[], None]]]
"""Its line, what it is, and what makes it; that gives what takes it back."""


def _put(node: ast.AST, field: str, value: object) -> Callable[[], Callable[[], None]]:
    def make() -> Callable[[], None]:
        before = getattr(node, field)
        setattr(node, field, value)
        return lambda: setattr(node, field, before)

    return make


def _mutants_of(node: ast.AST) -> Iterator[tuple[str, Callable[[], Callable[[], None]]]]:
    told = ast.unparse(node).split("\n")[0]
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                if type(op) in _TURNED:
                    yield f"turned: {told}", _put(node, "ops", [*ops[:at], _TURNED[type(op)](), *ops[at + 1 :]])
        case ast.BoolOp(op=op) | ast.BinOp(op=op) if type(op) in _TURNED:
            yield f"turned: {told}", _put(node, "op", _TURNED[type(op)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"not left out: {told}", _put(node, "operand", ast.UnaryOp(ast.Not(), operand))
        case ast.Constant(value=bool() as value):
            yield f"turned: {told}", _put(node, "value", not value)
        case ast.Constant(value=int() as value):
            yield f"one more: {told}", _put(node, "value", value + 1)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield f"None: {told}", _put(node, "value", ast.Constant(None))
        case ast.If() | ast.While():
            yield f"always: {told}", _put(node, "test", ast.Constant(True))
            yield f"never: {told}", _put(node, "test", ast.Constant(False))
        case ast.Expr(value=ast.Call()):
            yield f"left out: {told}", _put(node, "value", ast.Constant(None))
        case ast.Raise():
            yield f"left out: {told}", _put(node, "__class__", ast.Pass)
        case _:
            pass


def mutants(module: ast.Module) -> list[Mutant]:
    """All of what functions do: not of signatures' types, nor of what's computed as the module is imported."""
    functions = [each for each in ast.walk(module) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]
    nodes = {id(node): node for function in functions for each in function.body for node in ast.walk(each)}
    return [(getattr(node, "lineno", 0), what, make) for node in nodes.values() for what, make in _mutants_of(node)]


def _passes(tree: Path, arguments: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    """Exit code 1 where one survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="from the project's root")
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("pytest", nargs="+", help="what pytest is given, after --")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "main"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
        if (shared := ROOT.parent / "shared").exists():
            (tree.parent / "shared").symlink_to(shared)
        if not _passes(tree, given.pytest):
            parser.error("the tests fail as it is")
        target = tree / given.file
        module = ast.parse(target.read_text(encoding="utf-8"))
        found = mutants(module)
        total = len(found)
        random.Random(given.seed).shuffle(found)
        survived = 0
        for line, what, make in found[: given.sample]:
            take_back = make()
            target.write_text(ast.unparse(ast.fix_missing_locations(module)), encoding="utf-8")
            take_back()
            if _passes(tree, given.pytest):
                survived += 1
                print(f"{given.file}:{line}: {what}", flush=True)
        tried = min(given.sample, total)
        print(f"{given.file}: {tried - survived} of {tried} killed, of {total} (seed {given.seed})")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
