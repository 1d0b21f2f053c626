"""What users need to test their own fallbacks, and what failsoft is tested with.

FaultTransport      an httpx transport that answers and fails by a script: `faults` names every way to fail
FaultServer         a server on loopback, or a proxy, for what only shows on the wire: `wire` names every way; `streams`
                    those that only a streamed reply shows
ChaosTransport      passes real requests on in staging, and fails a share of them
Recorder, Replayer  real exchanges written down without their secrets, and answered from again; the fixture
                    `recorded` is one or the other
adapter_conformance  examines an adapter of your own: does it keep what failsoft relies on?
ScriptedProvider    a function for an adapter: no HTTP
SimulatedIsolation  an isolation in virtual time; Simulation and VirtualClock are what it's made of

Names are loaded at first use: pytest loads this package wherever failsoft is installed, because of its plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from failsoft.io.drive_simulated import Simulation, VirtualClock
    from failsoft.testing import faults, streams, wire
    from failsoft.testing.chaos import ChaosTransport
    from failsoft.testing.conformance import NotConformant, adapter_conformance
    from failsoft.testing.provider import ScriptedProvider, StatusError, simulated
    from failsoft.testing.reaction import USUAL, Rates, Reaction
    from failsoft.testing.recorder import NotReplayed, Recorder, Replayer
    from failsoft.testing.replies import chat_answer, chat_choices, chat_text, http_reply
    from failsoft.testing.server import FaultServer, Peer
    from failsoft.testing.simulated_isolation import SimulatedIsolation
    from failsoft.testing.streams import chat_stream
    from failsoft.testing.tls import LocalAuthority
    from failsoft.testing.transport import FaultTransport

__all__ = [
    "USUAL",
    "ChaosTransport",
    "FaultServer",
    "FaultTransport",
    "LocalAuthority",
    "NotConformant",
    "NotReplayed",
    "Peer",
    "Rates",
    "Reaction",
    "Recorder",
    "Replayer",
    "ScriptedProvider",
    "SimulatedIsolation",
    "Simulation",
    "StatusError",
    "VirtualClock",
    "adapter_conformance",
    "chat_answer",
    "chat_choices",
    "chat_stream",
    "chat_text",
    "faults",
    "http_reply",
    "simulated",
    "streams",
    "wire",
]

_HERE = "failsoft.testing."
_LATER = {
    "Simulation": "failsoft.io.drive_simulated",
    "VirtualClock": "failsoft.io.drive_simulated",
    "ChaosTransport": _HERE + "chaos",
    "ScriptedProvider": _HERE + "provider",
    "StatusError": _HERE + "provider",
    "simulated": _HERE + "provider",
    "SimulatedIsolation": _HERE + "simulated_isolation",
    "FaultServer": _HERE + "server",
    "Peer": _HERE + "server",
    "LocalAuthority": _HERE + "tls",
    "FaultTransport": _HERE + "transport",
    "chat_stream": _HERE + "streams",
    **dict.fromkeys(("NotConformant", "adapter_conformance"), _HERE + "conformance"),
    **dict.fromkeys(("NotReplayed", "Recorder", "Replayer"), _HERE + "recorder"),
    **dict.fromkeys(("USUAL", "Rates", "Reaction"), _HERE + "reaction"),
    **dict.fromkeys(("chat_answer", "chat_choices", "chat_text", "http_reply"), _HERE + "replies"),
}


def __getattr__(name: str) -> object:
    import importlib

    if name in ("faults", "streams", "wire"):
        return importlib.import_module(_HERE + name)
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
