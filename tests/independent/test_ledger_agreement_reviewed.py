"""The tests of reviews again: wherever they verify a file, both verifiers do, and must agree."""

from __future__ import annotations

from tests.independent.agreeing import in_place_of_ours

import test_ledger_reviews  # isort: skip
from test_ledger_reviews import *  # noqa: F403 # isort: skip

with_both = in_place_of_ours(test_ledger_reviews)
