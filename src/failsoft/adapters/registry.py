"""From a provider's name to its codec, which is imported only then."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from failsoft.adapters.access import Access
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import Codec
from failsoft.errors import ConfigurationError
from failsoft.providers import PROVIDERS, Provider

NOWHERE = "https://nowhere.invalid/v1"
"""The place of a codec that only reads."""


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


def reader_of(provider: Provider, api: str | None, model: str) -> Codec:
    """A codec that only reads what came, whole or streamed.

    Args:
        provider: whose replies.
        api: by which of its interfaces; None: its first.
        model: that was asked for.

    Raises:
        ConfigurationError: that interface can't tell by the model's name how to read it.
    """
    options = {"api": api} if api is not None and len(provider.apis) > 1 else {}
    streaming = Streaming() if provider.streams else None
    return codec_of(provider, Access(model, provider.name, NOWHERE, streaming=streaming, options=options))


def api_of(provider: Provider, url: str) -> str | None:
    """Which of a provider's interfaces a URL belongs to; None where it's none that is known."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return next((api for api, pattern in provider.apis.items() if re.search(pattern, path)), None)


_GENERIC = "openai-compatible"
"""Whose dialect is spoken at most places that aren't a provider's own."""


def speaker_of(url: str) -> tuple[Provider, str] | None:
    """Whose dialect is spoken at a URL, and by which interface: by its host first, then by its path; None: nobody's."""
    home = at_home(url)
    for each in (*home, PROVIDERS[_GENERIC], *PROVIDERS.values()):
        api = api_of(each, url)
        if api is not None and each.apis[api]:  # one that may be anywhere is told by no URL
            return each, api
    return None


def at_home(url: str) -> tuple[Provider, ...]:
    """The providers whose own place a URL's host is; this machine is nobody's."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ()
    if host in (None, "localhost", "127.0.0.1", "::1"):
        return ()
    return tuple(each for each in PROVIDERS.values() if each.base_url is not None and f"//{host}" in each.base_url)
