"""What one reply says, in no provider's dialect, and what of it is an answer.

Each codec reads its dialect into a `Reading`; from there on all are alike. A reading keeps whatever was said, though a fault
stands beside it: the text of an answer that was cut, the name of who refused.
"""

from __future__ import annotations

from typing import Any, final

from attrs import define, field, frozen

from failsoft.adapters.strict_json import WHITE_SPACE, StrictJsonError, loads_text
from failsoft.core.effects import HttpReply, Reply, Tokens, Unusable
from failsoft.fault import Fault, FaultKind
from failsoft.outcome import Served


@frozen
class ToolCall:
    """A call that the model made of a tool which was offered to it.

    Args:
        name: of the tool, as stated.
        arguments: their JSON text, as stated; ``{}`` where the call has none.
        number: the provider's id for the call.
    """

    name: str
    arguments: str = field(repr=False)
    number: str | None = None


@final
@define(eq=False)
class Reading:
    """What a reply says.

    Args:
        served: who gave it, as stated.
        fault: why it's no answer; None where it may be one.
        text: what the model said, its parts joined; reasoning is none of it. Of several choices, the first one's.
        calls: the tools that it called.
        finish: why it ended, in the provider's own word.
        tokens: usage, as stated.
        answer: the answer's JSON text where that isn't `text`: a forced tool's arguments.
    """

    served: Served
    fault: Fault | None = None
    text: str = field(default="", repr=False)
    calls: tuple[ToolCall, ...] = ()
    finish: str | None = None
    tokens: Tokens | None = None
    answer: str | None = field(default=None, repr=False)


def reading_of(codec: Any, reply: HttpReply) -> Reading:
    """What a reply says, by a codec that may know no more than `decode` (a foreign one). Raises what that raises."""
    if hasattr(codec, "parse"):
        found: Reading = codec.parse(reply)
        return found
    decoded: Reply | Unusable = codec.decode(reply)
    served = decoded.served or Served()
    if isinstance(decoded, Unusable):
        return Reading(served, decoded.fault, tokens=decoded.tokens)
    return Reading(served, text=decoded.answer.decode(), tokens=decoded.tokens)


def answer_of(reading: Reading, status: int) -> Reply | Unusable:
    """The answer, if what was said is one strict JSON document. Its text came from strict JSON, so it can be encoded."""
    if reading.fault is not None:
        return Unusable(reading.fault, reading.served, reading.tokens)
    text = reading.text if reading.answer is None else reading.answer
    answer = text.strip(WHITE_SPACE)
    try:
        loads_text(answer)
    except StrictJsonError as error:
        fault = Fault(FaultKind.MALFORMED_ANSWER, f"the answer isn't one JSON document: {error}", status)
        return Unusable(fault, reading.served, reading.tokens, answer.encode())
    return Reply(answer.encode(), reading.served, reading.tokens)
