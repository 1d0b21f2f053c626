"""Which adapters a capability's calls go to, and what guards each of them there: one isolation's, its calls come and go.

An adapter's own guards are shared by all capabilities. How good its answers are is known for each capability by itself, and
so is how many of its calls may be under way.
"""

from __future__ import annotations

import random

from failsoft.config import CapabilityConfig
from failsoft.core.breaker import Change
from failsoft.core.budget import fair_share
from failsoft.core.bulkhead import Bulkhead
from failsoft.core.effects import Clock
from failsoft.core.quality import Quality
from failsoft.core.route import GuardedAdapter, Route
from failsoft.health import QualityHealth, quality_health
from failsoft.hearing import Hearing


class Routing:
    """An isolation's adapters.

    Args:
        clock: of all guards.
        source: of their jitter.
        hearing: told what they do.
    """

    def __init__(self, clock: Clock, source: random.Random, hearing: Hearing) -> None:
        self.adapters: dict[str, GuardedAdapter] = {}
        self._clock = clock
        self._random = source
        self._hearing = hearing
        self._qualities: dict[tuple[str, str], Quality] = {}
        self._admissions: dict[str, Bulkhead] = {}

    def route(self, capability: str, settings: CapabilityConfig, *, ledger: bool) -> Route:
        """Of a capability's calls.

        Args:
            capability: its name.
            settings: its table.
            ledger: does each call wait for one, too?
        """
        adapters = tuple(self.adapters[each] for each in settings.adapters)
        fair = fair_share(settings.deadline, len(adapters), ledger=ledger)
        quality = {each.name: self.quality(capability, each.name) for each in adapters}
        return Route(adapters, fair, settings.hedge_after, quality, self._admission(capability, settings))

    def quality(self, capability: str, adapter: str) -> Quality:
        """How good an adapter's answers to a capability are."""
        found = self._qualities.get((capability, adapter))
        if found is None:

            def told(change: Change) -> None:
                self._hearing.changed(adapter, change, capability)

            mode = self.adapters[adapter].breaker.mode
            found = Quality(self._clock, self._random, told, mode, self._hearing.on_refusals(capability, adapter))
            self._qualities[capability, adapter] = found
        return found

    def qualities(self, adapter: str) -> list[Quality]:
        """Of an adapter, for all capabilities so far."""
        return [each for (_, name), each in list(self._qualities.items()) if name == adapter]

    def quality_states(self, capability: str, now: int) -> dict[str, QualityHealth]:
        """Of a capability's adapters so far, by their names."""
        found = list(self._qualities.items())
        return {name: quality_health(each, now) for (owner, name), each in found if owner == capability}

    def after_fork(self) -> None:
        """In a forked child: new locks, no permits."""
        for quality in self._qualities.values():
            quality.after_fork()
        for admission in self._admissions.values():
            admission.after_fork()
        for adapter in self.adapters.values():
            for guard in (adapter.breaker, adapter.throttle, adapter.bulkhead, adapter.budget):
                guard.after_fork()
            for latch in adapter.latches:
                latch.after_fork()
            if adapter.limits is not None:
                adapter.limits.after_fork()
            if adapter.keeper is not None:
                adapter.keeper.after_fork()

    def _admission(self, capability: str, settings: CapabilityConfig) -> Bulkhead | None:
        if settings.max_in_flight is not None and capability not in self._admissions:
            self._admissions[capability] = Bulkhead(settings.max_in_flight, 0)
        return self._admissions.get(capability)
