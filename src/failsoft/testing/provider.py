"""A provider that says what it's told, without HTTP: as the function of an adapter, or in virtual time.

gpt = ScriptedProvider([TimeoutError(), {"grade": 3}], model="m-1")
isolation.adapter("gpt", model="m-1", served=gpt.served)(gpt)
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from failsoft.core.effects import SECOND, Ask, Exchange, HttpReply
from failsoft.fault import Fault, FaultKind
from failsoft.io.drive_simulated import Respond
from failsoft.testing.reaction import Reaction, Script, playing, seconds
from failsoft.testing.replies import asked_model, chat_answer

_ANSWERS = chat_answer({})
_FOR_EVER = 1 << 62

_SEEN_BY_TRANSPORTS = frozenset(
    {
        FaultKind.DNS_FAILED,
        FaultKind.HOST_UNKNOWN,
        FaultKind.CONNECT_REFUSED,
        FaultKind.CONNECT_FAILED,
        FaultKind.CONNECT_TIMEOUT,
        FaultKind.TLS_FAILED,
        FaultKind.TLS_INVALID,
        FaultKind.PROXY_REFUSED,
        FaultKind.POOL_EXHAUSTED,
        FaultKind.UPLOAD_CUT,
        FaultKind.CONNECTION_LOST,
        FaultKind.ATTEMPT_TIMEOUT,
        FaultKind.STREAM_STALLED,
        FaultKind.BAD_FRAMING,
        FaultKind.CONFLICTING_LENGTHS,
        FaultKind.BAD_ENCODING,
        FaultKind.UNKNOWN_ENCODING,
        FaultKind.TOO_LARGE,
        FaultKind.REDIRECT,
    }
)


class StatusError(Exception):
    """What an SDK raises for an HTTP status: failsoft reads `status_code`."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


class ScriptedProvider:
    """A function for an adapter that gives what it's told, one after the other; the last one stays.

    Args:
        script: an exception is raised, a function is called with the `Ask`, and anything else is the answer (a string or
            bytes: its JSON text).
        model: who says that it answered, where `served` is handed to the adapter.

    Attributes:
        asked: every `Ask` that came.

    Raises:
        ValueError: the script is empty.
    """

    def __init__(self, script: Iterable[object], *, model: str | None = None) -> None:
        self.asked: list[Ask] = []
        self.model = model
        self._script = tuple(script)
        self._lock = threading.Lock()
        if not self._script:
            raise ValueError("a script needs at least one answer")

    def __call__(self, ask: Ask) -> Any:
        """The next answer. Raises what the script says."""
        with self._lock:
            each = self._script[min(len(self.asked), len(self._script) - 1)]
            self.asked.append(ask)
        if isinstance(each, Exception):
            raise each
        return each(ask) if callable(each) else each

    def served(self, result: object) -> str | None:
        """Who says that it answered."""
        return self.model


def simulated(script: Script, *, takes: str | float = "100ms", usual: Reaction = _ANSWERS) -> Respond:
    """A provider for a `Simulation`: the reactions of a script, in virtual time.

    Args:
        script: a reaction, several in order (the last one stays), or `Rates`.
        takes: how long each reply takes, besides its own delay.
        usual: what comes where the script says `USUAL`, and where `Rates` draw nothing.

    Raises:
        ValueError: the script is empty, or has something that only shows on the wire.
    """
    play = playing(script, "wire", "only shows on the wire: use a FaultServer")
    always = seconds(takes)

    def respond(exchange: Exchange, now: int) -> tuple[int, HttpReply | Fault]:
        reaction = play.next()
        wait = int((always + reaction.delay) * SECOND)
        if reaction.manner == "usual":
            reaction = usual
        if reaction.manner == "hang":
            return _FOR_EVER, Fault(FaultKind.ATTEMPT_TIMEOUT)
        return wait, _seen(reaction, asked_model(exchange.request.body))

    return respond


def _seen(reaction: Reaction, model: str) -> HttpReply | Fault:
    """What a transport makes of it."""
    if reaction.fault is not None and reaction.fault in _SEEN_BY_TRANSPORTS:
        return Fault(reaction.fault, f"told to: {reaction}", reaction.status if reaction.manner == "reply" else None)
    return HttpReply(reaction.status, dict(reaction.headers), reaction.body(model))
