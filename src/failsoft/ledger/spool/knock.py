"""Is a database that was away there again? Found out in a thread: one that hangs answers nobody for as long as it likes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from failsoft.ledger.store import DatabaseFailed


class Knock:
    """One question, asked as soon as it's made.

    Args:
        ask: returns where there's an answer, raises where there's none.

    Attributes:
        ended: is it known?
        answered: if so, what.
        reason: why nobody answered.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self.ended = False
        self.answered = False
        self.reason = ""
        threading.Thread(target=self._run, args=(ask,), name="failsoft-knock", daemon=True).start()

    def _run(self, ask: Callable[[], None]) -> None:
        try:
            ask()
            self.answered = True
        except Exception as error:  # whatever it is, nobody's there
            self.reason = str(error) if isinstance(error, DatabaseFailed) else type(error).__name__
        finally:
            self.ended = True
