"""The tests of what a verifier must find besides the threat model again, in a file: both verifiers must find it."""

from __future__ import annotations

import pytest
from tests.independent.agreeing import in_place_of_ours

import test_threats_besides  # isort: skip
from test_threats_besides import *  # noqa: F403 # isort: skip
from attacked import World, in_a_file, lived  # isort: skip
from signing import signing_in  # isort: skip

from failsoft.ledger.checkpoints.publishing import SECOND

with_both = in_place_of_ours(test_threats_besides)

del test_a_file_of_keys_that_cant_be_used_is_asked_once  # noqa: F821 -- by our own way of asking


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> World:
    return lived(in_a_file(tmp_path_factory.mktemp("besides") / "own"), None)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> World:
    attacked = in_a_file(tmp_path_factory.mktemp("besides") / "own")
    return lived(attacked, signing_in(attacked.folder, every_ns=3600 * SECOND))
