"""What is in force, found out: capabilities, their code and what they answer; adapters and their pins."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, packages_distributions
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final

from attrs import asdict, frozen
from pydantic import TypeAdapter

from failsoft.capability import Capability, FunctionCapability, default_prompt
from failsoft.config import CapabilityConfig, Config
from failsoft.core.answerable import property_names
from failsoft.core.contract import Contract, Snapshot, import_path
from failsoft.core.route import GuardedAdapter
from failsoft.errors import ConfigurationError
from failsoft.lockfile.adapter_facts import locked_adapter
from failsoft.lockfile.document import Golden, Lock, LockedCapability, Seen
from failsoft.lockfile.files import digest_of_file, matching
from failsoft.lockfile.plain import canonical, plain, sha256_of, state_of
from failsoft.lockfile.reach import Reach, Walk, dunders
from failsoft.lockfile.source import file_of
from failsoft.prompt import Sampling

TOLD: Final = 2000
"""Characters of an instruction that are written out, so that the words that changed can be shown."""

SHORT: Final = 200
"""Characters of a golden request or answer that's written out: beyond it, only its digest is."""


@frozen
class InForce:
    """What a lock is made from: what an isolation consists of.

    Args:
        config: as read.
        contracts: by capability.
        settings: by capability.
        adapters: by name, those made in code too.
    """

    config: Config
    contracts: Mapping[str, Contract[Any, Any]]
    settings: Mapping[str, CapabilityConfig]
    adapters: Mapping[str, GuardedAdapter]

    @property
    def lock_path(self) -> Path:
        """Where the lock is: beside the configuration, named as it is."""
        source = self.config.source
        return self.config.base / "failsoft.lock" if source is None else source.with_suffix(".lock")


def lock_of(what: InForce, before: Lock | None = None) -> Lock:
    """The lock of what is in force now.

    Args:
        what: is in force.
        before: the lock until now: who was seen to answer is taken from there, where the pin is the same.

    Raises:
        ConfigurationError: an artefact that isn't there, a golden input that doesn't fit or isn't answered, a fallback that
            answers the same request in two ways; all of it at once.
    """
    problems: list[str] = []
    code: dict[str, dict[str, str]] = {}
    capabilities: dict[str, LockedCapability] = {}
    for name in sorted(what.contracts):
        facts = _Facts(what.contracts[name], what.settings[name], what.lock_path, problems)
        capabilities[name] = facts.locked()
        for piece, digest in facts.reach.pieces.items():
            module, _, bound = piece.partition(":")
            code.setdefault(module, {})[bound] = digest[:16]
    adapters = {
        name: locked_adapter(name, what.adapters[name], what.config, problems) for name in sorted(what.adapters)
    }
    if problems:
        raise ConfigurationError(problems)
    lock = Lock(
        failsoft=version_of("failsoft"),
        pydantic=version_of("pydantic"),
        on_ledger_failure=what.config.on_ledger_failure,
        on_bug=what.config.on_bug
        if "on_bug" in what.config.model_fields_set
        else "fallback",  # not what tests default to
        adapters=adapters,
        capabilities=capabilities,
        code={module: dict(sorted(code[module].items())) for module in sorted(code)},
    )
    return lock if before is None else with_seen(lock, _still_seen(lock, before))


def _still_seen(lock: Lock, before: Lock) -> dict[str, Seen | None]:
    """Who was seen to answer, of the adapters that ask for the same model at the same place."""
    found: dict[str, Seen | None] = {}
    for name, then in before.adapters.items():
        now = lock.adapters.get(name)
        if now and (now.provider, now.model, now.endpoint) == (then.provider, then.model, then.endpoint):
            found[name] = then.seen
    return found


def with_seen(lock: Lock, seen: Mapping[str, Seen | None]) -> Lock:
    """The lock, with who was seen to answer."""
    adapters = {
        name: each.model_copy(update={"seen": seen[name]}) if seen.get(name) else each
        for name, each in lock.adapters.items()
    }
    return lock.model_copy(update={"adapters": adapters})


def seen_again(before: Seen | None, served: str | None, grade: str, day: str) -> Seen:
    """Who answered on a day, after what was seen until then. Another name begins anew."""
    if before is None or before.served != served:
        return Seen(served=served, grade=grade, first=day, last=day)
    return Seen(served=served, grade=grade, first=min(before.first, day), last=max(before.last, day))


class _Facts:
    """One capability's part of a lock; what's wrong is told in `problems`."""

    def __init__(
        self, contract: Contract[Any, Any], settings: CapabilityConfig, lock: Path, problems: list[str]
    ) -> None:
        self.contract = contract
        self.lock = lock
        self.settings = settings
        self.capability = contract.capability
        self.problems = problems
        self.owner = type(self.capability)
        body = self.capability._body if isinstance(self.capability, FunctionCapability) else self.owner
        self.home: str = body.__module__
        self.reach = Reach(self.home)

    def locked(self) -> LockedCapability:
        contract = self.contract
        prompt_code = self._code(("prompt",), contract.prompt)
        told = contract.prompt is None or self._mentions_instruction(prompt_code)
        request_schema = _schema(contract.request_type)
        return LockedCapability(
            path=import_path(self.capability),
            version=contract.version,
            adapters=list(self.settings.adapters),
            repair=contract.repair,
            sampling=_sampling(contract.sampling),
            hedged=self.settings.hedge_after is not None,
            instruction=plain(self.capability.instruction[:TOLD]) if told else "",
            instruction_sha256=sha256_of(self.capability.instruction) if told else "",
            request_schema_sha256=sha256_of(request_schema),
            request_fields=sorted(set(property_names(request_schema))),
            response_schema_sha256=sha256_of([contract.answer.schema, contract.may_refer]),
            response_fields=sorted(contract.field_names),
            fallback=contract.fallback_name,
            state=sha256_of([state for state in map(state_of, self._stateful()) if state]),
            fallback_code=self._fallback_code(),
            rule_code=self._code(("accept",), contract.accept),
            prompt_code=prompt_code,
            type_code=self._type_code(),
            review="" if contract.review is None else str(contract.review),
            review_code=self._review_code(),
            artefacts=self._artefacts(),
            golden=self._golden(),
            dependencies=_versions(self.reach.foreign),
            unseen=sorted(self.reach.unread),
        )

    # --- code ---------------------------------------------------------------------------------------------------------

    def _own_fallback(self) -> bool:
        return getattr(self.contract.fallback, "__self__", None) is self.capability

    def _fallback_code(self) -> list[str]:
        walk = self.reach.walk()
        if not self._own_fallback():
            walk.root(self.contract.fallback)
        elif isinstance(self.capability, FunctionCapability):
            walk.root(self.capability._body)
        else:
            self._members(walk, "fallback")
        return list(walk.finish())

    def _code(self, names: tuple[str, ...], present: object) -> list[str]:
        if present is None:
            return []
        walk = self.reach.walk()
        self._members(walk, *names)
        return list(walk.finish())

    def _members(self, walk: Walk, *names: str) -> None:
        walk.members(self.owner, *names, *dunders(self.owner))
        for each in vars(self.capability).values():  # what it was constructed with may be code too
            if inspect.isroutine(each) or not isinstance(each, (str, int, float, bytes, Capability)):
                walk.root(each)

    def _type_code(self) -> list[str]:
        walk = self.reach.walk()
        walk.root(self.contract.request_type)
        walk.root(self.contract.response_type)
        return list(walk.finish())

    def _review_code(self) -> list[str]:
        review = self.contract.review
        if review is None or review.when is None:
            return []
        walk = self.reach.walk()
        named = getattr(review.when, "__qualname__", "")
        if named.startswith(f"{self.owner.__qualname__}."):  # written in the class's body, which holds much else
            walk.members(self.owner, "review", named.rpartition(".")[2])
        else:
            walk.root(review.when)
        return list(walk.finish())

    def _stateful(self) -> list[object]:
        """What may carry along something that decides what the fallback answers."""
        own = self.capability._body if isinstance(self.capability, FunctionCapability) else self.capability
        review = self.contract.review
        condition = [] if review is None or review.when is None else [review.when]
        return [own, *condition] if self._own_fallback() else [own, self.contract.fallback, *condition]

    def _mentions_instruction(self, prompt_code: list[str]) -> bool:
        """Is a model told the docstring by the capability's own prompt?"""
        names = {"instruction", "__doc__"}
        for piece in prompt_code:
            module, _, bound = piece.partition(":")
            source = self.reach.module(module)
            for each in () if source is None else source.statements:
                if bound.partition(".")[0] in each.binds and names & _attributes(each.node):
                    return True
        return not prompt_code  # its source can't be read: in doubt it's told

    # --- data ---------------------------------------------------------------------------------------------------------

    def _problem(self, place: str, what: str) -> None:
        self.problems.append(f"capabilities.{self.contract.name}: {place}: {what}")

    def _artefacts(self) -> dict[str, str]:
        home = file_of(self.home)
        folder = Path.cwd() if home is None else home.resolve().parent
        found: dict[str, str] = {}
        for pattern in self.capability.artefacts:
            try:
                files = matching(folder, pattern, self.lock)
                found |= {name: digest_of_file(path) for name, path in files.items()}
            except (OSError, NotImplementedError) as error:
                self._problem("artefacts", f"{pattern}: can't be read: {error}")
                continue
            except ValueError as error:
                self._problem("artefacts", f"{pattern}: {error}")
                continue
            if not files:
                self._problem("artefacts", f"{pattern}: there's no such file beside {self.home}")
        return dict(sorted(found.items()))

    def _golden(self) -> list[Golden]:
        found: list[Golden] = []
        for number, request in enumerate(self.capability.golden):
            try:
                found.append(self._answered(request))
            except Exception as error:  # whatever the user's own code raises
                self._problem(f"golden[{number}]", f"isn't answered: {type(error).__name__}: {str(error)[:200]}")
        return found

    def _answered(self, request: Any) -> Golden:
        contract = self.contract
        snapshot = contract.snapshot(request)
        answers = [self._answer(snapshot.lend()) for _ in range(2)]
        if answers[0] != answers[1]:
            raise ValueError("the fallback gives two answers to one request: it must be deterministic")
        asked, answer = canonical(json.loads(snapshot.text)), answers[0]
        return Golden(
            request=_if_short(asked),
            request_sha256=sha256(asked).hexdigest(),
            answer=_if_short(answer),
            answer_sha256=sha256(answer).hexdigest(),
            prompt_sha256=sha256(self._asked(snapshot)).hexdigest(),
        )

    def _asked(self, snapshot: Snapshot[Any]) -> bytes:
        """What a model would be asked; or why `prompt` says that it can't be."""
        asks = self.contract.prompt
        try:
            prompt = default_prompt(self.capability, snapshot.text) if asks is None else asks(snapshot.lend())
        except (ValueError, AssertionError) as error:
            return f"no prompt: {error}".encode("utf-8", "backslashreplace")
        return prompt.to_json()

    def _answer(self, request: Any) -> bytes:
        """The fallback's answer as JSON that doesn't depend on the order of a set."""
        value = self.contract.check_value(self.contract.fallback(request), request)
        return canonical(TypeAdapter[Any](self.contract.response_type).dump_python(value, warnings=False))


def _attributes(node: Any) -> set[str]:
    import ast

    return {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def _if_short(text: bytes) -> str | None:
    told = text.decode()
    return told if len(told) <= SHORT else None


def _schema(annotation: Any) -> Any:
    try:
        return TypeAdapter[Any](annotation).json_schema()
    except Exception:  # a request needs none: it isn't sent as one
        return {"type": str(annotation)}


def _sampling(sampling: Sampling) -> dict[str, Any]:
    told = {**asdict(sampling), "stop": list(sampling.stop)}
    return {key: value for key, value in told.items() if value not in (None, [])}


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, Sequence[str]]:
    return packages_distributions()


def _versions(foreign: set[str]) -> dict[str, str]:
    """The version of each distribution that brings one of these top-level modules."""
    found: dict[str, str] = {}
    for top in foreign:
        for name in _distributions().get(top, ()):
            try:
                found[name] = version_of(name)
            except PackageNotFoundError:  # removed since it was listed
                continue
    return dict(sorted(found.items()))
