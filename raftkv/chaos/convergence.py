"""After the faults: all nodes at one revision, with the same keys and the same history."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from raftkv.chaos.record import NodeEnd
from raftkv.chaos.system import System
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.client.endpoint import Endpoint, Endpoints
from raftkv.client.http import Http
from raftkv.client.outcome import Refused, WrongAnswer
from raftkv.errors import RaftKvError
from raftkv.schema import json_codec
from raftkv.schema.kv import RangeRequest, RangeResponse
from raftkv.schema.maintenance import HashKVRequest, HashKVResponse, StatusRequest, StatusResponse
from raftkv.workloads.port import Finding

MODEL = "convergence"
ASK_SECONDS = 5.0
AGAIN_SECONDS = 0.2
DIFFER_SECONDS = 5.0
"""How long nodes at one revision may differ: one of them may still be taking a snapshot in."""

NO_HASH = -1


async def converge(system: System, seconds: float) -> tuple[list[NodeEnd], Finding]:
    """Wait until all nodes hold the same; return how they ended, and what is to be said of it."""
    clock = asyncio.get_running_loop().time
    deadline, differ_since = clock() + seconds, 0.0
    http = Http(Endpoints([system.direct_url(system.nodes[0])]), ASK_SECONDS)
    await http.open()
    try:
        while True:
            ends, problem = await _ask(http, system)
            if not problem:
                problem = difference(ends)
                differ_since = differ_since or clock()
            else:
                differ_since = 0.0
            late = clock() >= deadline or (differ_since and clock() >= differ_since + DIFFER_SECONDS)
            if not problem or late:
                return ends, finding(ends, problem)
            await asyncio.sleep(AGAIN_SECONDS)
    finally:
        await http.close()


async def _ask(http: Http, system: System) -> tuple[list[NodeEnd], str]:
    """Ask all nodes; return how they are, and why they can't be compared yet, "" = they can."""
    where = {name: Endpoint.parse(system.direct_url(name)) for name in system.nodes}
    answers = await asyncio.gather(*(_state(http, node) for node in where.values()))
    states = dict(zip(where, answers, strict=True))
    revisions = {name: state for name, state in states.items() if isinstance(state, int)}
    if len(revisions) < len(states):
        return [], _listed({name: state for name, state in states.items() if name not in revisions})
    if len(set(revisions.values())) > 1:
        return _without_hash(revisions), f"the revisions are {_listed(revisions)}"
    try:
        ends = await asyncio.gather(*(_end(http, name, where[name], revisions[name]) for name in where))
    except RaftKvError as error:
        return _without_hash(revisions), str(error)
    return list(ends), ""


def _without_hash(revisions: dict[str, int]) -> list[NodeEnd]:
    return [NodeEnd(name, revision, NO_HASH, 0, "") for name, revision in revisions.items()]


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items())


async def _state(http: Http, node: Endpoint) -> int | str:
    """Return a node's revision, or why it has none."""
    try:
        reply = await http.ask(node, "/v3/maintenance/status", StatusRequest(), StatusResponse)
    except RaftKvError as error:
        return str(error)
    return reply.header.revision if reply.header is not None else "a status without a header"


async def _end(http: Http, name: str, node: Endpoint, revision: int) -> NodeEnd:
    """Ask a node for all it holds at a revision, by itself."""
    request = RangeRequest(key=b"\0", range_end=b"\0", revision=revision, serializable=True)
    found = await http.ask(node, "/v3/kv/range", request, RangeResponse)
    found.header = None
    contents = hashlib.sha256(json_codec.encode(found)).hexdigest()[:16]
    try:
        reply = await http.ask(
            node, "/v3/maintenance/hashkv", HashKVRequest(revision=revision), HashKVResponse
        )
    except (WrongAnswer, Refused) as error:
        if isinstance(error, Refused) and error.status != 404:
            raise
        return NodeEnd(name, revision, NO_HASH, 0, contents)  # etcd 3.5 tells it over gRPC only
    return NodeEnd(name, revision, reply.hash, reply.compact_revision, contents)


def difference(ends: Sequence[NodeEnd]) -> str:
    """Say in which way nodes at one revision differ, "" if they do not."""
    if len({end.revision for end in ends}) > 1:
        return f"the revisions are {_listed({end.name: end.revision for end in ends})}"
    if len({end.contents for end in ends}) > 1:
        return f"the keys differ: {_listed({end.name: end.contents for end in ends})}"
    hashed = [end for end in ends if end.hash != NO_HASH]
    if len({end.compact_revision for end in hashed}) > 1:
        return f"they are compacted to {_listed({end.name: end.compact_revision for end in hashed})}"
    if len({end.hash for end in hashed}) > 1:
        return f"the hashes differ: {_listed({end.name: f'{end.hash:08x}' for end in hashed})}"
    return ""


def finding(ends: Sequence[NodeEnd], problem: str) -> Finding:
    """Return what is to be said of the end of a run."""
    if not problem:
        return Finding(MODEL, Verdict(Validity.VALID, len(ends)), len(ends))
    name = "divergence" if ends and all(end.contents for end in ends) else "liveness"
    verdict = Verdict(Validity.INVALID, len(ends), problem, anomalies=(Anomaly(name, problem),))
    return Finding(MODEL, verdict, len(ends))
