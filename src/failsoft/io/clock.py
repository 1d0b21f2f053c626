"""The machine's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """The clocks that everything outside of simulations is given (`failsoft.core.effects.Clock`)."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    time_ns = staticmethod(time.time_ns)
