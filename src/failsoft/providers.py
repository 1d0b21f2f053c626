"""The providers that an adapter may name: facts that configuration and adapters share, and where each codec is.

A distribution of somebody else's adds one by an entry point of the group ``failsoft.adapters`` that is named as the provider
and refers to a `Provider`. No codec is imported here: `failsoft.adapters.registry` does it when one is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType

from attrs import field, frozen

ENTRY_POINTS = "failsoft.adapters"


@frozen
class Provider:
    """What is known of a provider before anybody asks it.

    Args:
        name: as ``provider`` names it.
        codec: import path of what makes its codec of a `failsoft.adapters.access.Access`.
        base_url: where it is; None: the configuration must say. Of a name in braces its codec puts in what the option of
            that name says, and refuses to be made without.
        key: the environment variable that usually holds its key, for which a key is needed; None: it may do without.
        apis: for each of its interfaces (option ``api``), the first being the default, a regular expression that finds it
            in the path of a URL.
        best: how far the name of who served can be believed at best: ``provider``, ``gateway``, ``echoed`` or ``unknown``.
        streams: can its replies be streamed?
        both_ends: does each of its streams end with both marks, a finish and ``[DONE]``?
        hosts: its own hosts besides that of `base_url`, and all below them; with ``*`` for any characters within a name's
            part. By them calls are known to go there whatever dialect they speak.
        called: what gateways call it in their replies, besides its name: in small letters, words apart.
        passes_on: does it hand each call on to others?
    """

    name: str
    codec: str
    base_url: str | None = None
    key: str | None = None
    apis: Mapping[str, str] = field(factory=lambda: MappingProxyType[str, str]({}))
    best: str = "provider"
    streams: bool = True
    both_ends: bool = False
    hosts: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    passes_on: bool = False


_A = "failsoft.adapters."
_CHAT = r"/chat/completions$"
_RESPONSES = r"/responses(?:/[^/]+)?$"  # one that is asked for again has its number behind it
_GENERATE = {"generate-content": r":(?:g|streamG)enerateContent$"}
_AZURE = (
    *("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com", "api.cognitive.microsoft.com"),
    *("models.ai.azure.com", "inference.ai.azure.com"),
    *("openai.azure.us", "cognitiveservices.azure.us", "services.ai.azure.us", "api.cognitive.microsoft.us"),
    *("openai.azure.cn", "cognitiveservices.azure.cn", "services.ai.azure.cn", "api.cognitive.azure.cn"),
)
_BEDROCK = (
    *("bedrock*.*.amazonaws.com", "bedrock*.*.api.aws", "bedrock*.*.vpce.amazonaws.com"),
    *("bedrock*.*.amazonaws.com.cn", "bedrock*.*.api.amazonwebservices.com.cn", "bedrock*.*.vpce.amazonaws.com.cn"),
    *("bedrock*.*.amazonaws.eu", "bedrock*.*.api.amazonwebservices.eu", "bedrock*.*.vpce.amazonaws.eu"),
)
_VERTEX = (
    *("*aiplatform.googleapis.com", "*aiplatform.mtls.googleapis.com", "aiplatform.*.rep.googleapis.com"),
    *("*aiplatform-*.p.googleapis.com", "prediction.vertexai.goog"),
)


def _provider(name: str, codec: str, *, apis: Mapping[str, str], **facts: object) -> tuple[str, Provider]:
    return name, Provider(name, _A + codec, apis=MappingProxyType(dict(apis)), **facts)  # type: ignore[arg-type]


PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    dict(
        [
            _provider(
                "openai",
                "openai:codec",
                base_url="https://api.openai.com/v1",
                key="OPENAI_API_KEY",
                apis={"chat": _CHAT, "responses": _RESPONSES},
                both_ends=True,
            ),
            _provider(
                "anthropic",
                "anthropic:codec",
                base_url="https://api.anthropic.com/v1",
                key="ANTHROPIC_API_KEY",
                apis={"messages": r"/messages$"},
            ),
            _provider(
                "bedrock",
                "bedrock:codec",
                base_url="https://bedrock-runtime.{region}.amazonaws.com",
                key="AWS_BEARER_TOKEN_BEDROCK",
                apis={
                    "converse": r"/model/[^/]+/converse(?:-stream)?$",
                    "invoke": r"/model/[^/]+/invoke(?:-with-response-stream)?$",
                },
                best="gateway",
                hosts=_BEDROCK,
                called=("amazon bedrock", "aws bedrock"),
            ),
            _provider(
                "openai-compatible",
                "openai_compatible:codec",
                apis={"chat": _CHAT, "responses": _RESPONSES},
                best="echoed",
            ),
            _provider(
                "azure-openai",
                "azure_openai:codec",
                key="AZURE_OPENAI_API_KEY",
                apis={
                    "chat": r"(?<!/models)/chat/completions$",
                    "responses": _RESPONSES,
                    "models": r"/models/chat/completions$",
                },
                hosts=_AZURE,
                called=("azure", "microsoft azure", "azure openai service", "azure ai", "azure ai foundry"),
            ),
            _provider(
                "openrouter",
                "profiles:openrouter",
                base_url="https://openrouter.ai/api/v1",
                key="OPENROUTER_API_KEY",
                apis={"chat": _CHAT, "responses": _RESPONSES},
                best="gateway",
                passes_on=True,
            ),
            _provider(
                "groq",
                "profiles:groq",
                base_url="https://api.groq.com/openai/v1",
                key="GROQ_API_KEY",
                apis={"chat": _CHAT},
                best="echoed",
            ),
            _provider(
                "xai",
                "profiles:xai",
                base_url="https://api.x.ai/v1",
                key="XAI_API_KEY",
                apis={"chat": _CHAT, "responses": _RESPONSES},
            ),
            _provider(
                "deepseek",
                "profiles:deepseek",
                base_url="https://api.deepseek.com",
                key="DEEPSEEK_API_KEY",
                apis={"chat": _CHAT, "responses": _RESPONSES},
            ),
            _provider(
                "together",
                "profiles:together",
                base_url="https://api.together.ai/v1",
                key="TOGETHER_API_KEY",
                apis={"chat": _CHAT},
                best="echoed",
                hosts=("api.together.xyz",),
                called=("together ai",),
            ),
            _provider("vllm", "profiles:vllm", apis={"chat": _CHAT, "responses": _RESPONSES}, best="echoed"),
            _provider("llama-cpp", "profiles:llama_cpp", apis={"chat": _CHAT}, best="echoed"),
            _provider(
                "ollama",
                "ollama:codec",
                base_url="http://localhost:11434",
                apis={"chat": r"/api/chat$", "generate": r"/api/generate$", "openai": _CHAT},
                best="echoed",
                hosts=("127.0.0.1:11434", "::1:11434", "ollama.com"),
            ),
            _provider(
                "gemini",
                "gemini:gemini",
                base_url="https://generativelanguage.googleapis.com/v1beta",
                key="GEMINI_API_KEY",
                apis=_GENERATE,
                hosts=("generativelanguage.mtls.googleapis.com", "generativelanguage-*.p.googleapis.com"),
                called=("google ai studio", "google gemini"),
            ),
            _provider(
                "vertex",
                "gemini:vertex",
                apis={**_GENERATE, "anthropic": r"/publishers/anthropic/models/[^/]+:(?:r|streamR)awPredict$"},
                hosts=_VERTEX,
                called=("google", "google vertex", "google vertex ai", "vertex ai"),  # OpenRouter says "Google" of it
            ),
            _provider(
                "mistral",
                "mistral:codec",
                base_url="https://api.mistral.ai/v1",
                key="MISTRAL_API_KEY",
                apis={"chat": _CHAT},
                both_ends=True,
                hosts=("codestral.mistral.ai",),
                called=("mistral ai",),
            ),
            _provider(
                "cohere",
                "cohere:codec",
                base_url="https://api.cohere.com/v2",
                key="COHERE_API_KEY",
                apis={"chat": r"/v[12]/chat$"},
                best="unknown",
                hosts=("api.cohere.ai",),
            ),
            _provider("http-json", "http_json:codec", apis={"json": r""}, streams=False),
        ]
    )
)
"""The built-in ones. ``callable`` isn't one of them: such an adapter is the user's own function."""

ROUTERS = (
    *("router.huggingface.co", "ai-gateway.vercel.sh", "gateway.ai.cloudflare.com", "api.portkey.ai"),
    *("router.requesty.ai", "helicone.ai", "models.github.ai", "api.githubcopilot.com", "opencode.ai"),
    *("api.braintrust.dev", "llmgateway.io", "api.aimlapi.com", "api.poe.com"),
)
"""Hosts, besides those of providers that do so, of services that hand each call on to others."""

CALLABLE = "callable"

GRADES = ("provider", "gateway", "echoed", "unknown")
"""How far a served name can be believed, the best first (`failsoft.outcome.Grade`, each without its second word)."""


def find(name: str) -> Provider | None:
    """The provider of this name, built in or an entry point's; None where there's none.

    Raises:
        Exception: whatever a foreign distribution raises as it's imported.
        TypeError: its entry point refers to something else than a `Provider`.
    """
    if name in PROVIDERS:
        return PROVIDERS[name]
    for each in entry_points(group=ENTRY_POINTS, name=name):
        found: object = each.load()
        if not isinstance(found, Provider):
            raise TypeError(f"the entry point {name} of {ENTRY_POINTS} is no failsoft.providers.Provider")
        return found
    return None


def facts(name: str) -> Provider:
    """What's known of a provider whose name was found good."""
    found = find(name)
    assert found is not None
    return found


def known() -> tuple[str, ...]:
    """All names that `find` knows, and ``callable``."""
    foreign = sorted(each.name for each in entry_points(group=ENTRY_POINTS))
    return tuple(dict.fromkeys((*PROVIDERS, *foreign, CALLABLE)))
