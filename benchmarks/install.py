"""What failsoft costs to install and to import.

    ./dev bench install

Distributions are counted over the closure of failsoft's base requirements; the import is timed in fresh interpreters.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from importlib.metadata import distribution, requires

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def closure(name: str, seen: set[str]) -> set[str]:
    """Distributions that `name` needs, without extras."""
    for each in requires(name) or []:
        found = _NAME.match(each)
        if found is None or "extra ==" in each:
            continue
        key = found[0].lower().replace("_", "-")
        if key not in seen:
            try:
                distribution(key)
            except ModuleNotFoundError:
                continue  # for another platform or Python
            seen.add(key)
            closure(key, seen)
    return seen


def milliseconds(statement: str, rounds: int = 7) -> float:
    """Median time of a statement in a fresh interpreter, its start not counted."""
    code = f"import time; begun = time.perf_counter()\n{statement}\nprint((time.perf_counter() - begun) * 1000)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(rounds)
    ]
    return round(statistics.median(times), 1)


def main() -> None:
    """Measure and print."""
    needed = sorted(closure("failsoft", set()))
    figures = {
        "distributions": len(needed),
        "import_failsoft_ms": milliseconds("import failsoft"),
        "import_isolation_ms": milliseconds("from failsoft import Isolation"),
    }
    print(", ".join(needed))
    for name, value in figures.items():
        print(f"{name:>22}  {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
