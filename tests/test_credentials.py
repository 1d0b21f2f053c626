"""Credentials end to end: a function that gives tokens, a key in a file that is replaced, a grade that's demanded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failsoft import ConfigurationError, Isolation
from failsoft.assembly_adapters import KEY_FILE_REFRESH
from failsoft.credentials import AwsCredentials, Token
from failsoft.testing import FaultTransport, chat_answer, faults
from tests.core.scripted import Grade, GradeItem, Item

CALLS: list[str] = []


def token() -> Token:
    CALLS.append("token")
    return Token(f"from-the-vault-{len(CALLS)}")


async def later() -> Token:
    return token()


def broken() -> Token:
    raise OSError("hunter2")


def aws() -> AwsCredentials:
    return AwsCredentials("AKIA", "hunter2-hunter2")


NOT_CALLABLE = 5


@pytest.fixture(autouse=True)
def _fresh() -> None:
    CALLS.clear()


def isolation(transport: Any, tmp_path: Path, **adapter: Any) -> Isolation:
    table = {"provider": "openai", "model": "gpt-4.1-2025-04-14", "base_url": "http://127.0.0.1:9/v1", **adapter}
    return Isolation(
        {
            "ledger": {"url": f"sqlite:///{tmp_path}/l.db"},
            "adapters": {"a": table},
            "capabilities": {"grade-item": {"adapters": ["a"]}},
        },
        capabilities=[GradeItem],
        transport=transport,
        sync_transport=transport,
    )


def sent(transport: FaultTransport) -> list[str]:
    return [each.headers["authorization"] for each in transport.requests]


GOOD = chat_answer({"grade": 3}, model="gpt-4.1-2025-04-14")


@pytest.mark.parametrize("function", ["token", "later"])
async def test_a_function_gives_the_token_that_requests_carry(function: str, tmp_path: Path) -> None:
    transport = FaultTransport(GOOD)
    async with isolation(transport, tmp_path, auth=f"tests.test_credentials:{function}") as isolated:
        for _ in range(2):
            assert (await isolated[GradeItem](Item(description="x"))).by_ai
    assert sent(transport) == ["Bearer from-the-vault-1"] * 2


@pytest.mark.parametrize("function", ["token", "later"])
def test_threads_carry_it_too(function: str, tmp_path: Path) -> None:
    transport = FaultTransport(GOOD)
    with isolation(transport, tmp_path, auth=f"tests.test_credentials:{function}") as isolated:
        for _ in range(2):
            assert isolated[GradeItem].sync(Item(description="x")).by_ai
    assert sent(transport) == ["Bearer from-the-vault-1"] * 2


def test_it_is_fetched_anew_once_after_a_401(tmp_path: Path) -> None:
    transport = FaultTransport([faults.UNAUTHENTICATED, GOOD])
    with isolation(transport, tmp_path, auth="tests.test_credentials:token") as isolated:
        assert isolated[GradeItem].sync(Item(description="x")).by_ai
    assert sent(transport) == ["Bearer from-the-vault-1", "Bearer from-the-vault-2"]


def test_a_token_that_is_echoed_stands_in_no_record(tmp_path: Path) -> None:
    echo = chat_answer("from-the-vault-1", model="gpt-4.1-2025-04-14")
    with isolation(FaultTransport(echo), tmp_path, auth="tests.test_credentials:token") as isolated:
        assert isolated[GradeItem].sync(Item(description="x")).degraded
    assert all(b"from-the-vault-1" not in each.read_bytes() for each in tmp_path.iterdir())


def test_a_function_that_raises_costs_the_adapter_not_the_call(tmp_path: Path) -> None:
    with isolation(FaultTransport(GOOD), tmp_path, auth="tests.test_credentials:broken") as isolated:
        outcome = isolated[GradeItem].sync(Item(description="x"))
    assert outcome.value == Grade(grade=1)
    assert [(each.reason, each.detail) for each in outcome.passed_over] == [("no_credential", "it raised OSError")]


def test_a_credential_of_another_kind_is_told_and_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with isolation(FaultTransport(GOOD), tmp_path, auth="tests.test_credentials:aws") as isolated:
        outcome = isolated[GradeItem].sync(Item(description="x"))
    assert [(each.reason, each.detail) for each in outcome.passed_over] == [
        ("no_credential", "it returned AwsCredentials, which isn't what this provider takes")
    ]
    assert "hunter2" not in caplog.text


def ends() -> Token:
    CALLS.append("ends")
    raise SystemExit(2)


async def test_a_function_that_ends_the_program_is_asked_once_and_the_loop_goes_on(tmp_path: Path) -> None:
    async with isolation(FaultTransport(GOOD), tmp_path, auth="tests.test_credentials:ends") as isolated:
        outcome = await isolated[GradeItem](Item(description="x"))
    assert [each.reason for each in outcome.passed_over] == ["no_credential"]
    assert CALLS == ["ends"]


def test_bedrock_signs_for_a_region_that_must_be_known(tmp_path: Path) -> None:
    options = {"provider": "bedrock", "model": "amazon.nova-lite-v1:0", "auth": "tests.test_credentials:aws"}
    with pytest.raises(ConfigurationError) as caught:
        isolation(FaultTransport(GOOD), tmp_path, **options, base_url="https://gateway.example")
    assert caught.value.problems == ("adapters.a.options.region: is missing: AWS credentials sign for a region",)
    isolation(
        FaultTransport(GOOD),
        tmp_path,
        **options,
        base_url="https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
    )


def test_a_key_in_a_file_is_read_anew_when_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old-old-old\n")
    transport = FaultTransport([GOOD, faults.UNAUTHENTICATED, GOOD])
    with isolation(transport, tmp_path, api_key={"file": str(tmp_path / "key")}) as isolated:
        assert isolated[GradeItem].sync(Item(description="x")).by_ai
        (tmp_path / "key").write_text("new-new-new\n")
        assert isolated[GradeItem].sync(Item(description="x")).by_ai
    assert sent(transport) == ["Bearer old-old-old", "Bearer old-old-old", "Bearer new-new-new"]


def test_a_key_in_a_file_is_read_anew_after_a_while_and_one_that_has_gone_stays_in_use(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old-old-old")
    transport = FaultTransport(GOOD)
    isolated = isolation(transport, tmp_path, api_key={"file": str(tmp_path / "key")})
    keeper = isolated._adapters["a"].keeper
    assert keeper is not None
    with isolated:
        assert isolated[GradeItem].sync(Item(description="x")).by_ai
        (tmp_path / "key").unlink()
        keeper._clock = _Later()
        isolated.running.world.clock = _Later()  # type: ignore[union-attr]
        assert isolated[GradeItem].sync(Item(description="x")).by_ai
    assert keeper.problem == "it raised UnsoundCredential: the key file can't be read: No such file or directory"
    assert sent(transport) == ["Bearer old-old-old"] * 2


class _Later:
    """The machine's clock, some time on."""

    def __init__(self) -> None:
        import time

        self._time = time

    def monotonic_ns(self) -> int:
        return self._time.monotonic_ns() + KEY_FILE_REFRESH

    def time_ns(self) -> int:
        return self._time.time_ns() + KEY_FILE_REFRESH


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"auth": "nowhere:x"}, "adapters.a.auth: can't import"),
        (
            {"auth": "tests.test_credentials:NOT_CALLABLE"},
            "adapters.a.auth: tests.test_credentials:NOT_CALLABLE is not callable",
        ),
        (
            {"auth": "tests.test_credentials:isolation"},
            "adapters.a.auth: tests.test_credentials:isolation is called without arguments",
        ),
        ({"auth": "no path"}, 'adapters.a.auth: "no path" is not an import path'),
        ({}, 'adapters.a.api_key: is missing: write api_key = { env = "OPENAI_API_KEY" }'),
    ],
)
def test_what_is_wrong_with_it_is_told_once(keys: dict[str, str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        isolation(FaultTransport(GOOD), tmp_path, **keys)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(problem)


def test_a_key_and_a_function_are_too_much(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 10)
    with pytest.raises(ConfigurationError, match="leave one of the two out"):
        isolation(
            FaultTransport(GOOD), tmp_path, auth="tests.test_credentials:token", api_key={"file": str(tmp_path / "key")}
        )


@pytest.mark.parametrize(("provider", "grade"), [("openai", "provider"), ("openai-compatible", "echoed")])
def test_the_grade_that_is_demanded_is_met(provider: str, grade: str, tmp_path: Path) -> None:
    options = {"provider": provider, "auth": "tests.test_credentials:token", "require_grade": grade}
    with isolation(FaultTransport(GOOD), tmp_path, **options) as isolated:
        assert isolated[GradeItem].sync(Item(description="x")).by_ai


def test_less_than_the_grade_that_is_demanded_is_refused(tmp_path: Path) -> None:
    """Azure states a dated name; any other is an echo."""
    options = {"provider": "azure-openai", "base_url": "http://127.0.0.1:9", "options": {"deployment": "mine"}}
    more = {"auth": "tests.test_credentials:token", "require_grade": "provider", "served": "mine"}
    transport = FaultTransport(chat_answer({"grade": 3}, model="mine"))
    with isolation(transport, tmp_path, **options, **more) as isolated:
        outcome = isolated[GradeItem].sync(Item(description="x"))
    assert [each.reason for each in outcome.passed_over] == ["served_unproven"]


@pytest.mark.parametrize(
    ("provider", "grade", "best"),
    [("openai-compatible", "gateway", "echoed"), ("cohere", "echoed", "unknown"), ("bedrock", "provider", "gateway")],
)
def test_a_grade_that_no_reply_can_meet_is_refused_at_once(
    provider: str, grade: str, best: str, tmp_path: Path
) -> None:
    options = {"provider": provider, "model": "command-a-03-2025" if provider == "cohere" else "amazon.nova-lite-v1:0"}
    with pytest.raises(ConfigurationError, match=f'require_grade: no reply would do: .* "{best}" at best'):
        isolation(FaultTransport(GOOD), tmp_path, auth="tests.test_credentials:token", require_grade=grade, **options)
