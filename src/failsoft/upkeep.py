"""What somebody looks after between releases: is the lock still true, and how long do the pins last?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from attrs import define, field

from failsoft.core.effects import SECOND, Clock
from failsoft.errors import ConfigurationError
from failsoft.lockfile.compare import differences
from failsoft.lockfile.document import Lock, read_lock
from failsoft.lockfile.facts import InForce, lock_of
from failsoft.retirements.table import known_to
from failsoft.retirements.watch import PinStanding, RetirementWatch, pins_in_use


@define(eq=False)
class Upkeep:
    """One isolation's lock and pins.

    Args:
        what: is in force.
        clock: says which day it is.
        emit: an event of the catalogue, by its name and fields.
    """

    what: InForce
    clock: Clock
    emit: Callable[..., None]
    watch: RetirementWatch = field(init=False)
    _looked_on: date | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.watch = RetirementWatch(self.emit)

    @property
    def lock_path(self) -> Path:
        """Where the lock is: beside the configuration, named as it is."""
        return self.what.lock_path

    @property
    def retirements_path(self) -> Path:
        """Where the application's own announcements are."""
        return self.lock_path.with_suffix(".retirements.csv")

    def lock(self, before: Lock | None = None) -> Lock:
        """The lock of what is in force now. Arguments and errors as `failsoft.isolation.Isolation.lock`."""
        return lock_of(self.what, before)

    def held(self) -> Lock:
        """The lock as written, where it says just what is in force.

        Raises:
            ConfigurationError: it can't be used, or something differs: each difference in a sentence.
        """
        written = read_lock(self.lock_path)
        found = differences(written, self.lock(written))
        if found:
            way_out = f"{self.lock_path.name}: is stale: if all of this is meant, write it anew: failsoft lock"
            raise ConfigurationError([*map(str, found), way_out])
        return written

    def pin_standings(self, day: date | None = None) -> list[PinStanding]:
        """How each pin stands. Arguments and errors as `failsoft.isolation.Isolation.pin_standings`."""
        return pins_in_use(self.what.adapters, known_to(self.retirements_path), day or self.today())

    def today(self) -> date:
        """The day, UTC."""
        return datetime.fromtimestamp(self.clock.time_ns() // SECOND, UTC).date()

    def look_at_retirements(self) -> None:
        """Once a day, tell of pins that are about to end; a file that can't be read is no reason to stand still."""
        today = self.today()
        if self._looked_on == today:
            return
        self._looked_on = today
        try:
            self.watch.look(self.pin_standings(today))
        except ConfigurationError as error:
            self.emit("retirements.unreadable", reason="; ".join(error.problems))
