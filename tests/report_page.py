"""A report with a bit of everything, as a browser gets it: ``python -m tests.report_page`` writes it anew. Look at it then."""

from __future__ import annotations

import re
import tempfile
from hashlib import sha256
from pathlib import Path

from failsoft.ledger.bundles.bundle import verifier
from failsoft.ledger.bundles.selection import Wanted
from failsoft.ledger.bundles.shown import SHOWN
from failsoft.ledger.records.record import Draft
from failsoft.ledger.records.schema import Kind
from tests.bundled import CASE, PIN, Office, bundle, office, unzipped
from tests.bundled import said as payload
from tests.logs import attempt

PAGE = Path(__file__).with_name("ledger") / "report.html"
TEXT = "text/plain; charset=utf-8"


def page() -> str:
    """The page. Left out: how it looks, the verifier's digest, another one with each version, and the root, with each process."""
    with tempfile.TemporaryDirectory() as folder:
        log = office(Path(folder) / "x.db")
        _more(log)
        log.publish()
        log.close()
        made = bundle(log.path, Wanted(cases=(CASE["id"],), withhold=("reply/2",)), question="May these be bought?")
    said = unzipped(made.data)["report.html"].decode().replace(sha256(verifier()).hexdigest(), "DIGEST")
    said = re.sub("(?s)<style>.*</style>", "<style></style>", said)
    return re.sub("[0-9a-f]{64}(?!\\.bin)", "ROOT", said)


def _more(log: Office) -> None:
    tried = (
        attempt(pin=PIN, fault="rate_limited"),
        attempt("claude", 2, pin=PIN, served={"model": "c", "grade": "echoed"}),
    )
    first = log.call(
        *("c3", 110, '{"wanted":{"nsn":"5310-00-903-3994"},"note":"größer"}', '["a",1]'),
        tried=tried,
        source={"kind": "adapter", "name": "claude", "attempt": 2},
        passed_over=[{"adapter": "local", "reason": "open"}],
        omitted=["prompt", "response.reader"],
        review={"required": True, "policy": "always", "status": "pending"},
        redacted={"own-key": 1},
        facts={"code": "5310", "codes": ["a", 1]},
    )
    long, limit = payload("shown", "x" * (SHOWN + 1), TEXT), payload("reason", "y" * SHOWN, TEXT)
    about = {"call_id": "c3", "refs": {"completed": first.leaf.hex()}, "case": CASE, "person": "m.frank"}
    changed = {**about, "decision": "changed", "own": True, "omitted": ["changed.reader"]}
    log.first.say(Draft(Kind.REVIEW_RECORDED, changed, (payload("changed", '{"a":1,"b":"c"}'), limit, long)), 120)
    bytes_ = (payload("shown", b"\xff", "application/octet-stream"), payload("reason", "z" * 81, TEXT))
    log.first.say(Draft(Kind.APPEAL_RECORDED, {**about, "omitted": ["shown"]}, bytes_), 121)
    log.first.end("c4", 130, log.first.start("c4", 125, case=CASE), case=CASE, answer=b"", outcome="failed")
    gone = log.first.start("c5", 131, case=CASE, actor={"id": "bot", "on_behalf_of": "k.l"})
    log.first.tell(Kind.CALL_ORPHANED, 132, call_id="c5", case=CASE, refs={"started": gone.leaf.hex()})
    log.first.tell(Kind.CASE_EVENT, 140, case=CASE, event="final-payment", date="2026-11-01", person="p.q", why="paid")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
