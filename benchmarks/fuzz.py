"""Mutated recordings through every codec: each gives a reading or a fault, nothing else, in bounded time. Seeded.

    ./dev bench fuzz                      10,000 replies
    ./dev bench fuzz --replies 1000000    all that the specification asks for: some 20 minutes on one core

Reads the recorded exchanges in place (``FAILSOFT_DATA``, or beside the project). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from failsoft.adapters.access import Access
from failsoft.adapters.reading import Reading, answer_of, reading_of
from failsoft.adapters.recorded import NotRecorded, exchanged
from failsoft.adapters.registry import NOWHERE, codec_of, speaker_of
from failsoft.adapters.streaming import Streaming
from failsoft.core.effects import HttpReply, Reply, Unusable
from failsoft.errors import ConfigurationError
from failsoft.providers import PROVIDERS
from failsoft.testing.mutations import mutated

DATA = Path(os.environ.get("FAILSOFT_DATA") or Path(__file__).parents[2] / "shared" / "data") / "recordings"

SLOW = 1.0
"""Seconds that decoding one reply may take; the recordings have up to 300 KB."""

MEMORY = 256 << 20
"""Bytes that decoding one reply may take at its peak."""


def recorded() -> list[tuple[str, HttpReply]]:
    """Every usable recorded reply, with the URL that it came from."""
    found: list[tuple[str, HttpReply]] = []
    for path in sorted(DATA.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            row: dict[str, Any] = json.loads(line) if line else {"suspect": True}
            if not row["suspect"]:
                try:
                    each = exchanged(row)
                except NotRecorded:
                    continue
                found.append((each.url, each.reply))
    return found


def codecs() -> dict[str, Any]:
    """Every provider's codec, for each of its interfaces."""
    made: dict[str, Any] = {}
    for provider in PROVIDERS.values():
        for api in provider.apis:
            options = {"api": api} if len(provider.apis) > 1 else {}
            if provider.name == "bedrock" and api == "invoke":
                options["vendor"] = "anthropic"
            streaming = Streaming() if provider.streams else None
            access = Access("m-2026-01-01", provider.name, NOWHERE, "canary-0f3b7c1d9e5a2846", {}, streaming, options)
            try:
                made[f"{provider.name} {api}"] = codec_of(provider, access)
            except ConfigurationError as error:
                sys.exit(f"{provider.name} {api}: {error}")
    return made


def main() -> None:
    """Decode, count, say what was slowest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"no recordings at {DATA}: set FAILSOFT_DATA")
    random, rows, every = Random(options.seed), recorded(), codecs()
    names = list(every)
    faults: Counter[str] = Counter()
    begun = time.perf_counter()
    slowest, peak, failures = (0.0, ""), 0, list[str]()
    for n in range(options.replies):
        url, reply = random.choice(rows)
        speaker = speaker_of(url)
        own = None if speaker is None else f"{speaker[0].name} {speaker[1]}"
        name = own if own in every and random.random() < 0.7 else random.choice(names)
        broken = mutated(reply, random)
        measured = n % 1000 == 0
        if measured:
            tracemalloc.start()
        start = time.perf_counter()
        try:
            reading = reading_of(every[name], broken)
            found = answer_of(reading, broken.status)
            if type(reading) is not Reading or type(found) not in (Reply, Unusable):
                failures.append(f"reply {n}: {name} gave a {type(found).__name__}")
            faults["answer" if reading.fault is None else reading.fault.kind.value] += 1
        except Exception as error:
            failures.append(f"reply {n}: {name} raised {type(error).__name__}: {error}")
        slowest = max(slowest, (time.perf_counter() - start, name))
        if measured:
            peak = max(peak, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    for each in failures[:20]:
        print(each)
    for kind, count in faults.most_common():
        print(f"{count:9,}  {kind}")
    print(
        json.dumps(
            {
                "replies": options.replies,
                "seed": options.seed,
                "codecs": len(every),
                "recordings": len(rows),
                "failures": len(failures),
                "slowest_s": round(slowest[0], 3),
                "slowest_codec": slowest[1],
                "peak_bytes": peak,
                "seconds": round(time.perf_counter() - begun, 1),
            }
        )
    )
    sys.exit(bool(failures) or slowest[0] > SLOW or peak > MEMORY)


if __name__ == "__main__":
    main()
