"""What the application gets, and the identities in it: values, frozen."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Generic, Literal, TypeAlias, TypeVar

from attrs import Factory, field, frozen
from pydantic import BaseModel, ConfigDict

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Referral(BaseModel):
    """No machine answer: ask a person. A fallback may return it where the response type says so (``Rating | Referral``).

    It's left out of the schema sent to a model: a model answers, only a fallback refers.

    Args:
        reason: why, for the person who takes over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str


GradeName: TypeAlias = Literal["provider", "gateway", "echoed", "unknown"]
"""A grade as code and configurations write it."""


class Grade(StrEnum):
    """How far a served identity can be believed."""

    PROVIDER = "provider-stated"
    GATEWAY = "gateway-stated"
    ECHOED = "echoed"
    UNKNOWN = "unknown"

    def is_worth(self, least: Grade) -> bool:
        """Can it be believed as far as `least`, or further?"""
        order = tuple(Grade)
        return order.index(self) <= order.index(least)


@frozen
class Pin:
    """Exactly which model an adapter asks for, and what the provider must say that it served.

    Args:
        model: the name asked for.
        served: the names that may be served; empty with `served_pattern`.
        served_pattern: a regular expression that the whole served name must match, instead of a list.
    """

    model: str
    served: tuple[str, ...] = field(default=Factory(lambda self: (self.model,), takes_self=True))
    served_pattern: str | None = None

    def admits(self, served_model: str) -> bool:
        """Is `served_model` what this pin expects?"""
        if self.served_pattern is not None:
            return re.fullmatch(self.served_pattern, served_model) is not None
        return served_model in self.served


@frozen
class Served:
    """What a reply revealed about who answered. All of it is the provider's claim.

    Args:
        model: the name, as stated; None where the reply names none.
        grade: how far that can be believed.
        fingerprint: the provider's build or configuration mark: a covariate, never an alarm.
        request_id: the provider's number for this request: the key for reconciling with its own records.
        upstream: who answered behind a gateway (a vendor), or which deployment, as stated; None where nothing is.
    """

    model: str | None = None
    grade: Grade = Grade.UNKNOWN
    fingerprint: str | None = None
    request_id: str | None = None
    upstream: str | None = None


@frozen
class Source:
    """Who gave the value.

    Args:
        kind: ``adapter``, ``fallback`` or ``frozen``.
        name: the adapter's name, or the fallback's import path.
        attempt: the attempt's number, from 1, where an adapter answered.
    """

    kind: Literal["adapter", "fallback", "frozen"]
    name: str
    attempt: int | None = None


@frozen
class PassedOver:
    """An adapter that wasn't asked, or an attempt that wasn't used.

    Args:
        adapter: its name.
        reason: a fault kind, or why it wasn't asked: ``blocked``, ``blocks_unknown``, ``labels``, ``latched``,
            ``throttled``, ``open``, ``limited``, ``bulkhead_full``, ``no_time``, ``no_credential``, ``no_prompt``, ``shed``,
            ``ledger``; ``hedge_lost``: another was quicker.
        elapsed: seconds that it took, 0 where nothing was sent.
        billed: True where the provider may charge for it all the same.
        detail: our own words about it.
    """

    adapter: str
    reason: str
    elapsed: float = 0.0
    billed: bool = False
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.adapter}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


@frozen
class Outcome(Generic[R_co]):
    """The typed value, and where it came from.

    Args:
        value: the answer, valid by the capability's response type.
        source: who gave it.
        degraded: True when the fallback answered or referred.
        pin: the pin of the adapter that answered; None for the fallback.
        served: what the reply revealed; None for the fallback.
        passed_over: adapters not asked and attempts not used, in order.
        record: index of ``call.completed`` in the ledger; None when not durable, or with no ledger.
        call_id: the call's UUIDv7, as in the ledger.
        review: ``pending``: a person has to look at it (`failsoft.review`); None: nobody must.
    """

    value: R_co
    source: Source
    degraded: bool
    call_id: str
    pin: Pin | None = None
    served: Served | None = None
    passed_over: tuple[PassedOver, ...] = ()
    record: int | None = None
    review: Literal["pending"] | None = None

    @property
    def by_ai(self) -> bool:
        """True when an adapter's answer, fresh or frozen, is the value."""
        return self.source.kind != "fallback"
