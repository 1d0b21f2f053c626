"""From a provider's name to its codec, which is imported only then."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from failsoft.adapters.access import Access
from failsoft.core.effects import Codec
from failsoft.errors import ConfigurationError
from failsoft.providers import Provider


def codec_of(provider: Provider, access: Access) -> Codec:
    """The codec that speaks to a provider.

    Raises:
        ConfigurationError: what `access` holds is unusable, all of it told; or the provider's codec can't be imported.
    """
    module, _, name = provider.codec.partition(":")
    try:
        made = cast("Callable[[Access], Codec]", getattr(importlib.import_module(module), name))
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"provider: the codec of {provider.name} can't be had: {error}") from error
    return made(access)


def api_of(provider: Provider, url: str) -> str | None:
    """Which of a provider's interfaces a URL belongs to; None where it's none that is known."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return next((api for api, pattern in provider.apis.items() if re.search(pattern, path)), None)
