"""The tests of tampering again: wherever they verify a file, both verifiers do, and must agree.

Left out: what happens to a file while it's being verified, or is done to our verifier's inside, which isn't the same for both.
"""

from __future__ import annotations

from tests.independent.agreeing import in_place_of_ours

import test_ledger_tampering  # isort: skip
from test_ledger_tampering import *  # noqa: F403 # isort: skip

with_both = in_place_of_ours(test_ledger_tampering)

del test_a_call_that_ends_while_it_is_verified_is_no_problem  # noqa: F821
del test_a_ledger_that_cant_be_read_now_is_unusable_not_tampered_with  # noqa: F821
del test_a_log_that_isnt_read_in_time_is_unusable_not_tampered_with  # noqa: F821
