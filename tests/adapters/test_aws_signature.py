"""AWS's signature: one made by botocore stands here, and where botocore is installed it's asked again, at random."""

from __future__ import annotations

import datetime
from random import Random

import pytest

from failsoft.adapters.aws_signature import sign
from failsoft.core.effects import HttpRequest
from failsoft.credentials import AwsCredentials

KEY = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = 1_796_000_000_123_456_789
URL = "https://bedrock-runtime.us-gov-west-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"


def request(url: str = URL, body: bytes = b"{}", **headers: str) -> HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(url, (("content-type", "application/json"), *named.items()), body)


def test_a_request_is_signed_as_botocore_signed_it() -> None:
    signed = dict(sign(request(), KEY, "us-gov-west-1", NOW).headers)
    assert signed["x-amz-date"] == "20261130T005320Z"
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/us-gov-west-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=f6def6f93626d4fb7069724459dba2c206e54fe3a5cb3b20154329362afaaab9"
    )


def test_what_was_signed_before_is_signed_anew_and_the_rest_stays() -> None:
    once = sign(request(authorization="Bearer old", accept="application/json"), KEY, "us-gov-west-1", NOW)
    names = [name for name, _ in once.headers]
    assert names == ["content-type", "accept", "x-amz-date", "authorization"]
    assert sign(once, KEY, "us-gov-west-1", NOW).headers == once.headers
    assert (once.url, once.body, once.method) == (URL, b"{}", "POST")


def test_a_sessions_token_is_signed_too() -> None:
    signed = dict(sign(request(), AwsCredentials("AKID", "secret", "token"), "us-east-1", NOW).headers)
    assert signed["x-amz-security-token"] == "token"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in signed["authorization"]


def test_a_key_is_never_shown() -> None:
    shown = repr(KEY) + repr(AwsCredentials("AKID", "secret", "token")) + repr(sign(request(), KEY, "us-east-1", NOW))
    assert "wJalr" not in shown
    assert "secret" not in shown.replace("secret_access_key", "")
    assert "token" not in shown


def test_any_part_of_a_request_changes_its_signature() -> None:
    made = {
        dict(sign(asked, KEY, region, now).headers)["authorization"]
        for asked, region, now in (
            (request(), "us-east-1", NOW),
            (request(body=b"{} "), "us-east-1", NOW),
            (request(URL + "-stream"), "us-east-1", NOW),
            (request(URL + "?a=1"), "us-east-1", NOW),
            (request(URL.replace(".com/", ".com:8443/")), "us-east-1", NOW),
            (request(), "us-west-2", NOW),
            (request(), "us-east-1", NOW + 1_000_000_000),
        )
    }
    assert len(made) == 7


@pytest.mark.parametrize("seed", range(40))
def test_botocore_signs_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth", reason="botocore isn't installed: nothing to compare with")
    from botocore import awsrequest, credentials

    random = Random(seed)
    moment = datetime.datetime.fromtimestamp(1_790_000_000 + random.randrange(10**8), datetime.UTC).replace(tzinfo=None)
    if not hasattr(auth, "get_current_datetime"):
        pytest.skip("this botocore takes its time elsewhere: it can't be told the moment")
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: moment)
    region = random.choice(["us-east-1", "us-gov-west-1", "ap-southeast-2"])
    path = random.choice(
        [
            "/model/a%3A0/converse",
            "/model/arn%3Aaws-us-gov%3Abedrock%3Aus-gov-west-1%3A1%3Ax%2Fy~z/invoke",
            "/model/b:1/invoke",
            "",
        ]
    )
    query = random.choice(["", "?b=2&a=1", "?x=a%20b", "?empty="])
    port = random.choice(["", ":443", ":8443"])
    token = random.choice([None, "session+token/=="])
    url = f"https://Host.example{port}{path}{query}"
    body = random.randbytes(random.randrange(200))
    kind = random.choice(["application/json", "application/json;  charset=utf-8"])
    now = int(moment.replace(tzinfo=datetime.UTC).timestamp()) * 1_000_000_000 + 5
    theirs = awsrequest.AWSRequest("POST", url, {"content-type": kind}, body)
    auth.SigV4Auth(credentials.Credentials("AKID", "s3cret/+", token), "bedrock", region).add_auth(theirs)
    mine = sign(
        HttpRequest(url, (("content-type", kind),), body), AwsCredentials("AKID", "s3cret/+", token), region, now
    )
    found = dict(mine.headers)
    assert found["authorization"] == theirs.headers["Authorization"]
    assert found["x-amz-date"] == theirs.headers["X-Amz-Date"]
