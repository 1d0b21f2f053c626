"""What is in force of an adapter: whom it asks, what it believes, and which data go there.

What only tunes isn't here (attempts, times, concurrency, breakers, quotas): it decides how often an answer comes, not
whose it is. Decision 0006 tells where the line runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from failsoft.adapters.pins import name_class
from failsoft.config import AdapterConfig, Config
from failsoft.config_values import Secret, by_origin
from failsoft.core.contract import import_path
from failsoft.core.route import GuardedAdapter
from failsoft.lockfile.document import LockedAdapter
from failsoft.lockfile.files import digest_of_file
from failsoft.outcome import Grade


def locked_adapter(name: str, adapter: GuardedAdapter, config: Config, problems: list[str]) -> LockedAdapter:
    """An adapter's part of a lock.

    Args:
        name: as configured.
        adapter: as it was made; of one that was made in code the configuration knows nothing.
        config: all of it.
        problems: what is wrong is told there.
    """
    codec: Any = adapter.codec
    own = config.adapters.get(name)
    return LockedAdapter(
        provider=codec.provider,
        model=adapter.pin.model,
        name_class=name_class(codec.provider, adapter.pin.model).value,
        served=sorted(adapter.pin.served),
        served_pattern=adapter.pin.served_pattern,
        endpoint=codec.endpoint,
        codec=codec.version,
        call=import_path(codec.function) if adapter.invoked else None,
        grade=codec.grade.name.lower() if adapter.invoked and codec.grade is not Grade.UNKNOWN else None,
        labels=sorted(adapter.labels),
        on_mismatch=adapter.on_mismatch,
        require_grade=None if adapter.require_grade is None else adapter.require_grade.name.lower(),
        max_prompt_bytes=adapter.max_prompt,
        **({} if own is None else _configured(name, own, config, problems)),
    )


def _configured(name: str, own: AdapterConfig, config: Config, problems: list[str]) -> dict[str, Any]:
    """What only the configuration says."""
    given = by_origin(own.options)
    return {
        "query": urlsplit(own.base_url or "").query or None,
        "floating": own.floating,
        "options": json.dumps(given, sort_keys=True, ensure_ascii=False, default=str) if own.options else None,
        "weights": _weights(name, own, config.base, problems),
        "headers": {each.lower(): _origin(value) for each, value in sorted(own.headers.items())},
        "auth": own.auth,
        "text": own.text,
        "served_by": own.served_by,
        "allow_http": own.allow_http,
        "mode": own.mode,
        "stream": own.stream,
        "stream_end": own.stream_end,
        "transport": "httpx" if name not in config.over_aiohttp() else "aiohttp",
    }


def _origin(value: SecretStr) -> str:
    """Where a header's value comes from: it may be a secret."""
    return json.dumps(value.origin, sort_keys=True) if isinstance(value, Secret) else "<secret>"


def _weights(name: str, config: AdapterConfig, base: Path, problems: list[str]) -> str | None:
    if config.weights is None:
        return None
    try:
        return digest_of_file(base / config.weights)
    except OSError as error:
        problems.append(f"adapters.{name}.weights: {config.weights}: {error.strerror or error}")
        return None


def missing_weights(config: Config) -> list[str]:
    """The files of weights that are named and can't be read, as problems. None is read."""
    found: list[str] = []
    for name, each in config.adapters.items():
        try:
            if each.weights is not None:
                with (config.base / each.weights).open("rb"):
                    pass
        except OSError as error:
            found.append(f"adapters.{name}.weights: {each.weights}: {error.strerror or error}")
    return found
