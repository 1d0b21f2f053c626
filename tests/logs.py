"""Logs of which every record, and its time, is as a test says. No tests."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from failsoft.io.clock import SystemClock
from failsoft.ledger.checkpoints.signer import Signer
from failsoft.ledger.keys.ed25519 import SigningKey
from failsoft.ledger.records import draft
from failsoft.ledger.records.record import Built, Draft, Emitter, timestamp
from failsoft.ledger.records.redaction import redact
from failsoft.ledger.records.schema import Kind
from failsoft.ledger.sqlite.store import LedgerFile

START = 1_795_442_400_000_000_000  # 2026-11-23T14:00:00Z
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
PROVIDERS = {"gpt": "openai", "claude": "anthropic", "own": "callable"}


def at(seconds: float) -> str:
    """So many seconds after 2026-11-23T14:00:00Z, as the log has it."""
    return timestamp(START + int(seconds * 1_000_000_000))


def snapshot(
    policy: str = "fallback", providers: Mapping[str, str] = PROVIDERS, urls: Mapping[str, str] | None = None
) -> bytes:
    adapters: dict[str, dict[str, str]] = {name: {"provider": each} for name, each in providers.items()}
    for name, url in (urls or {}).items():
        adapters[name]["base_url"] = url
    return json.dumps({"adapters": adapters, "on_ledger_failure": policy}).encode()


class Log:
    """A ledger's file; its first process opens it at 0. With a key it's signed."""

    def __init__(self, path: Path, key: SigningKey | None = None) -> None:
        self.path = path
        signer = None if key is None else Signer(key, path.with_name(path.name + ".state"))
        self.file = LedgerFile(path, signer=signer)
        self.file.origin = "example.com/log" if key is None else key.name
        self.random = random.Random(7).randbytes
        founder, keys = self._emitter(), () if key is None else (str(key.verifier),)
        self.file.open(lambda: [self._built(founder, draft.log_opened(keys), 0), self._built(founder, hello(1), 0)])
        self.first = Process(self, founder)

    def process(
        self,
        pid: int = 2,
        second: float = 1,
        host: str = "worker-1",
        store: str = "sqlite",
        swept: tuple[Process, ...] = (),
    ) -> Process:
        made = Process(self, self._emitter())
        made.say(hello(pid, host, store, swept), second)
        return made

    def close(self) -> Path:
        self.file.close()
        return self.path

    def _emitter(self) -> Emitter:
        return Emitter(self.file.origin, SystemClock(), self.random, redact=redact)

    def _built(self, emitter: Emitter, what: Draft, second: float) -> Built:
        return emitter.build(what, START + int(second * 1_000_000_000), 10**18)


def hello(pid: int, host: str = "worker-1", store: str = "sqlite", swept: tuple[Process, ...] = ()) -> Draft:
    return draft.emitter_opened(host, pid, {"failsoft": "0", store: "3"}, [each.emitter.id for each in swept])


class Process:
    """One emitter."""

    def __init__(self, log: Log, emitter: Emitter) -> None:
        self.log, self.emitter, self.digest, self.said = log, emitter, "00" * 32, 1

    def say(self, what: Draft, second: float) -> Built:
        built = self.log._built(self.emitter, what, second)
        self.log.file.append([built])
        return built

    def tell(self, kind: Kind, second: float, **fields: Any) -> Built:
        return self.say(
            Draft(kind, {"from" if key == "began" else key: value for key, value in fields.items()}), second
        )

    def configure(self, data: bytes | None = None, second: float = 1) -> None:
        data = snapshot() if data is None else data
        self.digest = sha256(data).hexdigest()
        self.say(Draft(Kind.CONFIG_ACTIVATED, {"config_sha256": self.digest}, (), ((JSON, data),)), second)

    def start(self, call_id: str, second: float, route: tuple[str, ...] = ("gpt",), **fields: Any) -> Built:
        told = {
            "call_id": call_id,
            "capability": {"name": "rate"},
            "config_sha256": self.digest,
            "deadline_ms": 1,
            "route": list(route),
            **fields,
        }
        return self.say(Draft(Kind.CALL_STARTED, told, (("request", JSON, b"1"),)), second)

    def end(
        self,
        call_id: str,
        second: float,
        started: Built | None,
        *attempts: dict[str, Any],
        answer: bytes = b"5",
        **fields: Any,
    ) -> Built:
        told: dict[str, Any] = {
            "call_id": call_id,
            "capability": {"name": "rate"},
            "outcome": "answered",
            "degraded": False,
            "us": 5,
            **fields,
        }
        if attempts:
            told["attempts"] = list(attempts)
        if started is not None:
            told["refs"] = {"started": started.leaf.hex()}
        payloads = (("prompt", JSON, b"0"), ("response", JSON, answer)) if answer else ()
        return self.say(Draft(Kind.CALL_COMPLETED, told, payloads), second)

    def call(
        self, call_id: str, second: float, *attempts: dict[str, Any], route: tuple[str, ...] = ("gpt",), **fields: Any
    ) -> Built:
        """One that begins then, and ends a tenth of a second later."""
        return self.end(call_id, second + 0.1, self.start(call_id, second, route), *attempts, **fields)

    def act(self, kind: Kind, second: float, of: Built, **fields: Any) -> Built:
        """A review, an override or an appeal of the answer in that record; well-formed unless told otherwise."""
        answer = json.loads(of.body)
        (shown,) = [each for each in answer["commitments"] if each["path"] == "response"]
        told: dict[str, Any] = {
            "call_id": answer["call_id"],
            "capability": answer["capability"],
            "person": "mwagner",
            "refs": {"completed" if of.kind is Kind.CALL_COMPLETED else "amended": of.leaf.hex()},
            "shown": shown,
            **({} if kind is Kind.APPEAL_RECORDED else {"decision": "accepted"}),
            **fields,
        }
        payloads = [("reason", TEXT, b"looked at")]
        if told.get("decision") == "changed":
            payloads.append(("changed", JSON, b"3"))
        present = {key: value for key, value in told.items() if value is not None}
        return self.say(Draft(kind, present, tuple(payloads)), second)

    def close(self, second: float) -> None:
        self.say(draft.emitter_closed(self.emitter.position[0]), second)


def attempt(adapter: str = "gpt", n: int = 1, **fields: Any) -> dict[str, Any]:
    return {"n": n, "adapter": adapter, "adapter_version": "1", "pin": {"model": "m-1"}, "us": 3, **fields}


def by(adapter: str = "gpt", number: int = 1) -> dict[str, Any]:
    """What answered."""
    return {"kind": "adapter", "name": adapter, "attempt": number}
