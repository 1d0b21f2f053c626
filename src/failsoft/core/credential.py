"""A credential that comes from a function and doesn't last: fetched once for all, renewed before its end, and after a 401.

Theory of operation
-------------------

NONE       Nothing was fetched yet, or what there was has expired or was refused. The first call to ask fetches; those that
           come meanwhile wait for it, each until its own attempt would end.
FRESH      It's used. From `AHEAD` before its end (of a short-lived one, from the last fifth of its life) the first call to
           ask renews it, and the others go on with what there is. One that doesn't say its end is fetched anew every
           `refresh`, where that is given (a key in a file that may be replaced), and never otherwise.
FAILED     Fetching raised, or what came is no credential or has expired already. Nobody fetches again before a pause that
           doubles from 1 s to 1 min: those who need it are passed over at once. What's still valid is used meanwhile.

At most one fetch is under way. One that takes longer than `LOST` is given up: its thread may hang for good. What it brings
all the same is taken if nothing newer came; if something did, what it comes to says nothing.

A provider that refuses a credential (401) may have been told to: `refused` drops it, if it's still the one in use, and the
call tries once more with another. Expiry is stated in wall-clock time and kept in monotonic time, so that a clock which is
set doesn't make a good credential look expired.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable
from typing import cast, final

from attrs import define, field, frozen

from failsoft.core.effects import LONG_AGO, SECOND, Clock, Promise
from failsoft.credentials import AwsCredentials, Credential, Source, Token, UnsoundCredential

AHEAD = 300 * SECOND
LOST = 60 * SECOND
_SHORTEST_PAUSE, _LONGEST_PAUSE = SECOND, 60 * SECOND


@final
@frozen(eq=False)
class Issued:
    """A credential in use.

    Args:
        value: what the function returned.
        renew_at: monotonic nanoseconds from which the next one is fetched; None: never.
        ends_at: monotonic nanoseconds of its end; None: it doesn't say.
    """

    value: Credential
    renew_at: int | None = None
    ends_at: int | None = None


@frozen
class Unavailable:
    """There is none now: why, in our own words."""

    reason: str


@final
@define(eq=False)
class Fetch:
    """One fetch, for `Invoke`: calls the function and keeps what comes, also if nobody waits any more.

    Args:
        keeper: whose.
        begun: when it was handed out.
        over: resolved when it has ended.
    """

    keeper: CredentialKeeper
    begun: int
    over: Promise[bool] = field(factory=Promise[bool])

    def __call__(self) -> Awaitable[None] | None:
        """Run the function; an awaitable is handed on to be awaited. Never raises but for what ends the program."""
        try:
            found: object = self.keeper.source()
        except BaseException as error:
            self.keeper.ended(self, error)
            if isinstance(error, Exception):
                return None
            raise
        if inspect.isawaitable(found):
            return self._awaited(cast("Awaitable[object]", found))
        self.keeper.fetched(self, found)
        return None

    async def _awaited(self, found: Awaitable[object]) -> None:
        try:
            value = await found
        except BaseException as error:
            self.keeper.ended(self, error)
            if not isinstance(error, Exception):
                raise
        else:
            self.keeper.fetched(self, value)


class CredentialKeeper:
    """Keeps one adapter's credential. Any thread may call it; none waits in it.

    Args:
        source: where a credential comes from.
        clock: both of its times.
        refresh: nanoseconds after which one that doesn't say its end is fetched anew; None: never.
        first: what's known from the start.
        takes: the kinds of credential that the provider takes.
    """

    __slots__ = (
        "_brought",
        "_cancelled",
        "_clock",
        "_current",
        "_failures",
        "_fetch",
        "_lock",
        "_not_before",
        "_reason",
        "_refresh",
        "source",
        "takes",
    )

    def __init__(
        self,
        source: Source,
        clock: Clock,
        *,
        refresh: int | None = None,
        first: Credential | None = None,
        takes: tuple[type[Credential], ...] = (Token, AwsCredentials),
    ) -> None:
        self.source = source
        self.takes = takes
        self._clock = clock
        self._refresh = refresh
        self._lock = threading.Lock()
        self._current: Issued | None = None if first is None else self._issued(first)
        self._fetch: Fetch | None = None
        self._brought = LONG_AGO  # when the newest fetch began that brought one
        self._failures = 0
        self._not_before = 0
        self._reason = ""
        self._cancelled = False  # the last fetch was, and nothing has come since

    def after_fork(self) -> None:
        """In the child: the lock, and whoever fetches, may belong to a thread that isn't here."""
        self._lock = threading.Lock()
        self._fetch = None

    def take(self, now: int) -> Issued | Fetch | Promise[bool] | Unavailable:
        """What to do: use it; fetch, by an `Invoke` of what's given; wait for somebody's fetch; or go without."""
        with self._lock:
            current = self._current
            if current is not None and current.ends_at is not None and now >= current.ends_at:
                current = self._current = None
            if current is not None and (current.renew_at is None or now < current.renew_at):
                return current
            under_way = self._fetch
            if under_way is not None and now - under_way.begun < LOST:
                return under_way.over if current is None else current
            if now < self._not_before:
                return Unavailable(self._reason) if current is None else current
            self._fetch = Fetch(self, now)
            return self._fetch

    def refused(self, issued: Issued | None) -> None:
        """The provider refused it: if it's still the one in use, the next to ask fetches another."""
        with self._lock:
            if self._current is issued:
                self._current = None

    def fetched(self, fetch: Fetch, value: object) -> None:
        """A fetch brought something."""
        found: Credential | None = None
        problem = f"it returned {type(value).__name__}, no Token"
        if isinstance(value, str):
            try:
                found = Token(value)
            except ValueError:
                problem = "it returned a text that can't be a token"
        elif isinstance(value, (Token, AwsCredentials)):
            found = value
        if found is not None and not isinstance(found, self.takes):
            found, problem = None, f"it returned {type(found).__name__}, which isn't what this provider takes"
        if found is None:
            self.failed(fetch, problem)
            return
        issued = self._issued(found)
        if issued.ends_at is not None and issued.ends_at <= self._clock.monotonic_ns():
            self.failed(fetch, "it returned one that has expired")
            return
        with self._lock:
            if fetch.begun >= self._brought:
                self._current, self._brought = issued, fetch.begun
                self._failures = self._not_before = 0
                self._reason, self._cancelled = "", False
            self._end(fetch)
        fetch.over.resolve(True)

    def ended(self, fetch: Fetch, error: BaseException) -> None:
        """A fetch was ended by what it raised. One that was cancelled with its caller says nothing of the source, once."""
        again, self._cancelled = self._cancelled, True
        if again or isinstance(error, (Exception, SystemExit, KeyboardInterrupt)):
            told = f": {error}" if isinstance(error, UnsoundCredential) else ""  # ours: it shows no secret
            self.failed(fetch, f"it raised {type(error).__name__}{told}")
            return
        with self._lock:
            self._end(fetch)
        fetch.over.resolve(True)

    def failed(self, fetch: Fetch, reason: str) -> None:
        """A fetch brought nothing."""
        now = self._clock.monotonic_ns()
        with self._lock:
            if fetch.begun >= self._brought:
                self._reason = reason
                self._not_before = now + min(_SHORTEST_PAUSE << min(self._failures, 6), _LONGEST_PAUSE)
                self._failures += 1
            self._end(fetch)
        fetch.over.resolve(True)

    @property
    def problem(self) -> str:
        """Why the last fetch brought nothing; empty where it did, or there was none."""
        return self._reason

    def _end(self, fetch: Fetch) -> None:
        if self._fetch is fetch:
            self._fetch = None

    def _issued(self, value: Credential) -> Issued:
        now = self._clock.monotonic_ns()
        if value.expires_at is None:
            return Issued(value, None if self._refresh is None else now + self._refresh)
        life = int(value.expires_at * 1e9) - self._clock.time_ns()
        return Issued(value, now + life - min(AHEAD, max(life, 0) // 5), now + life)
