"""The front door: an application's capabilities, isolated from the providers that answer them.

    isolation = Isolation.from_file("failsoft.toml", capabilities=[ClassifyItem])
    async with isolation:
        outcome = await isolation[ClassifyItem](Item(description="…"))

The constructor reads configuration and nothing else: no file of the ledger is opened, no thread started, no connection
made before the isolation is entered.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import os
import random
import socket
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import httpx

from failsoft import assembly, assembly_adapters, shared_state
from failsoft.adapters.grades import check_belief, grade_of
from failsoft.capability import Capability
from failsoft.config import AdapterConfig, Config
from failsoft.config_read import Draft, read_file, read_mapping, unknown_adapters
from failsoft.core.breaker import Mode
from failsoft.core.call import World
from failsoft.core.contract import Contract
from failsoft.core.degraded import DegradedWindow
from failsoft.core.effects import Clock
from failsoft.core.evidence import Act, ConfigActivated
from failsoft.core.route import NoBlocks
from failsoft.entering import Entry
from failsoft.errors import ConfigurationError, IsolationClosed
from failsoft.health import Health, adapter_health, capability_health, state_health
from failsoft.hearing import Hearing
from failsoft.io.block_file import Block, BlockFile
from failsoft.io.clock import SystemClock
from failsoft.io.drive_async import AsyncDriver
from failsoft.io.drive_sync import SyncDriver
from failsoft.io.fork import mend_after_fork
from failsoft.io.sharing import Sharer, Sharing
from failsoft.isolated import Isolated, Running
from failsoft.keeping import retention_of
from failsoft.kill_switch import KillSwitch
from failsoft.ledger.location import Location
from failsoft.ledger.records.redaction import redactor
from failsoft.ledger.writing.writer import StoredLedger
from failsoft.lockfile.adapter_facts import missing_weights
from failsoft.lockfile.document import Lock
from failsoft.lockfile.facts import InForce
from failsoft.outcome import Grade, GradeName, Pin
from failsoft.retirements.watch import PinStanding
from failsoft.review import Decision
from failsoft.reviewing import NOT_GIVEN, Said, record_act
from failsoft.routing import Routing
from failsoft.signing import location_of, signing_of
from failsoft.telemetry import Telemetry
from failsoft.transports import Transports
from failsoft.upkeep import Upkeep

Q = TypeVar("Q")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

LEAVE_SECONDS = 1.0
"""What leaving an isolation waits for the ends of calls under way, so that they're on record."""

Given = type[Capability[Any, Any]] | Capability[Any, Any]


class Isolation:
    """An application's capabilities behind adapters, breakers, fallbacks and a ledger.

    Args:
        config: a `Config`, or a mapping of the same shape as ``failsoft.toml``.
        capabilities: classes, instances or ``@capability`` functions. None: those that the configuration names by
            ``class``.
        transport: another `httpx.AsyncBaseTransport` for asyncio, e.g. with a corporate proxy or client certificates.
        sync_transport: the same for ``.sync``; without it, `transport` serves ``.sync`` through a background loop.

    Raises:
        ConfigurationError: everything that's wrong, at once.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any],
        *,
        capabilities: Iterable[Given] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sync_transport: httpx.BaseTransport | None = None,
    ) -> None:
        if isinstance(config, (str, os.PathLike)):
            raise ConfigurationError(f"{config}: that's a file: use Isolation.from_file")
        draft = Draft.of(config) if isinstance(config, Config) else read_mapping(config)
        self._set_up(draft, capabilities, transport, sync_transport)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        capabilities: Iterable[Given] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sync_transport: httpx.BaseTransport | None = None,
        keyless: bool = False,
    ) -> Self:
        """From a ``failsoft.toml``. Arguments and errors as the class's.

        Args:
            path: of the file.
            capabilities: as the class's.
            transport: as the class's.
            sync_transport: as the class's.
            keyless: the keys needn't be there, for whoever only looks, blocks or locks: a provider that's asked all the
                same refuses.
        """
        self = cls.__new__(cls)
        self._set_up(read_file(Path(path), keyless=keyless), capabilities, transport, sync_transport)
        return self

    def _set_up(
        self,
        draft: Draft,
        given: Iterable[Given] | None,
        transport: httpx.AsyncBaseTransport | None,
        sync_transport: httpx.BaseTransport | None,
    ) -> None:
        self.telemetry = Telemetry()
        self._clock = self._make_clock()
        self._purpose: str | None = None
        """What its configuration is for, for the record."""
        self._hearing = Hearing(self.telemetry, self._clock)
        self._random = random.Random()  # noqa: S311 - jitter and identifiers, no secrets
        self._foreign = (transport, sync_transport)
        self._lock = threading.Lock()
        self._entered = 0
        self.running: Running | None = None
        self._ledger: StoredLedger | None = None
        self._sharer: Sharer | None = None
        self._warned = False
        problems = list(draft.problems)
        unknown = unknown_adapters(draft)
        self._config = config = draft.config
        self._parts = assembly_adapters.Parts(self._clock, self._random, self._hearing.changed, self._hearing.full)
        found = assembly.instances(
            assembly.imported(config.capabilities, problems) if given is None else given, problems
        )
        problems += _strangers(config, found) if given is not None else []
        self._routing = Routing(self._clock, self._random, self._hearing)
        self._adapters = self._routing.adapters
        for name, each in config.adapters.items():
            adapter = assembly_adapters.guarded(name, each, problems, self._parts)
            if adapter is not None:
                self._adapters[name] = adapter
        assembly.check_transport(config, problems)
        assembly.check_state(config, problems)
        spools = self._clock if config.on_ledger_failure == "spool" else None
        self._location = location_of(config.ledger, problems, spools)
        self._signing = signing_of(config.ledger, problems)
        retention_of(config.retention, problems)
        settings = assembly.pick(config, found)
        self._contracts: dict[str, Contract[Any, Any]] = {}
        self._windows: dict[str, DegradedWindow] = {}
        for name, instance in found.items():
            contract = assembly.contract_of(instance, settings[name], problems)
            if contract is not None:
                assembly.check_schemas(contract, settings[name].adapters, self._adapters, problems)
                assembly.check_times(contract, settings[name], config.adapters, problems)
                self._contracts[name] = contract
                limits = settings[name].degraded_window, settings[name].degraded_limit
                self._windows[name] = DegradedWindow(*limits, self._clock, self._hearing.on_share(name))
        self._settings = settings
        what = InForce(config, self._contracts, settings, self._adapters)
        self._upkeep = Upkeep(what, self._clock, self.telemetry.emit)
        self._by_name = {name: self._isolate(name) for name in self._contracts}
        self._by_identity = {id(each): self._by_name[name] for name, each in found.items() if name in self._by_name}
        kinds = Counter(type(each) for each in found.values())  # a class with two instances names neither
        self._by_class = {
            type(each): self._by_name[name]
            for name, each in found.items()
            if kinds[type(each)] == 1 and name in self._by_name
        }
        self._redact = redactor(
            lambda: {each for adapter in self._adapters.values() for each in adapter.secrets},
            patterns=config.ledger.redact,
        )
        place = shared_state.block_place(config)
        self._switch = KillSwitch(
            place,
            self._adapters,
            self._contracts,
            self._routing.qualities,
            self._clock,
            self._hearing.block_changed,
            self._hearing.blocks_read,
            lambda why: self._redact(why.encode())[0].decode(),
        )
        # A name that resembles a configured one is a slip; another may still be given in code, before entering.
        if problems or any(each.suggestion is not None for each in unknown):
            raise ConfigurationError([*problems, *map(str, unknown)])
        mend_after_fork(self)

    def _make_clock(self) -> Clock:
        """The clock of everything here; `failsoft.testing.SimulatedIsolation` has another."""
        return SystemClock()

    # --- adapters in code ---------------------------------------------------------------------------------------------

    def adapter(
        self,
        name: str,
        *,
        model: str,
        text: Callable[[Any], str | bytes | None] | None = None,
        served: Callable[[Any], str | None] | None = None,
        grade: Grade | GradeName = Grade.UNKNOWN,
        **options: Any,
    ) -> Callable[[F], F]:
        """Make the decorated function an adapter: an existing SDK or framework call, isolated as it stands.

            @isolation.adapter("legacy", model="gpt-4.1-2025-04-14", served=lambda reply: reply.model, text=…)
            def legacy(ask: Ask): ...

        Args:
            name: as capabilities name it in their ``adapters``.
            model: the pinned model that the function asks for.
            text: from what the function returned to the answer's JSON text.
            served: from what the function returned to the name of the model that answered.
            grade: how far that name can be believed: a `failsoft.outcome.Grade`, or ``"provider"``, ``"gateway"``,
                ``"echoed"`` or ``"unknown"``.
            options: as in an ``[adapters.NAME]`` table: ``labels``, ``concurrency``, ``attempts``, …

        Raises:
            ConfigurationError: a name that's taken, an option that's wrong, a grade that isn't one or can't be what
                ``require_grade`` demands, a client that retries by itself.
        """
        table = {**options, "provider": "callable", "model": model}
        draft = read_mapping({"adapters": {name: table}})
        problems = list(draft.problems)
        for key, given in (("text", text), ("served", served)):
            if given is not None and not callable(given):
                problems.append(
                    f"adapters.{name}.{key}: in code it's a function of what the adapter's function returned"
                    + (", such as served=lambda reply: reply.model" if key == "served" else "")
                )
        believed = grade_of(grade, f"adapters.{name}", problems)
        own = draft.config.adapters.get(name)
        if own is not None:
            check_belief(own, f"adapters.{name}", problems, believed, served=served is not None)
        if name in self._adapters:
            problems.append(f'adapters.{name}: there is one named "{name}" already')

        def register(function: F) -> F:
            found = list(problems)
            codec = assembly_adapters.function_codec(
                function, f"adapters.{name}", found, text=text, served=served, grade=believed
            )
            if found or codec is None:
                raise ConfigurationError(found)
            config: AdapterConfig = draft.config.adapters[name]
            self._adapters[name] = assembly_adapters.guard(name, codec, config, self._parts)
            return function

        return register

    # --- entering -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        entry = Entry(self._enter, self._leave)
        try:
            await asyncio.get_running_loop().run_in_executor(None, entry.run)
        except asyncio.CancelledError:
            entry.abandon()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._entered == 1 and self.running is not None:
                await self.running.asynchronous.aclose()
                await self._transports.aclose()
        finally:  # an exit always leaves, also one that is cancelled
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._leave))

    def _enter(self) -> None:
        with self._lock:
            if self._entered == 0:
                self._open()
            self._entered += 1

    def _leave(self) -> None:
        with self._lock:
            if self._entered == 0:  # somebody left twice: whoever enters next must find it so
                return
            self._entered -= 1
            if self._entered == 0:
                self._close()

    def _open(self) -> None:
        config = self._config
        unknown = self.unknown_adapters()
        if unknown:
            raise ConfigurationError(unknown)
        self.telemetry.prepare()
        routes = {
            name: self._routing.route(name, self._settings[name], ledger=self.ledger is not None)
            for name in self._contracts
        }
        snapshot, _ = self._redact(config.snapshot())  # the digest is of what's on record
        lock = self._upkeep.held() if config.locked else None
        transports = self._open_transports()
        blocks = self._switch.open(self._hearing.facts_changed)
        try:
            self._ledger = self._hearing.ledger = ledger = self._open_ledger(snapshot, lock)
            self._share(blocks)
            world = World(
                self._clock,
                self._random,
                self.telemetry,
                NoBlocks() if blocks is None else blocks,
                ledger,
                "fallback" if config.on_ledger_failure == "spool" else config.on_ledger_failure,
                config.on_bug,
                "" if ledger is None else hashlib.sha256(snapshot).hexdigest(),
            )
            self.running = Running(world, *transports, routes)
            self._upkeep.look_at_retirements()
        except BaseException:
            self._close()
            raise

    def _share(self, blocks: BlockFile | None) -> None:
        """Take part in the fleet, where there's one."""
        self._sharer = self._hearing.sharer = self._make_sharer(blocks)
        if self._sharer is None:
            return
        if self._config.state.database is not None:
            assert blocks is not None  # at the least in memory
            blocks.unknown()
            self._switch.publish = self._sharer.publish
        self._sharer.start()

    def _make_sharer(self, blocks: BlockFile | None) -> Sharer | None:
        return shared_state.sharer(
            self._config,
            blocks,
            self._adapters,
            self._switch.place,
            self._clock,
            self._random,
            self.telemetry,
            self._hearing.event,
        )

    def _isolate(self, name: str) -> Isolated[Any, Any]:
        return Isolated(self, self._contracts[name], self._settings[name].deadline, self._windows[name])

    def _open_transports(self) -> tuple[AsyncDriver, SyncDriver]:
        self._transports = Transports(
            self._clock,
            self._config.max_reply_bytes,
            *self._foreign,
            self._config.over_aiohttp(),
            self._hearing.loop_blocked,
        )
        return self._transports.drivers

    def _open_ledger(self, snapshot: bytes, lock: Lock | None) -> StoredLedger | None:
        location = self.ledger
        if location is None:
            return None
        configured = ConfigActivated(
            snapshot,
            tuple((name, each.version) for name, each in sorted(self._contracts.items())),
            tuple((name, each.codec.version, each.pin) for name, each in sorted(self._adapters.items())),
            None if lock is None else lock.in_force(),
            tuple((name, each.schema_json()) for name, each in sorted(self._contracts.items())),
            self._purpose,
        )
        ledger = StoredLedger(
            location,
            origin=self._config.ledger.origin,
            host=self._config.host or socket.gethostname(),
            policy=self._config.on_ledger_failure,
            clock=self._clock,
            on_event=self._hearing.event,
            signing=self._signing,
            redact=self._redact,
        )
        ledger.open()
        ledger.submit(configured)
        return ledger

    def _close(self) -> None:
        self.running = None
        ledger, self._ledger = self._ledger, None
        sharer, self._sharer = self._sharer, None
        self._hearing.ledger = self._hearing.sharer = None
        self._switch.close()
        try:
            if sharer is not None:
                sharer.close()
            self._transports.close()  # one of the application's, too
        finally:
            if ledger is not None:
                ledger.let_end(LEAVE_SECONDS)
                ledger.close()

    # --- asking -------------------------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, capability: type[Capability[Q, R]]) -> Isolated[Q, R]: ...
    @overload
    def __getitem__(self, capability: Capability[Q, R]) -> Isolated[Q, R]: ...
    @overload
    def __getitem__(self, capability: str) -> Isolated[Any, Any]: ...
    def __getitem__(self, capability: type[Capability[Q, R]] | Capability[Q, R] | str) -> Isolated[Any, Any]:
        """The capability, ready to be asked.

        Raises:
            KeyError: it isn't one of this isolation's.
        """
        if isinstance(capability, type):
            isolated = self._by_class.get(capability)
        elif isinstance(capability, str):
            isolated = self._by_name.get(capability)
        else:
            isolated = self._by_identity.get(id(capability))
        if isolated is None:
            known = ", ".join(sorted(self._by_name)) or "none"
            raise KeyError(f"{capability!r} isn't a capability of this isolation (it has: {known})")
        return isolated

    @overload
    def override(
        self, capability: type[Capability[Q, R]], value: R, *, degraded: bool | None = None, request: Q | None = None
    ) -> AbstractContextManager[None]: ...
    @overload
    def override(
        self, capability: Capability[Q, R], value: R, *, degraded: bool | None = None, request: Q | None = None
    ) -> AbstractContextManager[None]: ...
    @overload
    def override(
        self, capability: str, value: Any, *, degraded: bool | None = None, request: Any = None
    ) -> AbstractContextManager[None]: ...
    def override(
        self, capability: Any, value: Any, *, degraded: bool | None = None, request: Any = None
    ) -> AbstractContextManager[None]:
        """For tests: inside, a capability answers `value`, and nobody is asked. Arguments as `Isolated.override`.

            with isolation.override(ClassifyItem, SupplyClass(code="5305")):
                ...

        Raises:
            KeyError: it isn't one of this isolation's.
            pydantic.ValidationError: the value doesn't fit the response type.
        """
        return self[capability].override(value, degraded=degraded, request=request)

    def warn_on_loop(self) -> None:
        """Say once that ``.sync`` blocks the event loop that runs in this thread, if one does."""
        if self._warned:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self._warned = True
        self.telemetry.emit("sync.on_loop")
        warnings.warn(
            "`.sync` blocks the event loop that runs in this thread; use `await` there", RuntimeWarning, stacklevel=3
        )

    # --- operating ----------------------------------------------------------------------------------------------------

    @property
    def pins(self) -> Mapping[str, Pin]:
        """Each adapter's pin, by name."""
        return {name: each.pin for name, each in self._adapters.items()}

    @property
    def ledger(self) -> Location | None:
        """Where the ledger is, for `failsoft.ledger.read.read`; None where it's off."""
        return self._location

    @property
    def lock_path(self) -> Path:
        """Where the lock is: beside the configuration, named as it is."""
        return self._upkeep.lock_path

    def lock(self, before: Lock | None = None) -> Lock:
        """The lock of what is in force now, read from code, files and configuration; nobody is asked.

        Args:
            before: the lock until now: who was seen to answer is taken over from it.

        Raises:
            ConfigurationError: an artefact is missing, a golden input isn't answered: all of it.
        """
        return self._upkeep.lock(before)

    def ignore_lock(self) -> None:
        """Let it be entered whatever its lock says: for whoever must act at once and asks nobody, as ``failsoft block``."""
        self._config = self._config.model_copy(update={"locked": False})
        self._purpose = "acts"

    def only(self, adapter: str, capability: Given) -> Isolation:
        """Another isolation, not entered: one capability, with one of this one's adapters as its whole route.

        The adapter is shared with its guards; so are configuration, ledger and transports. For looking at an adapter by
        itself: whatever another would have answered, it's this one that was asked.

        Raises:
            ConfigurationError: there's no such adapter, or the capability can't be asked through it.
        """
        if adapter not in self._adapters:
            raise ConfigurationError(f'no adapter named "{adapter}"')
        config = self._config.model_copy(update={"capabilities": {}, "locked": False})
        foreign, foreign_sync = self._foreign
        made = Isolation(config, capabilities=[capability], transport=foreign, sync_transport=foreign_sync)
        made._purpose = "trial"
        made._adapters.update(self._adapters)
        for name, each in made._settings.items():
            made._settings[name] = each.model_copy(update={"adapters": (adapter,)})
            made._contracts[name].review = None
            problems: list[str] = []
            assembly.check_schemas(made._contracts[name], (adapter,), made._adapters, problems)
            if problems:
                raise ConfigurationError(problems)
        return made

    @property
    def contracts(self) -> Mapping[str, Contract[Any, Any]]:
        """Each capability made ready, with the fallback that's wired for it, by name: what a replay runs."""
        return MappingProxyType(self._contracts)

    def contracts_of(self, adapter: str) -> tuple[Contract[Any, Any], ...]:
        """The capabilities in whose routes an adapter stands."""
        return tuple(each for name, each in self._contracts.items() if adapter in self._settings[name].adapters)

    @property
    def retirements_path(self) -> Path:
        """Where the application keeps announced retirements of its own: beside the configuration."""
        return self._upkeep.retirements_path

    def pin_standings(self, day: date | None = None) -> list[PinStanding]:
        """How each adapter's pin stands: what its name promises, and how many days it has left, as far as is announced.

        Args:
            day: UTC; default: today.

        Raises:
            ConfigurationError: the application's own file of retirements isn't one.
        """
        return self._upkeep.pin_standings(day)

    def unknown_adapters(self) -> tuple[str, ...]:
        """A sentence for each name in a route that no adapter has yet, neither configured nor made by `adapter`."""
        return tuple(
            f'capabilities.{name}.adapters[{index}]: no adapter named "{each}"'
            for name in self._contracts
            for index, each in enumerate(self._settings[name].adapters)
            if each not in self._adapters
        )

    def lock_problems(self) -> tuple[str, ...]:
        """What keeps this isolation from being entered where ``locked = true``: a lock that can't be used, or differs."""
        if not self._config.locked:
            return ()
        try:
            self._upkeep.held()
        except ConfigurationError as error:
            return tuple(error.problems)
        return ()

    def missing_weights(self) -> list[str]:
        """A sentence for each adapter whose file of weights can't be read: no lock could be written."""
        return missing_weights(self._config)

    def route_of(self, capability: str) -> tuple[str, ...]:
        """The names of a capability's adapters, in order."""
        return self._settings[capability].adapters

    @property
    def block_path(self) -> Path | None:
        """Where blocks are kept: beside the ledger, else beside the configuration; None where there is neither."""
        return self._switch.path

    @property
    def blocks(self) -> Mapping[str, Block]:
        """Every block in force, by subject (``adapter:NAME`` or ``capability:NAME``)."""
        return self._switch.in_force

    def block(self, subject: str, *, why: str, actor: str | None = None, lasting: str | float | None = None) -> Block:
        """Switch an adapter or a capability off, here and in every process of the application, until `unblock`.

        Where state is shared through a database, it waits for that, at most 2 s.

        Args:
            subject: ``adapter:NAME`` or ``capability:NAME``.
            why: the reason, for the record.
            actor: who; the context's actor or the login name unless given.
            lasting: ``"2h"``, ``"30m"`` or seconds, 1 s to 366 days: it ends by itself then, by the clock of each machine.

        Raises:
            ConfigurationError: there's no such adapter or capability, no place to keep a block, no such duration, or no
                reason.
        """
        return self._switch.block(subject, why, actor, lasting)

    def unblock(self, subject: str, *, why: str, actor: str | None = None) -> bool:
        """End a block: the adapter comes back by trials. False if there was none. Arguments and errors as `block`."""
        return self._switch.unblock(subject, why, actor)

    def force(self, adapter: str, *, why: str, actor: str | None = None) -> None:
        """Ask an adapter whatever its breakers say, in this process, until `automatic`.

        Health and quality are skipped and nothing else: block, labels, latch, throttle and quotas hold. Attempts are
        recorded as ever, and trials go on beneath.

        Args:
            adapter: its name.
            why: the reason, for the record.
            actor: who; the context's actor or the login name unless given.

        Raises:
            ConfigurationError: there's no such adapter, or no reason.
            IsolationClosed: the isolation isn't entered: the decision couldn't be put on record.
        """
        self._decide(adapter, Mode.FORCED, why, actor)

    def observe(self, adapter: str, *, why: str, actor: str | None = None) -> None:
        """Ask an adapter always, in this process, and say by events when its breakers would have opened: as `force`."""
        self._decide(adapter, Mode.OBSERVE, why, actor)

    def automatic(self, adapter: str, *, why: str, actor: str | None = None) -> None:
        """Let an adapter's breakers decide again, after `force` or `observe`. Arguments and errors as `force`."""
        self._decide(adapter, Mode.AUTO, why, actor)

    def _decide(self, adapter: str, mode: Mode, why: str, actor: str | None) -> None:
        if self.running is None:
            raise IsolationClosed("enter the isolation first: `async with isolation:` or `with isolation:`")
        self._switch.to_mode(adapter, mode, why, actor)

    # --- what people decide -------------------------------------------------------------------------------------------

    def review(
        self,
        call_id: str,
        *,
        person: str,
        decision: Decision,
        reason: str,
        changed: Any = NOT_GIVEN,
        shown: str | bytes | None = None,
        seconds: float | None = None,
        override: bool = False,
    ) -> int | None:
        """Put on record what a person decided about a call's answer; it's durable when this returns.

        The call is looked up in the ledger: any process of the application may do it, at any time. In asyncio:
        ``await asyncio.to_thread(isolation.review, …)``.

        Args:
            call_id: the outcome's.
            person: who decided, as the application knows them; 1 to 128 bytes. Who may is the application's business.
            decision: ``accepted``, ``changed`` or ``rejected``.
            reason: why, at most 64 KiB: kept as a payload.
            changed: for ``changed`` the new value, of the capability's response type; or its `failsoft.reviewing.Json`.
            shown: what the person saw besides the answer, at most 16 MiB: kept as a payload.
            seconds: that it took the person.
            override: it isn't the planned review: somebody decides otherwise than the answer, or than a review.

        Returns:
            The record's index in the ledger; None where it waits for its database (`on_ledger_failure = "spool"`).

        Raises:
            ConfigurationError: one of these is wrong; no such call, one that's open, or one without an answer; no ledger.
            pydantic.ValidationError: the new value doesn't fit the response type.
            LedgerUnavailable: the ledger can't record now.
            IsolationClosed: the isolation isn't entered.
        """
        if type(override) is not bool:
            raise ConfigurationError(f"override: it's True or False, not {override!r:.60}")
        act: Act = "override" if override else "review"
        return self._record_act(call_id, Said(act, person, reason, decision, changed, shown, seconds))

    def appeal(self, call_id: str, *, person: str, reason: str, shown: str | bytes | None = None) -> int | None:
        """Put on record that somebody asks to look at a call's answer again: it's pending from then on.

        Arguments, result and errors as `review`.
        """
        return self._record_act(call_id, Said("appeal", person, reason, shown=shown))

    def _record_act(self, call_id: str, said: Said) -> int | None:
        if self.running is None:
            raise IsolationClosed("enter the isolation first: `async with isolation:` or `with isolation:`")
        if self._ledger is None:
            raise ConfigurationError("ledger.url: there's no ledger, so nothing can be looked up, and nothing recorded")
        return record_act(self._ledger, self._contracts, self.telemetry, call_id, said)

    def health(self) -> Health:
        """How it stands: degraded share of each capability with since and why, state of each adapter, ledger."""
        now = self._clock.monotonic_ns()
        if self.running is not None:
            self._upkeep.look_at_retirements()
        blocks, unreadable = self._switch.looked_at()
        shares = {name: each.share(now) for name, each in self._windows.items()}
        ledger = self._ledger
        recording: Literal["recording", "spooling", "failing", "off"] = (
            "off"
            if ledger is None
            else "failing"
            if not ledger.healthy
            else "spooling"
            if ledger.spooling
            else "recording"
        )
        checkpoints = None if ledger is None else ledger.coverage()
        uncovered = checkpoints is not None and not checkpoints.ok
        exceeded = any(each.exceeded for each in shares.values())
        return Health(
            recording != "failing" and not unreadable and not exceeded and not uncovered,
            {
                name: capability_health(each, blocks.get("capability:" + name), self._routing.quality_states(name, now))
                for name, each in shares.items()
            },
            {name: adapter_health(each, blocks.get("adapter:" + name), now) for name, each in self._adapters.items()},
            recording,
            state_health(self.sharing),
            unreadable,
            checkpoints,
        )

    def look_at_state(self) -> tuple[Sharing, Mapping[str, Block]]:
        """Whether the store of shared state can be reached now, and every block that it or this host knows of.

        It asks the store; it changes nothing, and needn't be entered.

        Raises:
            ConfigurationError: the file of blocks, or the database's tables, can't be used.
        """
        return shared_state.look(self._config, self._switch.place, self._clock)

    @property
    def sharing(self) -> Sharing:
        """Where state is shared with other processes, and since when it can't be. Before entering: where it would be."""
        if self._sharer is not None:
            return self._sharer.sharing
        kind = self._config.state.kind
        possible = self.running is None and (kind == "postgresql" or self._switch.path is not None)
        return Sharing(kind if possible else "none")

    def after_fork(self) -> None:
        """In a forked child: new locks, other random numbers, no permits, no background loop."""
        self._lock = threading.Lock()
        self._random.seed()
        for window in self._windows.values():
            window.after_fork()
        self._routing.after_fork()
        self._switch.after_fork()
        if self.running is not None:
            self._transports.background.after_fork()
        if self._sharer is not None:
            self._sharer.after_fork(shared_state.process_name(self._random))


def _strangers(config: Config, found: Mapping[str, object]) -> list[str]:
    """Tables for capabilities that the code doesn't pass."""
    problems: list[str] = []
    for name, each in config.capabilities.items():
        if name not in found and each.class_path is None:
            near = difflib.get_close_matches(name, found, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            problems.append(f'capabilities.{name}: no capability named "{name}" was passed{hint}')
    return problems
