"""Sets of texts, which Python orders by a hash of its process: calls recorded by one process, replayed by another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, ValidationInfo

from failsoft.core.contract import Contract
from failsoft.replay.comparing import in_doubt, other, same_value

ROOT = Path(__file__).parents[2]

PROGRAM = '''
import sys
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationInfo, field_validator

import failsoft
from failsoft import Audit, Capability, Isolation
from failsoft.ledger.read import read
from failsoft.replay.replay import Replay
from failsoft.testing import FaultTransport, chat_answer, faults
from tests.replay.shop import GPT

WORDS = ["bolt", "nut", "screw", "washer", "pin", "rivet"]


class Item(BaseModel, frozen=True):
    tags: frozenset[str]


class Tagged(BaseModel):
    tags: set[str] = Field(alias="Tags")
    note: {note}

    @field_validator("tags")
    @classmethod
    def _known(cls, tags: set[str], info: ValidationInfo) -> set[str]:
        assert info.context is None or tags <= info.context.tags
        return tags


class RateItem(Capability[Item, Tagged]):
    """Which tags?"""

    name = "rate-item"

    def fallback(self, request: Item) -> Tagged:
        return Tagged(Tags=set(request.tags), note=None)


script = [chat_answer({{"Tags": WORDS, "note": None}}), faults.SERVER_ERROR]
isolation = Isolation(
    {{
        "ledger": {{"url": f"sqlite:///{{sys.argv[1]}}"}},
        "adapters": {{"gpt": dict(GPT)}},
        "capabilities": {{"rate-item": {{"adapters": ["gpt"]}}}},
    }},
    capabilities=[RateItem],
    sync_transport=FaultTransport(script),
)
if len(sys.argv) == 2:
    with isolation:
        for _ in range(2):
            print(isolation[RateItem].sync(Item(tags=frozenset(WORDS))).call_id)
else:
    with read(sys.argv[1]) as reader:
        for each in sys.argv[2:]:
            for step in Replay(reader, isolation.contracts, isolation.pins).call(each).steps:
                print(step.step, step.result, step.reason, sep="|")
'''


def run(program: Path, seed: int, *arguments: str) -> list[str]:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
    }
    command = [sys.executable, str(program), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def replayed(folder: Path, note: str) -> list[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM.format(note=note))
    calls = run(program, 1, str(folder / "x.db"))
    return run(program, 2, str(folder / "x.db"), *calls)


def test_another_process_replays_them_as_the_same(tmp_path: Path) -> None:
    steps = [each.split("|") for each in replayed(tmp_path, "Any = None")]
    answered, fell_back = steps[:6], steps[6:]
    assert [each[0] for each in answered] == ["call", "request", "prompt", "decode", "schema", "accept"]
    assert [each[0] for each in fell_back] == ["call", "request", "prompt", "decode", "fallback"]
    assert {each[1] for each in steps} == {"same"}, steps


def test_of_a_response_that_is_not_whole_nobody_can_tell(tmp_path: Path) -> None:
    steps = [each.split("|") for each in replayed(tmp_path, "Annotated[str | None, Audit.omitted]")]
    (told,) = [each for each in steps if each[0] == "fallback"]
    assert told[1:] == [
        "not replayable",
        "the fallback gives another response, at …; but only the order of something in it is another, and a part of it is "
        "on no record (`Audit.omitted`)",
    ]


@pytest.mark.parametrize(
    ("kind", "was", "now", "same"),
    [
        (set[str], '["a","b"]', '["b","a"]', True),
        (frozenset[tuple[str, ...]], '[["a"],["b","c"]]', '[["b","c"],["a"]]', True),
        (dict[str, set[int]], '{"a":[1,2],"b":[]}', '{"b":[],"a":[2,1]}', True),
        (list[str], '["a","b"]', '["b","a"]', False),
        (dict[str, list[int]], '{"a":[1,2]}', '{"a":[2,1]}', False),
        (set[str], '["a","b"]', '["a","c"]', False),
        (Any, "1", "true", False),
        (set[Any], '[1,"a"]', '["a",true]', False),
        (set[int], '["1",2]', "[2,1]", False),
        (set[int], "[", "[1]", False),
        (int, "[1]", "[1] ", False),
    ],
)
def test_what_is_the_same_value(kind: Any, was: str, now: str, same: bool) -> None:
    contract = made(kind)
    assert same_value(was.encode(), now.encode(), lambda text: contract.parse_value(text, None)) is same
    assert (other(was.encode(), now.encode(), contract, None) == "") is same
    assert in_doubt(was.encode(), now.encode(), contract) == []


def test_code_that_leaves_says_nothing() -> None:
    def leave(text: bytes) -> object:
        raise SystemExit

    assert not same_value(b"[1,2]", b"[2,1]", leave)
    assert same_value(json.dumps([1]).encode(), b"[1]", leave)


def test_a_type_whose_validators_look_at_the_request_is_read_with_it() -> None:
    def known(tags: set[str], info: ValidationInfo) -> set[str]:
        assert tags == set(info.context)
        return tags

    contract = made(Annotated[set[str], AfterValidator(known)])
    assert other(b'["a","b"]', b'["b","a"]', contract, "ab") == ""
    assert other(b'["a","b"]', b'["b","a"]', contract, "ac") == "another response"


def made(response: Any) -> Contract[Any, Any]:
    from failsoft import capability

    def body(request: Any) -> Any:
        return None

    body.__annotations__ = {"request": str, "return": response}
    return Contract(capability(body))
