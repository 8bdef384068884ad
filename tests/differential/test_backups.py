"""A backup's stream: its content is each system's own, its shape is not."""

import base64
import hashlib
import json
from typing import Any

import pytest

from tests.differential import normalise
from tests.differential.calls import call, put
from tests.differential.report import TALLY
from tests.differential.systems import Pair, System

pytestmark = pytest.mark.e2e

LINES = "1.snapshot-header 1.snapshot-blob 4.5.snapshot 2.4.reply"
BLOB_BYTES = 32 * 1024


def facts(system: System) -> dict[str, Any]:
    """What is the same of any backup."""
    for number in range(4):
        system.ask(put(f"k{number}", "v" * 20_000))
    status, headers, body = system.ask(call("maintenance/snapshot"))
    results = [json.loads(line)["result"] for line in body.splitlines()]
    pieces, last = [base64.b64decode(result["blob"]) for result in results[:-1]], results[-1]
    sizes = [len(piece) for piece in pieces]
    left = [int(result.get("remaining_bytes", 0)) for result in results]
    return {
        "status": status,
        "headers": normalise.headers(headers, None),
        "end": body[-3:],
        "names": {tuple(result) for result in results[:-2]},
        "last names": [tuple(result) for result in results[-2:]],
        "full pieces": set(sizes[:-1]),
        "several": len(sizes) > 2,
        "counts down": all(left[n] == sum(sizes[n + 1 :]) for n in range(len(sizes))),
        "hash": base64.b64decode(last["blob"]) == hashlib.sha256(b"".join(pieces)).digest(),
    }


def test_a_backup_comes_in_pieces_and_ends_with_their_hash(shared: Pair) -> None:
    TALLY.cases += 1
    wanted = facts(shared.etcd)
    assert facts(shared.raftkv) == wanted
    assert (wanted["full pieces"], wanted["counts down"], wanted["hash"]) == ({BLOB_BYTES}, True, True)
    TALLY.same += 1
