"""From configuration to a process's part in its fleet: which store, which adapters are the same in every process.

An adapter's key is made of provider, endpoint, credential and pinned model. Of the credential a digest goes in, stretched
(`STRETCH`), since a short secret could be guessed from a plain one. A callable adapter has no endpoint: its name stands
there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from failsoft.config import AdapterConfig, Config
from failsoft.config_state import StateConfig
from failsoft.core.effects import Clock, Events, Random
from failsoft.core.fleet import Fleet
from failsoft.core.fleet_member import Member
from failsoft.core.route import GuardedAdapter
from failsoft.core.shared import StateLost, StateStore
from failsoft.io.block_file import Block, BlockFile
from failsoft.io.sharing import Sharer, Sharing
from failsoft.io.state_file import Content, FileStore, StateFile, StateMemory

STRETCH = 10_000
"""Rounds of PBKDF2: some milliseconds a credential, once at the start."""


def block_place(config: Config) -> StateFile | StateMemory | None:
    """Where blocks are kept: beside the ledger, else beside the configuration; in memory where only a database has them."""
    beside = config.ledger.path if config.ledger.path is not None else config.source
    if beside is not None:
        return StateFile(beside.with_name(beside.name + ".blocks.json"))
    return StateMemory() if config.state.database is not None else None


def process_name(random: Random) -> str:
    """Of this process among its peers."""
    return f"{random.getrandbits(64):016x}"


def sharer(
    config: Config,
    blocks: BlockFile | None,
    adapters: Mapping[str, GuardedAdapter],
    place: StateFile | StateMemory | None,
    clock: Clock,
    random: Random,
    events: Events,
    tell: Callable[[str, Mapping[str, Any]], None],
) -> Sharer | None:
    """What shares the state of these adapters; None where there's nobody to share with."""
    store = _store(config.state, place, clock)
    if store is None:
        return None
    process = process_name(random)
    members = [
        Member(adapter_key(each, config.adapters.get(name)), f"{process}/{name}", each)
        for name, each in adapters.items()
    ]
    fleet = Fleet(members, clock, events, config.state.refresh)
    return Sharer(store, fleet, blocks if store.always else None, clock, tell)


def look(config: Config, place: StateFile | StateMemory | None, clock: Clock) -> tuple[Sharing, Mapping[str, Block]]:
    """Whether the store can be reached now, and what is blocked by its word and this host's: for whoever isn't running.

    Raises:
        ConfigurationError: the file of blocks, or the database's tables, can't be used.
    """
    here = Content() if place is None else place.read()
    blocks = BlockFile(StateMemory(here))
    store = _store(config.state, place, clock)
    if store is None:
        return Sharing("none"), blocks.current()
    try:
        store.open()
        blocks.look(0)
        blocks.merge(store.exchange({}, ()).facts)
    except StateLost as lost:
        return Sharing(store.kind, clock.time_ns(), str(lost)), blocks.current()
    finally:
        store.close()
    return Sharing(store.kind), blocks.current()


def adapter_key(adapter: GuardedAdapter, config: AdapterConfig | None) -> str:
    """The same for this adapter at its pin in every process, and for no other."""
    endpoint = adapter.codec.endpoint or f"callable:{adapter.name}"
    secrets = (
        [] if config is None else sorted(f"{name}={each.get_secret_value()}" for name, each in config.headers.items())
    )
    if config is not None and config.api_key is not None:
        secrets.append(config.api_key.get_secret_value())
    if config is not None and config.auth is not None:
        secrets.append(f"auth={config.auth}")
    credential = ""
    if secrets:
        credential = hashlib.pbkdf2_hmac("sha256", "\n".join(secrets).encode(), endpoint.encode(), STRETCH, 8).hex()
    parts = (adapter.codec.provider, endpoint, credential, adapter.pin.model)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _store(config: StateConfig, place: StateFile | StateMemory | None, clock: Clock) -> StateStore | None:
    if config.database is not None:
        from failsoft.io.state_postgres import PostgresStore

        return PostgresStore(config.database, config.scope, config.timeout / 1e9)
    return FileStore(place, clock) if config.url == "file" and isinstance(place, StateFile) else None
