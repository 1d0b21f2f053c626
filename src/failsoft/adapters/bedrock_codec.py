"""What all interfaces of Bedrock's runtime have in common: where they are, how a model is named, what an error means.

The place is made of the option ``region`` (``fips = true``: of its FIPS endpoint), so that data stay where the configuration
says; a geography's prefix before a model's name may still send a question to another region of it. A model's name or ARN
stands in the path, quoted. Source: the API reference of Bedrock Runtime, November 2026; 199 recorded exchanges.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from attrs import evolve

from failsoft.adapters import aws_event_stream
from failsoft.adapters.access import Access, Options
from failsoft.adapters.aws_signature import sign
from failsoft.adapters.base import as_text
from failsoft.adapters.bedrock_errors import fault_of_error
from failsoft.adapters.bedrock_stream import FramePulse
from failsoft.adapters.http_codec import HttpCodec
from failsoft.core.effects import HttpReply, HttpRequest
from failsoft.credentials import AwsCredentials, Credential, Token
from failsoft.fault import Fault
from failsoft.outcome import Grade, Served

REGION: Final = "{region}"
_REGION: Final = re.compile(r"(?!cn-|us-iso)[a-z]{2}(?:-[a-z]+){1,3}-[1-9][0-9]?")
"""Of the partitions under amazonaws.com; others' places must be written out."""
_HOST: Final = "://bedrock-runtime."


def _region_of(base_url: str) -> str:
    """The region that one of AWS's own places names; empty for another."""
    found = re.search(r"[/.]bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com", base_url)
    return "" if found is None else found[1]


class BedrockCodec(HttpCodec):
    """A codec for one of its interfaces. Reads the options ``api``, ``region`` and ``fips``.

    Args:
        access: how to get at it; the region stands in its base URL as ``{region}``, or the URL is the user's own.
        options: the adapter's, whose others were read before.
        action: the last part of the path.
        streamed: the same where replies are streamed.

    Raises:
        ConfigurationError: what `access` holds is unusable.
    """

    stream_type = aws_event_stream.MEDIA_TYPE
    pulse = FramePulse
    takes = (Token, AwsCredentials)

    def __init__(self, access: Access, options: Options, action: str, streamed: str) -> None:
        region, fips = options.text("region"), options.flag("fips")
        base_url = access.base_url
        if REGION in base_url:
            if _REGION.fullmatch(region) is None:
                options.refuse("region", 'must be a region of AWS such as "us-gov-west-1", or base_url be given')
            base_url = base_url.replace(REGION, region or "region")
            if fips:
                base_url = base_url.replace(_HOST, "://bedrock-runtime-fips.")
        elif fips:
            options.refuse("fips", "base_url says already where it is: leave it out")
        self._region = region or _region_of(base_url)
        options.done()
        self._action = action if access.streaming is None else streamed
        super().__init__(evolve(access, base_url=base_url), self._path(access.model))
        self._model = access.model

    def _path(self, model: str) -> str:
        return f"/model/{quote(model, safe='')}/{self._action}"

    def request(self, model: str, body: bytes) -> HttpRequest:
        """A request for a model."""
        url = self.url if model == self._model else self.url_of(self._path(model))
        return HttpRequest(url, self.headers, body, "POST", *self._timing)

    def authorize(self, request: HttpRequest, credential: Credential, now_ns: int) -> HttpRequest:
        """The request with a token, or signed by AWS credentials for its region.

        Raises:
            TypeError: nothing says of which region it is, and a signature must.
        """
        if not isinstance(credential, AwsCredentials):
            return super().authorize(request, credential, now_ns)
        if not self._region:
            raise TypeError("auth: a signature is of a region: write options.region")
        return sign(request, credential, self._region, now_ns)

    def auth_problem(self) -> str | None:
        """A signature is of a region."""
        return None if self._region else "options.region: is missing: AWS credentials sign for a region"

    def fault_of(self, reply: HttpReply, body: dict[str, Any]) -> Fault:
        """What an error means."""
        return fault_of_error(reply, body)

    def served(
        self, reply: HttpReply, model: object = None, number: object = None, grade: Grade = Grade.GATEWAY
    ) -> Served:
        """Who gave a reply: what Bedrock says of a model is a gateway's statement, and mostly it says nothing.

        Args:
            reply: as it came.
            model: as the body states it.
            number: the body's own, where no header has one.
            grade: of such a statement.
        """
        name = as_text(model)
        request_id = as_text(reply.headers.get("x-amzn-requestid") or number)
        return Served(name, Grade.UNKNOWN if name is None else grade, None, request_id)
