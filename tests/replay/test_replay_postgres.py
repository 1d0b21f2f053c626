"""A ledger in a real PostgreSQL is replayed as one in a file: call by call, while its calls are listed."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from tests.postgres_server import PostgresServer
from tests.replay.shop import NOT, SAME, Item, isolated

from failsoft.ledger.location import locate
from failsoft.ledger.read import read
from failsoft.replay.recorded import started
from failsoft.replay.replay import Replay
from failsoft.testing import chat_answer

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def test_calls_in_a_window(postgres: PostgresServer) -> None:
    url = f"{postgres.url}&schema=replayed"
    changes = {"ledger": {"url": SecretStr(url)}, "state": {"url": "none"}}
    with isolated(None, chat_answer({"stars": 3}), **changes) as isolation:  # type: ignore[arg-type]
        for each in range(20):
            isolation["rate-item"].sync(Item(name=str(each)))
    with read(locate(url)) as reader:
        replay = Replay(reader, isolation.contracts, isolation.pins)
        window = started(reader, "2000-01-01T00:00:00.000000Z", None, "rate-item")
        found = [replay.call(str(each.call_id)) for each in window]
    assert [each.result for each in found] == [SAME] * 20
    postgres.execute("ALTER TABLE replayed.ledger_payload DISABLE TRIGGER ALL; DELETE FROM replayed.ledger_payload")
    with read(locate(url)) as reader:
        assert Replay(reader, isolation.contracts, isolation.pins).call(found[0].call_id).result is NOT
