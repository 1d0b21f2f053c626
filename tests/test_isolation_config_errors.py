"""One look tells all there is to mend: every problem of a configuration at once, each with its place, never a secret."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from failsoft import Capability, ConfigurationError, Isolation, capability
from failsoft.config import Config
from failsoft.importing import import_object

HERE = __name__
CANARY = "sk-canary-7f3a"


class Item(BaseModel):
    description: str


class Rating(BaseModel):
    stars: int


class RateItem(Capability[Item, Rating]):
    """How many stars?"""

    def fallback(self, request: Item) -> Rating:
        return Rating(stars=0)


class NeedsTable(Capability[Item, Rating]):
    def __init__(self, table: dict[str, int]) -> None:
        raise NotImplementedError

    def fallback(self, request: Item) -> Rating:
        raise NotImplementedError


class Lost(Capability[Item, "Nowhere"]):  # type: ignore[name-defined]
    def fallback(self, request: Item) -> Any:
        raise NotImplementedError


@capability
def rate(item: Item) -> Rating:
    raise NotImplementedError


def table_of_stars(request: Item) -> Rating:
    return Rating(stars=9)


class StarTable:
    def __call__(self, request: Item) -> Rating:
        return Rating(stars=8)


class NeedsFile:
    def __init__(self, path: str) -> None:
        raise NotImplementedError


async def waiting(request: Item) -> Rating:
    raise NotImplementedError


def of_numbers(request: int) -> Rating:
    raise NotImplementedError


def asked(ask: Any) -> Any:
    return {"stars": 7}


def text_of(result: Any) -> str:
    return json.dumps(result)


def never(request: Item) -> NoReturn:
    raise NotImplementedError


not_callable = 5
none = None

LOCAL = {"provider": "openai-compatible", "base_url": "http://127.0.0.1:1/v1", "model": "m"}


def problems(given: Any = None, **table: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        Isolation({"ledger": {"url": "none"}, **table}, capabilities=given)
    return caught.value.problems


def wired(fallback: str) -> Isolation:
    return Isolation(
        {"ledger": {"url": "none"}, "capabilities": {"rate-item": {"fallback": fallback}}}, capabilities=[RateItem]
    )


def test_all_problems_stand_in_one_error() -> None:
    found = problems(
        [RateItem, RateItem, NeedsTable, rate],
        ledgr={},
        adapters={
            "fallback": LOCAL,
            "gpt": {"provider": "openai", "model": "gpt-4.1", "api_key": SecretStr(CANARY)},
            "key": {"provider": "openai", "model": "gpt-4.1-2025-04-14", "api_key": CANARY},
            "far": {**LOCAL, "base_url": "http://models.example/v1"},
            "Loud": {**LOCAL, "atempts": 3},
        },
        capabilities={
            "rate-item": {"adapters": ["gtp"], "fallback": f"{HERE}:waiting"},
            "rate": {"deadline": "soon"},
            "rate-itm": {},
        },
    )
    text = "\n".join(found)
    for said in (
        "ledgr: ",
        "adapters.fallback",
        "adapters.gpt.model: ",
        "adapters.key.api_key: ",
        "adapters.far.base_url: ",
        "adapters.Loud",
        'did you mean "attempts"?',
        'capabilities.rate-item.adapters[0]: no adapter named "gtp"; did you mean "gpt"?',
        "capabilities.rate.deadline: ",
        "capabilities.rate-item.fallback: ",
        'did you mean "rate-item"?',
        'two are named "rate-item"',
        "NeedsTable can't be made without arguments",
    ):
        assert said in text, text
    assert CANARY not in text


def test_a_problem_hides_no_other_of_the_same_table() -> None:
    found = problems(
        [RateItem, Lost],
        adapters={
            "gpt": {
                "provider": "openai",
                "model": "gpt-4.1",
                "api_key": CANARY,
                "breaker": {"rate": 1000, "trials": 0},
            },
            "far": {"provider": "openai-compatible", "model": "gpt-4o", "attempts": 0},
            "own": {"provider": "callable", "model": "o1", "call": "mod", "text": f"{HERE}:nothing", "concurrency": 0},
            "none": {"provider": "callable", "model": "m", "served_by": f"{HERE}:nothing", "breaker": {"rate": 1000}},
            "Bad name": {"provider": "callable", "model": "o3", "call": f"{HERE}:nothing"},
        },
        capabilities={
            "rate-item": {"adapters": ["gtp"], "deadline": 8, "fallback": f"{HERE}:of_numbers", "class": "mod"},
            "lost": {"fallback": f"{HERE}:nothing", "degraded_limit": 101},
        },
    )
    starts = (
        "adapters.gpt.model: ",
        "adapters.gpt.api_key: ",
        "adapters.gpt.breaker.rate: ",
        "adapters.gpt.breaker.trials: ",
        "adapters.far.model: ",
        "adapters.far.base_url: ",
        "adapters.far.attempts: ",
        "adapters.own.model: ",
        "adapters.own.call: ",
        "adapters.own.text: ",
        "adapters.own.concurrency: ",
        "adapters.none: a callable adapter needs call",
        "adapters.none.served_by: ",
        "adapters.none.breaker.rate: ",
        'adapters."Bad name": ',
        'adapters."Bad name".model: ',
        'adapters."Bad name".call: ',
        "capabilities.rate-item.adapters[0]: ",
        "capabilities.rate-item.deadline: ",
        "capabilities.rate-item.fallback: ",
        "capabilities.rate-item.class: ",
        "capabilities.lost: ",
        "capabilities.lost.fallback: ",
        "capabilities.lost.degraded_limit: ",
    )
    assert [sum(each.startswith(start) for each in found) for start in starts] == [1] * len(starts), found
    assert len(found) == len(starts), found


def test_a_header_that_an_adapter_sets_itself_is_a_problem_with_its_place_and_hides_no_other() -> None:
    adapter = {**LOCAL, "headers": {"Content-Length": SecretStr(CANARY)}, "breaker": {"rate": 1000}}
    found = problems([], adapters={"a": adapter, "b": {"provider": "callable", "model": "o1"}})
    assert [each.partition(": ")[0] for each in found] == [
        "adapters.a.breaker.rate",
        "adapters.a.headers",
        "adapters.b.model",
        "adapters.b",
    ]
    assert CANARY not in "".join(found)


def test_a_capability_that_cant_be_imported_hides_no_problem_of_its_table() -> None:
    found = problems(
        capabilities={
            "a": {"class": "nowhere.at_all:X", "fallback": f"{HERE}:nothing"},
            "b": {"class": "wrong", "fallback": f"{HERE}:nothing"},
            "c": {"class": f"{HERE}:rate", "fallback": f"{HERE}:table_of_stars"},
        }
    )
    assert [each.partition(": ")[0] for each in sorted(found)] == [
        "capabilities.a.class",
        "capabilities.a.fallback",
        "capabilities.b.class",
        "capabilities.b.fallback",
        "capabilities.c.class",
    ]


@pytest.mark.parametrize("given", [None, [], 5, b"x", object()])
def test_what_is_no_mapping_is_no_configuration(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"a mapping\) or a failsoft\.config\.Config is wanted"):
        Isolation(given, capabilities=[])


def test_figures_of_a_breaker_that_nothing_reads_are_problems() -> None:
    breaker = {"slow_after_s": 20, "window_calls": 50}
    assert problems([], adapters={"a": {**LOCAL, "breaker": breaker}}) == (
        "adapters.a.breaker.slow_after_s: has no effect without slow_rate: write slow_rate = 80",
        'adapters.a.breaker.window_calls: has no effect without window = "count"',
    )
    used = {**breaker, "slow_rate": 80, "window": "count"}
    Isolation({"ledger": {"url": "none"}, "adapters": {"a": {**LOCAL, "breaker": used}}}, capabilities=[])


@pytest.mark.parametrize(
    ("ledger", "policy", "problem"),
    [
        ({}, "spool", 'on_ledger_failure: only a ledger in a database has a spool: write "fallback"'),
        ({"url": "none"}, "spool", 'on_ledger_failure: only a ledger in a database has a spool: write "fallback"'),
        (
            {"url": "none", "spool": "waiting"},
            "fallback",
            'ledger: a spool means nothing without on_ledger_failure = "spool"',
        ),
    ],
)
def test_a_spool_where_there_can_be_none_is_a_problem_and_hides_no_other(
    ledger: dict[str, str], policy: str, problem: str
) -> None:
    found = problems([], ledger=ledger, on_ledger_failure=policy, transport="carrier pigeon")
    assert [each.partition(":")[0] for each in found] == ["transport", problem.partition(":")[0]]
    assert found[1] == problem
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        Isolation(Config(ledger=ledger, on_ledger_failure=policy), capabilities=[])  # type: ignore[arg-type]


def test_a_ledger_that_is_wrong_itself_is_not_said_to_have_no_spool() -> None:
    assert [each.partition(":")[0] for each in problems([], ledger={"url": 5}, on_ledger_failure="spool")] == [
        "ledger.url"
    ]


def test_a_class_of_cases_that_there_isnt_is_a_problem_before_anything_is_recorded() -> None:
    there = "there are canceled-solicitation, contract-file, contractor, eu-ai-act-log, investigation"
    assert problems([], retention={"default": "nosuch", "kinds": {"contract": "contracter"}}) == (
        f"retention.kinds.contract: there is no class 'contracter'; {there}",
        f"retention.default: there is no class 'nosuch'; {there}",
    )


def test_figures_of_a_breaker_that_dont_fit_together_are_a_problem() -> None:
    (found,) = problems([], adapters={"a": {**LOCAL, "breaker": {"rate": 1000}}})
    assert found.startswith("adapters.a.breaker")


@pytest.mark.parametrize("path", ["failsoft.toml", Path("failsoft.toml")])
def test_a_files_name_is_no_configuration(path: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"use Isolation\.from_file"):
        Isolation(path)


class TestCapabilities:
    def test_each_is_imported_by_its_class_where_the_code_passes_none(self, tmp_path: Path) -> None:
        path = tmp_path / "failsoft.toml"
        path.write_text(
            f'[ledger]\nurl = "none"\n[capabilities.rate-item]\nclass = "{HERE}:RateItem"\n'
            f'[capabilities.rate]\nclass = "{HERE}:rate"\n'
        )
        with Isolation.from_file(path) as isolation:
            assert isolation["rate-item"].sync(Item(description="")).value == Rating(stars=0)
            assert isolation[RateItem] is isolation["rate-item"]

    @pytest.mark.parametrize(
        ("path", "problem"),
        [
            ("nowhere.at_all:X", 'can\'t import "nowhere.at_all": ModuleNotFoundError'),
            (f"{HERE}:Nothing", f'"{HERE}" has no "Nothing"'),
            (f"{HERE}:Item", "is no capability: pass a class, an instance, or a @capability function"),
            (f"{HERE}:NeedsTable", "can't be made without arguments"),
            (f"{HERE}:rate", 'is named "rate", not "rate-item"'),
        ],
    )
    def test_a_class_that_cant_be_had_is_a_problem(self, path: str, problem: str) -> None:
        (found,) = problems(capabilities={"rate-item": {"class": path}})
        assert found.startswith("capabilities.rate-item")
        assert problem in found

    def test_without_a_class_the_code_must_pass_it(self) -> None:
        assert problems(capabilities={"rate-item": {}}) == (
            'capabilities.rate-item: write class = "package.module:RateItem", or pass it in code',
        )

    def test_one_that_was_passed_but_is_none_is_a_problem(self) -> None:
        assert "is no capability" in problems([5])[0]

    def test_one_whose_types_cant_be_resolved_is_a_problem(self) -> None:
        assert problems([Lost]) == ("capabilities.lost: name 'Nowhere' is not defined",)

    def test_an_instance_that_names_itself_badly_is_a_problem(self) -> None:
        instance = RateItem()
        instance.name = "Rate Item"
        (found,) = problems([instance])
        assert '"Rate Item" is not a name: kebab-case' in found

    def test_one_that_isnt_configured_has_its_fallback(self) -> None:
        with Isolation({"ledger": {"url": "none"}}, capabilities=[RateItem]) as isolation:
            assert isolation[RateItem].sync(Item(description="")).value == Rating(stars=0)

    def test_a_table_with_a_class_may_be_for_others(self) -> None:
        configured = {"other": {"class": "elsewhere:Other"}}
        Isolation({"ledger": {"url": "none"}, "capabilities": configured}, capabilities=[RateItem])


class TestAWiredFallback:
    @pytest.mark.parametrize(("name", "stars"), [("table_of_stars", 9), ("StarTable", 8)])
    def test_answers(self, name: str, stars: int) -> None:
        with wired(f"{HERE}:{name}") as isolation:
            outcome = isolation[RateItem].sync(Item(description=""))
        assert outcome.value == Rating(stars=stars)
        assert outcome.source.name == f"{HERE}:{name}"

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("nothing", f'"{HERE}" has no "nothing"'),
            ("not_callable", "is not callable"),
            ("waiting", "a fallback may not wait"),
            ("of_numbers", "takes int, but the capability's request is Item"),
            ("NeedsFile", "can't be made without arguments"),
            ("Item", "can't be made without arguments"),
            ("none", f"{HERE}:none is None"),
            ("never", "returns typing.NoReturn, but the capability's response is Rating"),
        ],
    )
    def test_that_doesnt_fit_is_a_problem(self, name: str, problem: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            wired(f"{HERE}:{name}")
        (found,) = caught.value.problems
        assert found.startswith("capabilities.rate-item.fallback: ")
        assert problem in found

    @pytest.mark.parametrize("path", ["sys:exit", "time:sleep", "builtins:len", "os:_exit", "builtins:str.upper"])
    def test_that_is_built_in_is_a_problem(self, path: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            wired(path)
        (found,) = caught.value.problems
        assert found.startswith(f"capabilities.rate-item.fallback: {path} is built in, so nothing says whether it fits")


class TestACallableAdapter:
    def adapter(self, **keys: Any) -> dict[str, Any]:
        return {"a": {"provider": "callable", "model": "m", **keys}}

    def test_is_wired_by_import_paths(self) -> None:
        made = self.adapter(call=f"{HERE}:asked", text=f"{HERE}:text_of")
        table = {"ledger": {"url": "none"}, "adapters": made, "capabilities": {"rate-item": {"adapters": ["a"]}}}
        with Isolation(table, capabilities=[RateItem]) as isolation:
            assert isolation[RateItem].sync(Item(description="")).value == Rating(stars=7)

    @pytest.mark.parametrize(
        ("keys", "problem"),
        [
            ({}, "adapters.a"),
            ({"call": f"{HERE}:nothing"}, f'adapters.a.call: "{HERE}" has no "nothing"'),
            ({"call": f"{HERE}:not_callable"}, f"adapters.a.call: {HERE}:not_callable is not callable"),
            ({"call": f"{HERE}:asked", "text": f"{HERE}:nothing"}, "adapters.a.text: "),
        ],
    )
    def test_that_cant_be_had_is_a_problem(self, keys: dict[str, Any], problem: str) -> None:
        assert problem in problems([], adapters=self.adapter(**keys))[0]

    def test_in_code_is_held_to_the_same_rules(self) -> None:
        isolation = Isolation({"ledger": {"url": "none"}}, capabilities=[])
        with pytest.raises(ConfigurationError) as caught:
            isolation.adapter("a", model="gpt-4o", breaker={"rate": 1000})(asked)
        assert [each.partition(": ")[0] for each in caught.value.problems] == [
            "adapters.a.model",
            "adapters.a.breaker.rate",
        ]
        isolation.adapter("a", model="gpt-4o", floating=True)(asked)


class TestImporting:
    def test_a_module_that_raises_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "raises_at_import.py").write_text("raise RuntimeError('no')")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ValueError, match='can\'t import "raises_at_import": RuntimeError: no'):
            import_object("raises_at_import:x")

    def test_a_qualified_name_is_followed(self) -> None:
        assert import_object(f"{HERE}:RateItem.name") == "rate-item"


class TestSecrets:
    @pytest.fixture
    def isolation(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Isolation]:
        monkeypatch.setenv("THE_KEY", CANARY)
        (tmp_path / "token").write_text(CANARY + "\n")
        path = tmp_path / "failsoft.toml"
        path.write_text(
            '[adapters.gpt]\nprovider = "openai"\nmodel = "gpt-4.1-2025-04-14"\napi_key = { env = "THE_KEY" }\n'
            'attempts = 1\n[adapters.gpt.headers]\nx-gateway = { file = "token" }\n'
            f'[capabilities.rate-item]\nclass = "{HERE}:RateItem"\nadapters = ["gpt"]\n'
        )
        seen: list[httpx.Request] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            assert request.headers["authorization"] == f"Bearer {CANARY}"
            assert request.headers["x-gateway"] == CANARY
            return httpx.Response(401, json={"error": {"code": "invalid_api_key", "message": f"bad key {CANARY}"}})

        return lambda: Isolation.from_file(path, transport=httpx.MockTransport(handler))

    def test_are_sent_and_shown_nowhere(
        self,
        isolation: Callable[[], Isolation],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with caplog.at_level(logging.DEBUG, "failsoft"), isolation() as made:
            outcome = made["rate-item"].sync(Item(description="bolt"))
            shown = [repr(outcome), repr(made), repr(made._config), repr(vars(made)), repr(made.health())]
            shown += [repr(made._adapters), repr(made._config.snapshot())]
        shown += [each.getMessage() for each in caplog.records]
        assert not [each for each in shown if CANARY in each]
        assert CANARY not in "".join(capfd.readouterr())
        assert outcome.passed_over[0].reason == "unauthenticated"

    def test_arent_in_the_ledger_but_in_what_the_provider_said(
        self, isolation: Callable[[], Isolation], tmp_path: Path
    ) -> None:
        from failsoft.ledger.read import read

        with isolation() as made:
            made["rate-item"].sync(Item(description="bolt"))
        with read(tmp_path / "failsoft.db") as reader:
            assert not [each for each in reader.records(last=100) if CANARY in json.dumps(each.fields)]

    @given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=40).map("zq9".__add__))
    def test_that_stand_in_the_configuration_are_told_without_their_value(self, secret: str) -> None:
        adapter = {"provider": "openai", "model": "gpt-4.1-2025-04-14", "api_key": secret, "headers": {"x-a": secret}}
        found = problems([], adapters={"a": adapter})
        assert len(found) == 2
        assert not [each for each in found if secret in each]

    def test_may_be_handed_over_in_code(self) -> None:
        adapter = {"provider": "openai", "model": "gpt-4.1-2025-04-14", "api_key": SecretStr(CANARY)}
        assert CANARY not in repr(vars(Isolation({"ledger": {"url": "none"}, "adapters": {"a": adapter}})))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.binary(max_size=4)
names = st.sampled_from(
    [
        "ledger",
        "url",
        "adapters",
        "capabilities",
        "extends",
        "host",
        "on_bug",
        "provider",
        "model",
        "base_url",
        "api_key",
        "headers",
        "served",
        "served_pattern",
        "labels",
        "breaker",
        "attempts",
        "attempt_timeout",
        "deadline",
        "class",
        "fallback",
        "env",
        "file",
        "default",
        "call",
        "text",
        "a",
        "rate-item",
        "openai",
        "callable",
        "openai-compatible",
        "none",
        "m",
    ]
)
trees = st.recursive(
    scalars | names,
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(names | st.text(max_size=5) | st.integers(), each, max_size=4)
    ),
    max_leaves=25,
)


class RateTwice(RateItem):
    """How many stars?"""

    name = "rate-twice"
    idempotent = True


class TestTimesThatDontFit:
    @pytest.mark.parametrize(
        ("capability", "keys", "place"),
        [
            ("rate-item", {"hedge_after": "1s"}, "capabilities.rate-item.hedge_after: two providers"),
            (
                "rate-twice",
                {"hedge_after": "9s", "deadline": "8s"},
                "capabilities.rate-twice.hedge_after: must be less",
            ),
            ("rate-item", {"deadline": "5s"}, "capabilities.rate-item.deadline: an attempt at a may take as long"),
        ],
    )
    def test_are_problems(self, capability: str, keys: dict[str, str], place: str) -> None:
        adapters = {"a": {**LOCAL, "attempt_timeout": "5s"}, "b": LOCAL}
        table = {
            "ledger": {"url": "none"},
            "adapters": adapters,
            "capabilities": {capability: {"adapters": ["a", "b"], **keys}},
        }
        with pytest.raises(ConfigurationError) as caught:
            Isolation(table, capabilities=[RateItem, RateTwice])
        assert any(place in each for each in caught.value.problems)

    def test_that_fit_are_none(self) -> None:
        table = {
            "ledger": {"url": "none"},
            "adapters": {"a": {**LOCAL, "attempt_timeout": "5s", "limits": {"requests_per_minute": 60}}},
            "capabilities": {"rate-twice": {"adapters": ["a"], "hedge_after": "1s", "deadline": "8s"}},
        }
        with Isolation(table, capabilities=[RateTwice]) as isolation:
            assert isolation.running is not None
            route = isolation.running.routes["rate-twice"]
        assert route.hedge_after == 1_000_000_000
        assert route.adapters[0].limits is not None


class TestHostileInput:
    @given(st.dictionaries(names | st.text(max_size=5), trees, max_size=5))
    def test_no_mapping_raises_anything_else(self, table: dict[Any, Any]) -> None:
        with contextlib.suppress(ConfigurationError):
            Isolation(table, capabilities=[RateItem])

    @given(
        st.fixed_dictionaries(
            {"adapters": st.dictionaries(st.just("a"), st.dictionaries(names, trees, max_size=6).map(LOCAL.__or__))}
        )
    )
    def test_no_adapters_table_raises_anything_else(self, table: dict[str, Any]) -> None:
        with contextlib.suppress(ConfigurationError):
            Isolation({"ledger": {"url": "none"}, **table})

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
    def test_no_bytes_raise_anything_else(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "failsoft.toml"
        path.write_bytes(content)
        with contextlib.suppress(ConfigurationError):
            Isolation.from_file(path, capabilities=[RateItem])

    @pytest.mark.parametrize("name", ["nowhere.toml", ".", "\0"])
    def test_no_path_raises_anything_else(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigurationError):
            Isolation.from_file(tmp_path / name)
