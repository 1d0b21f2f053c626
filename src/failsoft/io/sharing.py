"""The thread that shares this process's state with its peers: the only one that talks to the store, and nobody waits for it.

Over and over it lets the fleet act, exchanges with the store, and waits: for a word from the store, for a change here
(`told`), or until the fleet has something to do. A store of a file is also looked at by the calls themselves
(`failsoft.io.block_file`), so its thread begins with the first change, and sleeps while nothing is open.

When the store is lost (`state.degraded`), it's tried again after 0.1 s, then twice as long each time, at most 5 s. Until
it's back (`state.recovered`) each process decides for itself, and the last known blocks stay in force. Whatever goes wrong
in here is such a loss: it never reaches a call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from failsoft.core.effects import SECOND, Clock
from failsoft.core.fleet import Fleet
from failsoft.core.fleet_member import Told
from failsoft.core.shared import Facts, StateLost, StateStore, merged, news
from failsoft.errors import ConfigurationError
from failsoft.io.block_file import PREFIX, BlockFile

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to reach a store that's lost."""

PATIENCE = 2.0
"""Seconds that entering, leaving, and whoever throws the switch wait for the store: never a call."""

SHORTEST_WAIT = 0.001


@frozen
class Sharing:
    """Whether state is shared, at one moment.

    Args:
        store: ``file``, ``postgresql``, or ``none``.
        degraded_since: since when the store can't be reached, in nanoseconds since 1970; None while it can.
        reason: why not; empty while it can.
    """

    store: str
    degraded_since: int | None = None
    reason: str = ""


class Sharer:
    """Shares the state of one isolation.

    Args:
        store: where.
        fleet: what, and what follows.
        blocks: this host's copy of the blocks; None where the store is the file that keeps them.
        clock: the isolation's.
        tell: hears `state.degraded` and `state.recovered`.
    """

    def __init__(
        self,
        store: StateStore,
        fleet: Fleet,
        blocks: BlockFile | None,
        clock: Clock,
        tell: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._blocks = blocks
        self._clock = clock
        self._tell = tell
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closing = False
        self._opened = False
        self._stored: Facts = {}  # the blocks that the store has
        self._pause = FIRST_PAUSE
        self._retry = threading.Event()
        self._rounds = threading.Condition()
        self._begun = self._done = self._kept = 0
        self.sharing = Sharing(store.kind)
        """How it stands."""

    def start(self) -> None:
        """Reach the store once, here and now, and go on in a thread where that's needed.

        Raises:
            ConfigurationError: the store can be reached, and can't be used.
        """
        if self._round() and self._is_due():
            self._round()  # an adapter's trial is due: a process that ends before its thread has asked would never make it
        if self._store.always or self._fleet.next_due(self._clock.monotonic_ns()) is not None:
            self.wake()

    def told(self, adapter: str, change: Told) -> None:
        """A guard changed: queued, for the thread to tell."""
        if self._fleet.told(adapter, change):
            self.wake()

    def wake(self) -> None:
        """There's something to do. Begins the thread if none runs."""
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._closing:
                    self._thread = threading.Thread(target=self._run, name="failsoft-sharing", daemon=True)
                    self._thread.start()
        self._store.wake()

    def publish(self) -> bool:
        """Wait until peers can see the blocks as they are now. False: the store is down, and they'll see them later."""
        with self._rounds:
            wanted = self._begun + 1
            self._retry.set()
            self.wake()
            self._rounds.wait_for(lambda: self._done >= wanted, PATIENCE)
            return self._kept >= wanted

    def close(self) -> None:
        """Give leases back and let go of the store."""
        with self._lock:
            self._closing = True
            thread = self._thread
        self._retry.set()
        self._store.wake()
        if thread is not None:
            thread.join(PATIENCE)
        elif self._opened:
            self._leave()

    def after_fork(self, process: str) -> None:
        """In the child, a peer of its parent from here on: no thread, no connection, no lease.

        Args:
            process: its name among its peers.
        """
        self._thread = None
        self._opened = False
        self._lock = threading.Lock()
        self._rounds = threading.Condition()
        self._retry = threading.Event()
        self._store.after_fork()
        self._fleet.after_fork(process)
        if self._store.always:
            self.wake()

    def _is_due(self) -> bool:
        now = self._clock.monotonic_ns()
        due = self._fleet.next_due(now)
        return due is not None and due <= now

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            if self._round():
                self._wait()
            else:
                self._retry.wait(self._pause)
                self._retry.clear()
                self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        if self._opened:
            self._leave()

    def _round(self) -> bool:
        """One exchange, and what follows from it. False: the store is lost."""
        with self._rounds:
            self._begun += 1
        kept = False
        try:
            self._exchange()
            kept = True
        except StateLost as lost:
            self._lose(str(lost))
        except ConfigurationError as error:
            self._lose("refused")
            if self._thread is None:
                raise ConfigurationError(error.problems) from None
        except Exception as error:  # a bug here mustn't end the thread, and shows in the event
            self._lose(f"bug: {type(error).__name__}")
        finally:
            with self._rounds:
                self._done = self._begun
                self._kept = self._begun if kept else self._kept
                self._rounds.notify_all()
        return kept

    def _exchange(self) -> None:
        if not self._opened:
            self._store.open()
            self._opened = True
        asked = self._clock.monotonic_ns()
        self._fleet.conduct(asked)
        outgoing = self._fleet.outgoing(asked)
        facts = outgoing.facts
        if self._blocks is not None:
            self._blocks.look(asked)
            facts = merged(facts, news(self._blocks.facts(), self._stored))
        seen = self._store.exchange(facts, outgoing.asks)
        now = self._clock.monotonic_ns()
        try:
            self._take_blocks(seen.facts)
        finally:  # neither keeps the other from arriving
            self._fleet.heard(seen, asked, now)
            self._fleet.conduct(now)
        self._recover()

    def _take_blocks(self, facts: Facts) -> None:
        if self._blocks is not None:
            self._stored = {name: each for name, each in facts.items() if name.startswith(PREFIX)}
            self._blocks.merge(self._stored)

    def _wait(self) -> None:
        now = self._clock.monotonic_ns()
        due = self._fleet.next_due(now)
        if due is None and self._store.always:
            due = now + self._fleet.refresh
        if self._store.always and due is not None:
            due = min(due, now + self._fleet.refresh)
        try:
            self._store.wait(None if due is None else max(SHORTEST_WAIT, (due - now) / SECOND))
        except StateLost as lost:
            self._lose(str(lost))

    def _lose(self, reason: str) -> None:
        self._fleet.lost()
        self._fleet.collect()
        if self._opened:
            self._opened = False
            self._store.close()
        if self.sharing.degraded_since is None:
            self.sharing = Sharing(self._store.kind, self._clock.time_ns(), reason)
            self._tell("state.degraded", {"store": self._store.kind, "reason": reason})

    def _recover(self) -> None:
        self._pause = FIRST_PAUSE
        since = self.sharing.degraded_since
        if since is not None:
            self.sharing = Sharing(self._store.kind)
            lasted = max(0, self._clock.time_ns() - since) // 1_000_000
            self._tell("state.recovered", {"store": self._store.kind, "ms": lasted})

    def _leave(self) -> None:
        self._opened = False
        last = self._fleet.leaving()
        try:
            if last:
                self._store.exchange(last.facts, ())
        except StateLost:
            pass  # the leases lapse
        finally:
            self._store.close()
