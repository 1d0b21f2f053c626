"""The tests of what vouches for a ledger again: wherever they verify a file, both verifiers do, and must agree."""

from __future__ import annotations

from tests.independent.agreeing import in_place_of_ours

import test_ledger_covered  # isort: skip
from test_ledger_covered import *  # noqa: F403 # isort: skip

with_both = in_place_of_ours(test_ledger_covered)
