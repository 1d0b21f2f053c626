"""How an adapter gets at its provider: what a codec is made from, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from attrs import field, frozen

from failsoft.adapters.streaming import Streaming
from failsoft.errors import ConfigurationError


@frozen
class Access:
    """What a codec is made from.

    Args:
        model: the model that will be asked for: some dialects depend on it.
        provider: the name that records carry.
        base_url: absolute, without the interface's path; a query is kept. A name in braces stands for what the option of
            that name says.
        api_key: the key, where one is fixed; None: none, or one that comes with each attempt.
        headers: sent with each request.
        streaming: have replies streamed, so; None: whole.
        secrets: what of `options` may never come back into a record.
        options: the adapter's own, as ``[adapters.NAME.options]`` gives them: read by `Options`.
    """

    model: str
    provider: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    streaming: Streaming | None = None
    options: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Options:
    """Reads an adapter's own options, each by what it may be, and tells all that's wrong at once.

    Args:
        given: as configured.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._left = dict(given)
        self._known: list[str] = []
        self._problems: list[str] = []

    def _take(self, name: str) -> Any:
        self._known.append(name)
        return self._left.pop(name, None)

    def _wrong(self, name: str, wanted: str) -> None:
        self._problems.append(f"options.{name}: must be {wanted}")

    def choice(self, name: str, *allowed: str) -> str:
        """One of several words; the first is the default."""
        value = self._take(name)
        if value is None:
            return allowed[0]
        if value not in allowed:
            self._wrong(name, "one of " + ", ".join(f'"{each}"' for each in allowed))
            return allowed[0]
        return str(value)

    def text(self, name: str, default: str = "") -> str:
        """A text of 1 to 512 printable characters."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, str) or not 0 < len(value) <= 512 or not value.isprintable():
            self._wrong(name, "a text of 1 to 512 printable characters")
            return default
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self._wrong(name, "true or false")
            return default
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty where there's none."""
        value: object = self._take(name)
        if value is None:
            return ()
        listed = cast("list[object]", value) if isinstance(value, list | tuple) else [None]
        if not all(isinstance(each, str) and each for each in listed):
            self._wrong(name, "a list of texts, none of them empty")
            return ()
        return tuple(cast("list[str]", listed))

    def table(self, name: str) -> dict[str, Any]:
        """A table whose content is the provider's own: empty where there's none."""
        value: object = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(name, "a table")
            return {}
        return cast("dict[str, Any]", value)

    def refuse(self, name: str, why: str) -> None:
        """An option that's known but can't stand, for a reason of the codec's own."""
        self._problems.append(f"options.{name}: {why}")

    def done(self) -> None:
        """All were read.

        Raises:
            ConfigurationError: one is of the wrong kind, or none of those that were asked for.
        """
        known = ", ".join(sorted(self._known)) or "none"
        self._problems += [f"options.{each}: unknown key; known are: {known}" for each in self._left]
        if self._problems:
            raise ConfigurationError(self._problems)
