"""What ``raftkv chaos`` says in words."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from raftkv.chaos.record import Record, RunVerdict
from raftkv.chaos.runner import State
from raftkv.checkers.verdict import Validity
from raftkv.workloads.port import Finding

LONGEST = 2000


def state_text(state: State) -> str:
    """Say how far a run is."""
    faults = ", ".join(state.faults) or "no fault"
    return f"{state.time:5.0f} s  {state.phase}: {state.acknowledged} ops/s, led by {state.leader}, {faults}"


def figures_text(record: Record) -> str:
    """Say in short what a run did."""
    figures = record.figures
    if not figures or not figures["operations"]:
        return "nothing was done"
    return (
        f"{figures['per_second']:.0f} ops/s, {figures['unknown_share']:.1%} unknown, "
        f"{sum(figures['fired'].values())} faults for {figures['fault_share']:.0%} of the time, "
        f"{figures['leader_changes']} leader changes"
    )


def verdict_lines(record: Record, folder: Path) -> Iterator[str]:
    """Say how a run ended, and why."""
    facts = record.facts
    what = f"{facts['workload']} on {facts['system']} {facts.get('version', '')}".strip()
    yield f"{record.verdict.value}: {what}, seed {facts['seed']}; {figures_text(record)}"
    if record.error:
        yield f"  it broke off: {record.error}"
    for finding in record.findings:
        if finding.verdict.validity is not Validity.VALID:
            yield from _finding_lines(finding)
    for reason in record.reasons if record.verdict is not RunVerdict.ERROR else ():
        yield f"  weak: {reason}"
    yield f"  report: {folder / 'report.html'}"
    if record.verdict is not RunVerdict.PASSED:
        yield f"  check it again: {shlex.join(['raftkv', 'chaos', 'check', str(folder)])}"


def _finding_lines(finding: Finding) -> Iterator[str]:
    verdict = finding.verdict
    yield f"  {finding.model}: {verdict.validity.value}: {verdict.reason[:LONGEST]}"
    for anomaly in verdict.anomalies:
        if anomaly.text != verdict.reason:
            yield f"    {anomaly.name}: {anomaly.text[:LONGEST]}"
