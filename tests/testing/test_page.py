"""The tests that the how-to shows pass: they stand there in files, which the page's own check only imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/test-your-fallbacks.md"
HASTY = """
from failsoft.core import retry

retry.BASE = 1_000_000  # nanoseconds: what's tried again is tried at once, which no test of the page is about
"""
_FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def record(folder: Path) -> None:
    """What the page's test on real replies was answered once: the same question, asked of a provider that's none."""
    made = folder / "recordings/test_real_replies/test_a_steel_bolt_has_a_grade.jsonl"
    made.parent.mkdir(parents=True)
    told = f"""
from bolts import GradeItem, Item, isolated
from failsoft.testing import FaultTransport, Recorder, chat_answer

source = FaultTransport(chat_answer({{"grade": 8}}))
recorder = Recorder({str(made)!r}, transport=source, sync_transport=source)
with isolated(transport=recorder, sync_transport=recorder) as isolation:
    assert isolation[GradeItem].sync(Item(description="bolt, steel, M8")).by_ai
"""
    subprocess.run([sys.executable, "-c", told], cwd=folder, check=True)


def test_the_tests_that_the_page_shows_pass(tmp_path: Path) -> None:
    files = dict(_FILE.findall(PAGE.read_text()))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "conftest.py").write_text(HASTY)
    assert {"test_my_page.py", "test_on_the_wire.py"} <= files.keys()
    record(tmp_path)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
