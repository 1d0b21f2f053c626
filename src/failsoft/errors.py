"""Every exception that failsoft raises on purpose, in one tree.

An application never sees a provider's exception: what a provider does wrong is a `failsoft.fault.Fault`, a value.
What is raised says that *the application* must act: its configuration is wrong, its fallback has a bug, its ledger is
down under the policy ``refuse``, or it asked a closed isolation.
"""

from __future__ import annotations

from collections.abc import Sequence


class FailsoftError(Exception):
    """The root of failsoft's exceptions."""


class ConfigurationError(FailsoftError):
    """Everything that is wrong with a configuration, at once; or with what a method was handed.

    Attributes:
        problems: one sentence each: the place, what is wrong, the way out. Never a secret's value.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__("\n  - ".join((f"{head} to mend:", *self.problems)))


class FallbackFailed(FailsoftError):
    """A capability's fallback raised, or returned what its response type doesn't allow: a bug in the fallback.

    ``__cause__`` is the fallback's own exception. `passed_over` says why it was asked at all.
    """

    def __init__(self, capability: str, reason: str, passed_over: Sequence[object] = ()) -> None:
        self.capability = capability
        self.passed_over = tuple(passed_over)
        why = "; ".join(str(each) for each in self.passed_over)
        super().__init__(f"{capability}: the fallback failed: {reason}" + (f" (asked because: {why})" if why else ""))


class CapabilityBug(FailsoftError):
    """A capability's own ``prompt`` or ``accept`` raised something else than ValueError or AssertionError.

    Raised only under ``on_bug = "raise"``; otherwise the fallback answers and an ERROR event says so.
    """


class LedgerUnavailable(FailsoftError):
    """The ledger can't record, and ``on_ledger_failure`` is ``refuse``: the call was not made, or not answered."""


class PayloadSealed(FailsoftError):
    """A payload is encrypted, and its key isn't here."""


class LedgerInvalid(FailsoftError):
    """A file is not a ledger that this version can use: not one, newer, cut, tampered, or on a network file system."""


class LedgerUnreachable(LedgerInvalid):
    """The ledger's database can't be reached now, or has no room for us: nothing is said of the ledger itself."""


class IsolationClosed(FailsoftError):
    """The isolation isn't entered: use it inside ``async with isolation:`` or ``with isolation:``."""
