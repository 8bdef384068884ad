"""What a run leaves behind, in memory: what clients did, what nodes were, what was done to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from raftkv.chaos.system import FaultRecord, NodeState
from raftkv.workloads.port import Finding

FORMAT = "raftkv-chaos/1"


class RunVerdict(StrEnum):
    """How a run ended. ``WEAK``: nothing wrong was found, and too little happened to say that nothing is."""

    PASSED = "passed"
    FAILED = "failed"
    WEAK = "weak"
    ERROR = "error"


class Done(NamedTuple):
    """One operation of one client, for the report. ``returned`` None: no answer ever came.

    ``words``: what was to be done; ``outcome``: ok, fail or unknown; ``error`` and ``answer`` are texts.
    """

    call: float
    returned: float | None
    process: int
    node: str
    workload: str
    words: str
    outcome: str
    error: str = ""
    answer: str = ""


class Look(NamedTuple):
    """What all nodes were at one moment, in seconds of the run's clock."""

    time: float
    nodes: tuple[NodeState, ...]


class NodeEnd(NamedTuple):
    """How one node's data ended. ``hash``: of keys and history, -1 = not told; ``contents``: of the keys."""

    name: str
    revision: int
    hash: int
    compact_revision: int
    contents: str


@dataclass
class Record:
    """A run. ``facts`` are what it was: system, version, nodes, workload, faults, seed, time and so on.

    ``changes``: lines of changes.jsonl, see ``raftkv.chaos.truth``. ``histories``: by model, lines that
    ``raftkv history check`` reads. ``findings``: one of each check, also those that found nothing wrong.
    ``reasons``: why the run is weak; ``error``: why it broke off.
    """

    facts: dict[str, Any]
    operations: list[Done] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    faults: list[FaultRecord] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    ends: list[NodeEnd] = field(default_factory=list)
    histories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    verdict: RunVerdict = RunVerdict.ERROR
    error: str = ""
