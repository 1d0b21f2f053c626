"""To which provider a call was sent, as far as a ledger tells: by the configuration that was in force, and by the reply.

Rules:

1. An adapter's provider is what the configuration snapshot says that its call names; the snapshot hashes to that name.
2. An attempt's address counts too: a provider's own host, or one below it such as a region's, is that provider, whatever
   dialect the adapter is told to speak. The call of an observed SDK says where it went at its end, and not before.
3. A reply that says who answered behind a gateway is believed where it names the provider asked about: never as an alibi.
   One that has a word in common with its names may name it. Where a router's reply names nobody, nobody knows.
4. A callable adapter is a function of the application's, and so is one that the snapshot doesn't name, since only functions
   become adapters in code: whom they ask isn't known. Nor is it where there's no snapshot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import urlsplit

from attrs import define, field, frozen

from failsoft.ledger.read import Reader
from failsoft.ledger.reading.query import Fields
from failsoft.providers import CALLABLE, PROVIDERS, ROUTERS, known

UNKNOWN = ""
"""The provider of an adapter that no configuration on record names."""

_KEPT = 256  # configurations in memory: a hostile ledger must not grow it
_PLACE = re.compile(r"\{[a-z_]+\}")
_DOTS = re.compile("[\u3002\uff0e\uff61]")
_ANYBODYS = frozenset({"ai", "cloud", "api", "service", "models"})
"""Words in a gateway's name for somebody that tell nothing."""


@frozen
class Sender:
    """An adapter as a configuration has it.

    Args:
        provider: its name; `UNKNOWN` where no configuration on record says it.
        place: host and port that it's configured for; empty where the provider's own is used.
    """

    provider: str
    place: str = ""

    @property
    def is_known(self) -> bool:
        """Is it known whom it asks?"""
        return self.provider not in (UNKNOWN, CALLABLE)


@frozen
class Configuration:
    """What a snapshot says of sending.

    Args:
        policy: ``on_ledger_failure``; empty where it isn't known.
        senders: by the adapters' names; None: an observed SDK, whose adapters are named as the providers.
    """

    policy: str = ""
    senders: Mapping[str, Sender] | None = field(factory=lambda: MappingProxyType[str, Sender]({}))

    def sender(self, adapter: str) -> Sender:
        """The adapter of this name."""
        if self.senders is None:
            return Sender(adapter)
        return self.senders.get(adapter, Sender(CALLABLE if self.policy else UNKNOWN))


@define
class Configurations:
    """The snapshots on record, by their digests. Kept as they're read, the first few hundred of them."""

    reader: Reader
    providers: set[str] = field(factory=set[str])
    """All that were named so far."""
    _kept: dict[str, Configuration] = field(factory=dict[str, Configuration])

    def get(self, digest: str) -> Configuration:
        """What stands behind a digest: nothing where it isn't there, isn't it, or can't be read."""
        found = self._kept.get(digest)
        if found is None:
            found = self._read(digest)
            if len(self._kept) < _KEPT:
                self._kept[digest] = found
        return found

    def _read(self, digest: str) -> Configuration:
        try:
            artifact = self.reader.artifact(digest)
            if artifact is None or sha256(artifact[1]).hexdigest() != digest:
                return Configuration()
            return self._configuration(json.loads(artifact[1]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Configuration()

    def _configuration(self, snapshot: Mapping[str, Any]) -> Configuration:
        if snapshot.get("observed") is True:
            return Configuration("continue", None)
        adapters = cast("Mapping[str, Mapping[str, Any]]", snapshot["adapters"])
        senders = {
            name: Sender(str(each["provider"]), place_of(str(each.get("base_url", ""))))
            for name, each in adapters.items()
        }
        self.providers.update(each.provider for each in senders.values())
        return Configuration(str(snapshot["on_ledger_failure"]), senders)


@frozen
class Subject:
    """The provider that is asked about.

    Args:
        name: as adapters name it.
        home: its own host, those below it and any port, as a regular expression; None where it has none that is known.
        called: what gateways call it besides.
    """

    name: str
    home: re.Pattern[str] | None = None
    called: tuple[str, ...] = ()

    @classmethod
    def named(cls, name: str) -> Subject:
        """The provider of this name."""
        own = PROVIDERS.get(name.replace("_", "-"))
        if own is None:
            return cls(name)
        base = place_of(_PLACE.sub("*", own.base_url or ""))
        return cls(own.name, _home((base, *own.hosts)), own.called)

    def is_asked_by(self, sender: Sender) -> bool:
        """Does the configuration send this adapter's calls there?"""
        return sender.provider == self.name or self.is_at(sender.place)

    def is_at(self, place: str) -> bool:
        """Is this its own host?"""
        return self.home is not None and self.home.fullmatch(place) is not None

    def is_named_by(self, attempt: Fields) -> bool:
        """Does the reply say that it answered behind somebody else?"""
        upstream = _upstream(attempt)
        return bool(upstream) and "".join(upstream) in {"".join(each) for each in self._names()}

    def may_be_named_by(self, attempt: Fields) -> bool:
        """Does the reply name somebody who may be it: by a word of its names, and not by another one's own name?"""
        upstream = _upstream(attempt)
        words = {word for each in self._names() for word in each} - _ANYBODYS
        return not words.isdisjoint(upstream) and "".join(upstream) not in _OWN_NAMES

    def _names(self) -> list[list[str]]:
        return [_words(each) for each in (self.name, *self.called)]


def passes_on(sender: Sender, place: str = "") -> bool:
    """Is it a router, by its provider or by its host (host and port), which hands each call on to others?"""
    return any(each.is_asked_by(sender) or each.is_at(place) for each in _ROUTERS)


def names_nobody(attempt: Fields) -> bool:
    """Does the reply to it not say who answered behind a gateway?"""
    return not _upstream(attempt)


def is_provider(name: str) -> bool:
    """Does failsoft know a provider of this name?"""
    return name.replace("_", "-") in known()


def place_of(url: str) -> str:
    """Host and port of an address, lower-case; empty where it has none. Its dots are those of RFC 3490, 3.1: a client takes
    each for one.
    """
    try:
        parts = urlsplit(url)
        host, port = _DOTS.sub(".", parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return ""
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return host if port in (None, usual) else f"{host}:{port}"


def _upstream(attempt: Fields) -> list[str]:
    return _words(attempt.get("served", {}).get("upstream", ""))


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.casefold())


def _home(hosts: Iterable[str]) -> re.Pattern[str] | None:
    found = [re.escape(each).replace(r"\*", "[a-z0-9-]*") for each in hosts if each]
    return re.compile(rf"(?:[a-z0-9-]+\.)*(?:{'|'.join(found)})(?::[0-9]+)?") if found else None


_OWN_NAMES = frozenset("".join(_words(each)) for each in PROVIDERS)
_NAMELESS = "\0"  # no configuration's
_ROUTERS = (
    Subject(_NAMELESS, _home(ROUTERS)),
    *(Subject.named(each.name) for each in PROVIDERS.values() if each.passes_on),
)
