"""Both type checkers agree with what these files assert: no cast at the front door, and no error overlooked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent


@pytest.mark.parametrize("checker", [["mypy"], ["pyright", "--pythonpath", sys.executable]], ids=lambda each: each[0])
def test_types_are_inferred_as_asserted(checker: list[str]) -> None:
    files = sorted(str(each.relative_to(ROOT)) for each in FOLDER.glob("*.py") if not each.name.startswith("test_"))
    command = [sys.executable, "-m", *checker, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
