"""A run's folder: what is in it, written and read.

::

    run.json               verdict, findings, figures, faults and what the run was
    history-MODEL.jsonl    one a model: raftkv history check --model MODEL
    nodes.jsonl            one line a look at all nodes
    changes.jsonl          what was changed at each revision, and which nodes tell it so
    operations.jsonl       one line an operation
    logs/NODE.log          what the nodes wrote
    report.html, report.json, junit.xml
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raftkv.chaos.record import FORMAT, Done, Look, NodeEnd, Record, RunVerdict
from raftkv.chaos.system import Effect, FaultRecord, NodeState
from raftkv.checkers.history import HistoryError, Operation
from raftkv.checkers.verdict import Validity
from raftkv.errors import ConfigError
from raftkv.workloads.port import Finding

RUN = "run.json"
HISTORY = "history-"


def make_folder(folder: Path) -> None:
    """Make the folder of a run, or take an empty one; raises ``ConfigError`` for what can't be it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigError(f"--out {folder}: {error.strerror}") from error
    if not is_empty:
        raise ConfigError(f"--out {folder}: there is something in it; choose a new folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {folder}: nothing can be written there")


def write_folder(folder: Path, record: Record) -> None:
    """Write all of a run but its report; the logs are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    for model, lines in record.histories.items():
        _write(folder / f"{HISTORY}{model}.jsonl", lines)
    _write(folder / "nodes.jsonl", map(_look_line, record.looks))
    _write(folder / "changes.jsonl", map(json.dumps, record.changes))
    _write(folder / "operations.jsonl", (json.dumps(one._asdict()) for one in record.operations))
    write_run(folder, record)


def write_run(folder: Path, record: Record) -> None:
    """Write run.json, which says what came out."""
    found = {"format": FORMAT, "verdict": record.verdict.value, **record.facts}
    found |= {
        "error": record.error,
        "reasons": record.reasons,
        "figures": record.figures,
        "findings": [finding_object(one) for one in record.findings],
        "ends": [end._asdict() for end in record.ends],
        "faults_done": [fault_object(one) for one in record.faults],
    }
    (folder / RUN).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _look_line(look: Look) -> str:
    nodes = [node._asdict() for node in look.nodes]
    return json.dumps({"time": round(look.time, 3), "nodes": nodes})


def fault_object(fault: FaultRecord) -> dict[str, Any]:
    """Return a fault for JSON."""
    return {**fault._asdict(), "effects": [effect._asdict() for effect in fault.effects]}


def finding_object(finding: Finding) -> dict[str, Any]:
    """Return a finding for JSON, without what an order was found for."""
    verdict = finding.verdict
    anomalies = [
        {
            "name": one.name,
            "text": one.text,
            "operations": [operation_object(each) for each in one.operations],
        }
        for one in verdict.anomalies
    ]
    return {
        "model": finding.model,
        "verdict": verdict.validity.value,
        "operations": finding.operations,
        "steps": verdict.steps,
        "reason": verdict.reason,
        "placed": len(verdict.placed),
        "refused": [operation_object(one) for one in verdict.refused],
        "anomalies": anomalies,
    }


def operation_object(operation: Operation) -> dict[str, Any]:
    """Return an operation of a history for JSON; what JSON does not have is told as a text."""
    return {
        "process": operation.process,
        "call": _finite(operation.call),
        "returned": _finite(operation.returned),
        "input": json.loads(json.dumps(operation.input, default=str)),
        "output": json.loads(json.dumps(operation.output, default=str)),
        "outcome": operation.outcome.value,
    }


def _finite(moment: float | None) -> float | None:
    """Return a time that JSON has; the end of an operation that was settled later has none."""
    return None if moment is None or moment in (float("inf"), float("-inf")) else moment


# ---------------------------------------------------------------- read


class Folder:
    """The folder of a run that was recorded. Raises ``HistoryError`` for what is none, and ``OSError``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = self._read_run()

    def _read_run(self) -> dict[str, Any]:
        place = self.path / RUN
        try:
            run = json.loads(place.read_text(encoding="utf-8"))
        except (ValueError, FileNotFoundError, NotADirectoryError) as error:
            raise HistoryError(str(place), f"not the folder of a chaos run: {error}") from None
        if not isinstance(run, dict) or run.get("format") != FORMAT:
            raise HistoryError(str(place), f'not the folder of a chaos run: no "format": "{FORMAT}"')
        return run

    def histories(self) -> dict[str, Path]:
        """Return the files of histories by their models."""
        files = sorted(self.path.glob(f"{HISTORY}*.jsonl"))
        return {file.name.removeprefix(HISTORY).removesuffix(".jsonl"): file for file in files}

    def record(self) -> Record:
        """Return the run as it was recorded, but for its findings and histories."""
        facts = dict(self.run)
        for name in ("format", "verdict", "error", "reasons", "figures", "findings", "ends", "faults_done"):
            facts.pop(name, None)
        try:
            return Record(
                facts,
                operations=[Done(**line) for line in self._lines("operations.jsonl")],
                looks=[_look(line) for line in self._lines("nodes.jsonl")],
                faults=[_fault(one) for one in self.run["faults_done"]],
                changes=list(self._lines("changes.jsonl")),
                ends=[NodeEnd(**one) for one in self.run["ends"]],
                figures=self.run["figures"],
                reasons=list(self.run["reasons"]),
                verdict=RunVerdict(self.run["verdict"]),
                error=self.run["error"],
            )
        except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
            raise HistoryError(str(self.path), f"a damaged folder of a chaos run: {error!r}") from None

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        with (self.path / name).open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def _look(line: Mapping[str, Any]) -> Look:
    return Look(line["time"], tuple(NodeState(**node) for node in line["nodes"]))


def _fault(found: Mapping[str, Any]) -> FaultRecord:
    effects = tuple(Effect(**one) for one in found["effects"])
    return FaultRecord(**{**found, "targets": tuple(found["targets"]), "effects": effects})


def worst(findings: Iterable[Mapping[str, Any]]) -> Validity:
    """Return the worst verdict among findings as ``finding_object`` has them."""
    verdicts = {Validity(one["verdict"]) for one in findings}
    order = (Validity.INVALID, Validity.UNKNOWN, Validity.VALID)
    return next((validity for validity in order if validity in verdicts), Validity.VALID)
