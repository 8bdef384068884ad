"""The document of a run's page, see ``raftkv.chaos.page``."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raftkv.chaos.page import FORMAT
from raftkv.chaos.record import Done, Look, Record, RunVerdict
from raftkv.chaos.system import FaultRecord, NodeState
from raftkv.checkers.history import Operation
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.workloads.lock import UNFENCED
from raftkv.workloads.port import Finding

SENTENCES = {
    RunVerdict.PASSED: "Nothing wrong was found, and enough happened to say so.",
    RunVerdict.FAILED: "The system did what it must not.",
    RunVerdict.WEAK: "Nothing wrong was found, but too little happened for that to mean something.",
    RunVerdict.ERROR: "The run broke off, and says nothing.",
}

NOTES = {
    UNFENCED: "This workload uses a lock without fencing: its holder does not prove with each write that it "
    "still holds the lock. Who is held up for longer than its lease lasts, and then goes on to write, "
    "destroys what the next holder wrote. No lock service can prevent that, so this workload is expected to "
    "fail under pauses and partitions. The workload lock has a token in each write, and must not fail."
}
"""What a reader has to know of a workload."""

ALL = "all"
AROUND_SECONDS = 1.0
"""How much is shown before and behind the wrong operations."""

MOST_OPERATIONS = 400
LONGEST_TEXT = 4000
LONGEST_CYCLE = 12
CYCLES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2")
"""What names of cycles of transactions begin with."""


def document(record: Record, folder: Path) -> dict[str, Any]:
    """Return the document of a run."""
    facts = record.facts
    work = float(facts["time"])
    title = f"{facts['workload']} on {facts['system']} {facts.get('version', '')}".strip()
    first = first_wrong(record.findings)
    return {
        "format": FORMAT,
        "title": title,
        "verdict": record.verdict.value,
        "sentence": SENTENCES[record.verdict] + (f" {record.error}" if record.error else ""),
        "facts": _facts(record),
        "reasons": [*record.reasons, *([NOTES[facts["workload"]]] if facts["workload"] in NOTES else [])],
        "commands": [
            ["run it again", shlex.join(map(str, facts.get("command", ())))],
            ["check it again", shlex.join(["raftkv", "chaos", "check", str(folder)])],
        ],
        "work": work,
        "end": _end(record, work),
        "findings": [_finding(one) for one in record.findings],
        "faults": [_fault(one) for one in sorted(record.faults, key=lambda fault: fault.begun)],
        "series": series(record.operations, work),
        "lanes": lanes(record.looks),
        "unavailable": record.figures.get("unavailable", []),
        "wrong": None if first is None else wrong(record.operations, *first),
        "cycle": cycle(record.findings),
    }


def _facts(record: Record) -> list[list[str]]:
    facts, figures = record.facts, record.figures
    found = [
        ["nodes", str(facts.get("nodes", ""))],
        ["clients", f"{facts.get('clients', '')} over {facts.get('through', 'http')}"],
        ["faults", str(facts.get("faults", ""))],
        ["seed", str(facts.get("seed", ""))],
        ["time", f"{facts['time']:g} s"],
    ]
    if figures:
        found += [
            ["acknowledged", f"{figures['acknowledged']}, {figures['per_second']:.0f} a second"],
            ["unknown", f"{figures['unknown']}, {figures['unknown_share']:.1%}"],
            ["turned down", str(figures["failed"])],
            ["under faults", f"{figures['fault_share']:.0%} of the time"],
            ["leader changes", str(figures["leader_changes"])],
            ["kills of all nodes", str(figures["whole_cluster_kills"])],
        ]
    return [*found, ["begun", str(facts.get("started", ""))], ["machine", str(facts.get("machine", ""))]]


def _end(record: Record, work: float) -> float:
    moments = [work, *(one.returned or one.call for one in record.operations)]
    moments += [look.time for look in record.looks[-1:]] + [fault.ended for fault in record.faults]
    return round(max(moments), 3)


def _finding(finding: Finding) -> dict[str, Any]:
    verdict = finding.verdict
    texts = [verdict.reason, *(f"{one.name}: {one.text}" for one in verdict.anomalies)]
    texts += [f"could not be placed: {sentence(one)}" for one in verdict.refused[:10]]
    text = "\n".join(dict.fromkeys(one for one in texts if one))
    return {
        "model": finding.model,
        "verdict": verdict.validity.value,
        "operations": finding.operations,
        "text": text[:LONGEST_TEXT],
    }


def sentence(operation: Operation) -> str:
    """Say what an operation was and what it was told."""
    request = " ".join(str(one) for one in operation.input if one is not None)
    told = "" if operation.output is None else f" -> {operation.output}"
    return f"process {operation.process}: {request}{told} ({operation.outcome.value})"


def _fault(fault: FaultRecord) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "targets": ", ".join(fault.targets),
        "detail": fault.detail,
        "begun": round(fault.begun, 3),
        "ended": round(fault.ended, 3),
        "effects": ", ".join(f"{one.what}: {one.amount:g}" for one in fault.effects),
        "error": fault.error,
    }


# ---------------------------------------------------------------- by the second


def series(operations: Iterable[Done], seconds: float) -> list[dict[str, Any]]:
    """Return throughput and latency of each second, of all operations and of each kind."""
    size = max(1, int(seconds + 0.999))
    kinds: dict[str, list[Done]] = {ALL: []}
    for one in operations:
        kinds[ALL].append(one)
        kinds.setdefault(one.words.partition(" ")[0] or "?", []).append(one)
    return [_series(name, found, size) for name, found in kinds.items()]


def _series(name: str, operations: Sequence[Done], size: int) -> dict[str, Any]:
    counts = {outcome: [0] * size for outcome in ("ok", "fail", "unknown")}
    took: list[list[float]] = [[] for _ in range(size)]
    for one in operations:
        second = int(one.call if one.returned is None or one.outcome != "ok" else one.returned)
        if not 0 <= second < size:
            continue
        counts.setdefault(one.outcome, [0] * size)[second] += 1
        if one.outcome == "ok" and one.returned is not None:
            took[second].append((one.returned - one.call) * 1000.0)
    found = {outcome: counts[outcome] for outcome in ("ok", "fail", "unknown")}
    quantiles = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    ordered = [sorted(one) for one in took]
    latencies = {label: [quantile(one, share) for one in ordered] for label, share in quantiles.items()}
    return {"name": name, **found, **latencies}


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value that so great a share is not above; None of nothing."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)


def lanes(looks: Sequence[Look]) -> list[dict[str, Any]]:
    """Return for each node the stretches in which its role and term stayed."""
    found: dict[str, list[list[Any]]] = {}
    for look in looks:
        for node in look.nodes:
            stretches = found.setdefault(node.name, [])
            state = [_role(node), node.term]
            if stretches and stretches[-1][2:] == state and look.time - stretches[-1][1] < 1.0:
                stretches[-1][1] = round(look.time, 2)
                continue
            if stretches and look.time - stretches[-1][1] < 1.0:
                stretches[-1][1] = round(look.time, 2)
            stretches.append([round(look.time, 2), round(look.time, 2), *state])
    return [{"name": name, "stretches": stretches} for name, stretches in found.items()]


def _role(node: NodeState) -> str:
    return (node.role or "silent") if node.up else "down"


# ---------------------------------------------------------------- what was wrong


def first_wrong(findings: Iterable[Finding]) -> tuple[Finding, tuple[Operation, ...]] | None:
    """Return the first finding that names operations, and these."""
    for finding in findings:
        verdict = finding.verdict
        if verdict.validity is not Validity.INVALID:
            continue
        for operations in (*(one.operations for one in verdict.anomalies), verdict.refused):
            timed = tuple(one for one in operations if isinstance(one.call, float))
            if timed:
                return finding, timed
    return None


def wrong(operations: Sequence[Done], finding: Finding, named: tuple[Operation, ...]) -> dict[str, Any]:
    """Return what clients did around the operations that a finding names."""
    calls = [one.call for one in named]
    ends = [one.returned for one in named if one.returned is not None and one.returned < float("inf")]
    begin, end = min(calls) - AROUND_SECONDS, max([*calls, *ends]) + AROUND_SECONDS
    near = [one for one in operations if one.call <= end and (one.returned or one.call) >= begin]
    middle = max(calls)
    near = sorted(sorted(near, key=lambda one: abs(one.call - middle))[:MOST_OPERATIONS])
    rows = list(dict.fromkeys(sorted(f"{one.node} client {one.process % 1000}" for one in near)))
    return {
        "title": f"{finding.model}: around the operations that it names",
        "text": "\n".join(sentence(one) for one in named[:20]),
        "begin": round(min([begin, *(one.call for one in near)]), 6)
        if len(near) < MOST_OPERATIONS
        else near[0].call,
        "end": round(end, 6),
        "rows": rows,
        "operations": [_near(one, rows, named) for one in near],
    }


def _near(done: Done, rows: Sequence[str], named: Iterable[Operation]) -> dict[str, Any]:
    answer = f" -> {done.answer}" if done.answer else ""
    error = f" ({done.error})" if done.error else ""
    return {
        "row": rows.index(f"{done.node} client {done.process % 1000}"),
        "call": round(done.call, 6),
        "returned": None if done.returned is None else round(done.returned, 6),
        "text": f"{done.words}{answer}{error}",
        "outcome": done.outcome,
        "wrong": any(_is_same(done, one) for one in named),
    }


def _is_same(done: Done, operation: Operation) -> bool:
    """Tell whether an operation of a history lies within one thing that a client did."""
    returned = float("inf") if done.returned is None else done.returned
    return done.call - 1e-6 <= operation.call <= returned and done.process % 1000 == operation.process % 1000


def cycle(findings: Iterable[Finding]) -> dict[str, Any] | None:
    """Return the first cycle of transactions that was found."""
    for anomaly in (one for finding in findings for one in finding.verdict.anomalies):
        if anomaly.name.startswith(CYCLES) and anomaly.operations:
            return _cycle(anomaly)
    return None


def _cycle(anomaly: Anomaly) -> dict[str, Any]:
    nodes = [sentence(one) for one in anomaly.operations[:LONGEST_CYCLE]]
    return {"name": anomaly.name, "text": anomaly.text[:LONGEST_TEXT], "nodes": nodes}


def summary(record: Record) -> Mapping[str, Any]:
    """Return the report for programs: all that the page says in numbers."""
    verdicts: dict[str, str] = {one.model: _validity(one.verdict) for one in record.findings}
    return {"verdict": record.verdict.value, **record.facts, "checks": verdicts, "figures": record.figures}


def _validity(verdict: Verdict) -> str:
    return verdict.validity.value
