"""Azure OpenAI: a deployment stands between the model's name and whoever answers.

Surfaces (option ``api``), each with the header ``api-key``, or a bearer token of Entra's that comes with each attempt:

    chat, responses   ``/openai/v1/…`` as OpenAI's own; with ``api_version`` the older ``/openai/deployments/…``
    models            ``/models/chat/completions``, for models of other vendors

What was served is told in several places, and none is always there (`_served`): the header ``x-ms-served-model``; a chat
completion's model; while a response states the deployment's name only. Hosts are not looked at: government clouds
(``openai.azure.us``) and private gateways are as good. Sources: learn.microsoft.com, "Azure OpenAI API version lifecycle",
"Structured outputs", "Spillover traffic management" (November 2026), and recorded replies.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit

import attrs

from failsoft.adapters import openai_compatible, openai_responses
from failsoft.adapters.access import Access, Options
from failsoft.adapters.base import as_text, endpoint_url, with_token
from failsoft.adapters.http_codec import HttpCodec
from failsoft.adapters.json_schema import Limits
from failsoft.adapters.name_class import is_openai_name
from failsoft.adapters.openai_compatible import OpenAICompatible
from failsoft.adapters.openai_dialect import PDF, Dialect, configured
from failsoft.adapters.openai_responses import OpenAIResponses
from failsoft.adapters.pins import floating_problem
from failsoft.adapters.reading import Reading
from failsoft.core.effects import HttpReply, HttpRequest
from failsoft.credentials import Credential
from failsoft.errors import ConfigurationError
from failsoft.outcome import Grade, Served

AZURE = Dialect(grade=Grade.PROVIDER, cap="max_completion_tokens", bounds=frozenset(), limits=Limits(100, 5))
"""The small subset of schemas."""

_DIALECTS = {
    "chat": AZURE,
    "responses": attrs.evolve(AZURE, documents=PDF),
    "models": attrs.evolve(AZURE, cap="max_tokens"),
}

_MORE_THAN_THE_RESOURCE = re.compile(
    r"/deployments(?:/|$)|/(?:models|responses|embeddings|(?:chat/)?completions)$", re.IGNORECASE
)
"""How paths end that the portal shows for copying."""
_FOUNDRY = "2024-05-01-preview"
_SERVED = "x-ms-served-model"
_DEPLOYMENT = "x-ms-deployment-name"
_SPILLED = "x-ms-is-spilled-over"


class _ByToken(HttpCodec):
    """A key goes into ``api-key``, but a token of Entra's is a bearer token as anywhere."""

    def authorize(self, request: HttpRequest, credential: Credential, now_ns: int) -> HttpRequest:
        """The request with a token that it wasn't encoded with. Raises TypeError for another kind of credential."""
        return with_token(request, credential, "authorization", "Bearer ")


class AzureChat(_ByToken, OpenAICompatible):
    """Chat completions at Azure."""

    def read(self, reply: HttpReply, body: dict[str, Any]) -> Reading:
        """What a completion says: headers tell who answered."""
        return self.read_any(reply, body)

    def served_of(self, reply: HttpReply, body: dict[str, Any]) -> Served:
        """Who gave a reply: a dated name is the provider's own, another one tells no more than what was asked for."""
        made = super().served_of(reply, body)
        if made.model is not None and floating_problem("openai", made.model) is not None:
            made = attrs.evolve(made, grade=Grade.ECHOED)
        return _served(reply, made)


class AzureResponses(_ByToken, OpenAIResponses):
    """Responses at Azure: what they state is the deployment's name."""

    def served_of(self, reply: HttpReply, body: dict[str, Any]) -> Served:
        """Who gave a reply: an echoed name, or none where that's the deployment's own, which names no model."""
        made = super().served_of(reply, body)
        echoed = made.model == self._named
        own_name = echoed and (self._named != self._access.model or not is_openai_name(self._access.model))
        grade = Grade.UNKNOWN if own_name or made.model is None else Grade.ECHOED
        return _served(reply, attrs.evolve(made, model=None if own_name else made.model, grade=grade))


def _served(reply: HttpReply, made: Served) -> Served:
    """With what headers tell: the model that was served, and the deployment; one that it spilled over to, too."""
    upstream = as_text(reply.headers.get(_DEPLOYMENT))
    if reply.headers.get(_SPILLED, "").lower() == "true":
        upstream = f"{upstream or 'another deployment'} (spilled over)"
    made = attrs.evolve(made, upstream=upstream)
    model = as_text(reply.headers.get(_SERVED))
    return made if model is None else attrs.evolve(made, model=model, grade=Grade.PROVIDER)


def codec(access: Access) -> OpenAICompatible | OpenAIResponses:
    """The codec of `access`: what `failsoft.providers` names.

    Options: ``api``, ``deployment`` (default: the model), ``api_version`` (default: none, the surface without versions).
    """
    options = Options(access.options)
    api = options.choice("api", "chat", "responses", "models")
    deployment = options.text("deployment", access.model)
    version = options.text("api_version", _FOUNDRY if api == "models" else "")
    responds = api == "responses"
    made: type[AzureChat | AzureResponses] = AzureResponses if responds else AzureChat
    own = (openai_responses if responds else openai_compatible).OWN_FIELDS
    dialect = configured(_DIALECTS[api], access, options, own)
    options.done()
    place, path = _place(access.base_url, api, deployment, version)
    return made(
        attrs.evolve(access, base_url=place),
        dialect,
        path=path,
        named=deployment,
        key_header="api-key",
        key_prefix="",
    )


def _place(base_url: str, api: str, deployment: str, version: str) -> tuple[str, str]:
    """The base URL, with the API's version, and the path of an interface."""
    endpoint_url(base_url, "")  # is it a URL at all?
    parts = urlsplit(base_url)
    if _MORE_THAN_THE_RESOURCE.search(parts.path.rstrip("/")):
        raise ConfigurationError(
            'base_url: name the resource only, such as "https://NAME.openai.azure.com"; the deployment is '
            "options.deployment, the version options.api_version, the interface options.api"
        )
    if version and re.search(r"(?i)(?:^|&)api-version=", parts.query):
        raise ConfigurationError(
            "base_url: its api-version is said by options.api_version, or by default: leave it out"
        )
    base = parts.path.rstrip("/").removesuffix("/v1").removesuffix("/openai")
    path = openai_responses.PATH if api == "responses" else openai_compatible.PATH
    if api == "models":
        path = f"/models{path}"
    elif not version:
        path = f"/openai/v1{path}"
    elif api == "responses":
        path = f"/openai{path}"
    else:
        path = f"/openai/deployments/{quote(deployment, safe='')}{path}"
    query = "&".join(each for each in (parts.query, version and f"api-version={quote(version)}") if each)
    return parts._replace(path=base, query=query).geturl(), path
