from attrs import frozen
from typing import Any
@frozen
class Told:
    selection: Any
    question: str | None
    verifier_sha256: str
    signed: bool
def report(told: Told) -> bytes:
    return b"<!doctype html>"
