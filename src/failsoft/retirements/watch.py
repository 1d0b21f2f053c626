"""The pins in use against the announced retirements: how many days are left, and who is told when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final

from attrs import define, field, frozen

from failsoft.adapters.name_class import NameClass, name_class
from failsoft.core.route import GuardedAdapter
from failsoft.outcome import Pin
from failsoft.retirements.table import Announcement, Retirements, Standing, State

THRESHOLDS: Final = (90, 30, 7, 0)
"""Days before its end at which a pin's retirement is told."""


@frozen
class PinStanding:
    """One adapter's pin on a day.

    Args:
        adapter: its name.
        model: as asked for.
        retiring: the name that the announcement is about: the asked one, or one that it's served as.
    """

    adapter: str
    provider: str
    model: str
    name_class: NameClass
    retiring: str
    standing: Standing

    @property
    def threshold(self) -> int | None:
        """The smallest of `THRESHOLDS` that has been reached; None while none has."""
        left = self.standing.days_left
        return None if left is None else min((each for each in THRESHOLDS if left <= each), default=None)


def standing_of(adapter: str, provider: str, pin: Pin, known: Retirements, day: date) -> PinStanding:
    """How a pin stands on a day: by the name asked for, else by one that may be served."""
    kind = name_class(provider, pin.model)
    for name in (pin.model, *pin.served):
        found = known.standing(provider, name, day)
        if found.state is not State.UNKNOWN:
            return PinStanding(adapter, provider, pin.model, kind, name, found)
    return PinStanding(adapter, provider, pin.model, kind, pin.model, Standing(State.UNKNOWN))


def pins_in_use(adapters: Mapping[str, GuardedAdapter], known: Retirements, day: date) -> list[PinStanding]:
    """Every adapter's pin on a day, the one that ends first before the others."""
    found = [standing_of(name, each.codec.provider, each.pin, known, day) for name, each in adapters.items()]
    return sorted(found, key=_soonest)


def _soonest(pin: PinStanding) -> tuple[bool, int, str]:
    left = pin.standing.days_left
    return left is None, left or 0, pin.adapter


@define
class RetirementWatch:
    """Tells of each pin as it reaches 90, 30, 7 and 0 days before its end, each once.

    Args:
        emit: an event of the catalogue, by its name and fields.
    """

    emit: Callable[..., None]
    _told: dict[tuple[str, str], int] = field(init=False, factory=dict[tuple[str, str], int])

    def look(self, pins: Iterable[PinStanding]) -> None:
        """Tell what wasn't told yet."""
        for each in pins:
            threshold, announcement = each.threshold, each.standing.announcement
            key = each.adapter, each.retiring
            if threshold is None or announcement is None or self._told.get(key, threshold + 1) <= threshold:
                continue
            self._told[key] = threshold
            self.emit("pin.retiring", **_fields(each, announcement))


def _fields(pin: PinStanding, announcement: Announcement) -> dict[str, Any]:
    return {
        "adapter": pin.adapter,
        "model": pin.retiring,
        "days_left": pin.standing.days_left,
        "retires": str(announcement.retires),
        "replacement": announcement.replacement,
        "source": announcement.source,
    }
