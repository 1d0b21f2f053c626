"""The tests of erasing again, in a file: wherever they verify it, both verifiers do, and must agree.

Left out: what a database alone does, and what happens to a file while it's being verified, which isn't the same for both.
"""

from __future__ import annotations

from tests.independent.agreeing import in_place_of_ours

import test_ledger_erasure  # isort: skip
from test_ledger_erasure import *  # noqa: F403 # isort: skip
from test_ledger_erasure import TestErasing as Erasing  # isort: skip

with_both = in_place_of_ours(test_ledger_erasure)

del test_a_case_that_is_erased_while_the_log_is_verified_is_no_tampering  # noqa: F821
del TestWhereNothingIs, TestRetention  # noqa: F821


class TestErasing(Erasing):
    test_in_postgres = test_in_postgres_many_go_in_several_commands = None  # type: ignore[assignment]
