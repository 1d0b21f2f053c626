"""The tests of what came late again: wherever they verify a file, both verifiers do, and must agree."""

from __future__ import annotations

from tests.independent.agreeing import in_place_of_ours

import test_ledger_late  # isort: skip
from test_ledger_late import *  # noqa: F403 # isort: skip

with_both = in_place_of_ours(test_ledger_late)
