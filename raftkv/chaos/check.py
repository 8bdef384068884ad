"""A recorded run held against today's checkers, from the files of its folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raftkv.chaos import convergence, truth
from raftkv.chaos.figures import Wanted
from raftkv.chaos.folder import Folder
from raftkv.chaos.record import Record
from raftkv.chaos.report import write_reports
from raftkv.chaos.runner import UNTOLD, judge
from raftkv.checkers.history import HistoryError, Operation
from raftkv.checkers.registry import MODELS, examine_file
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.workloads.port import Finding


def check_again(path: Path) -> Record:
    """Check a folder again, write its reports anew, and return the run with today's verdict.

    What files can't show (an answer that was none, a node that ended by itself) is kept as it was found.
    Raises ``HistoryError`` for what is no such folder, ``OSError``.
    """
    folder = Folder(path)
    record = folder.record()
    found = {one.model: one for one in _by_files(folder, record)}
    recorded = {one["model"]: one for one in folder.run["findings"]}
    kept = [_as_recorded(one) for one in recorded.values() if _stays(one, found)]
    names = {one.model for one in kept}
    record.findings = [*(one for one in found.values() if one.model not in names), *kept]
    record.reasons = [reason for reason in record.reasons if reason == UNTOLD]
    kinds = tuple((str(name), str(group)) for name, group in record.facts.get("kinds", ()))
    judge(record, Wanted(kinds, float(record.facts["time"]), str(record.facts["workload"])))
    write_reports(path, record)
    return record


def _by_files(folder: Folder, record: Record) -> list[Finding]:
    """Return what can be told from files alone."""
    found = []
    for model, file in folder.histories().items():
        if model not in MODELS:
            raise HistoryError(str(file), f"no checker knows the model {model!r}")
        examined = examine_file(file, model)
        found.append(Finding(model, _timed(examined.verdict, times_of(file)), examined.operations))
    try:
        told = [truth.from_line(line) for line in record.changes]
    except (KeyError, TypeError, ValueError) as error:
        raise HistoryError(str(folder.path / "changes.jsonl"), f"damaged: {error!r}") from None
    found.append(truth.agreement(told))
    if record.ends:
        found.append(convergence.finding(record.ends, convergence.difference(record.ends)))
    return found


def _stays(recorded: Mapping[str, Any], found: Mapping[str, Finding]) -> bool:
    """Tell whether a recorded finding is kept, because no file shows it.

    What was found with the list of changes (a write that was lost, say) has no operations that a search
    refused; the history by itself may be fine all the same.
    """
    today = found.get(recorded["model"])
    if today is None:
        return True
    was_wrong = recorded["verdict"] == Validity.INVALID.value and not recorded["refused"]
    return was_wrong and today.verdict.validity is Validity.VALID


def _as_recorded(finding: Mapping[str, Any]) -> Finding:
    anomalies = tuple(
        Anomaly(one["name"], one["text"], tuple(map(_operation, one["operations"])))
        for one in finding["anomalies"]
    )
    verdict = Verdict(Validity(finding["verdict"]), finding["steps"], finding["reason"], anomalies=anomalies)
    return Finding(finding["model"], verdict, finding["operations"])


def _operation(found: Mapping[str, Any]) -> Operation:
    return Operation(
        found["process"], found["call"] or 0.0, found["returned"], tuple(found["input"]), str(found["output"])
    )


def times_of(file: Path) -> list[float]:
    """Return the seconds of each event of a history; none where its lines are no events."""
    times = []
    with file.open(encoding="utf-8") as lines:
        next(lines, None)
        for line in lines:
            event = json.loads(line)
            if not isinstance(event, dict) or "type" not in event or "time" not in event:
                return []
            times.append(float(event["time"]))
    return times


def _timed(verdict: Verdict, times: Sequence[float]) -> Verdict:
    """Put seconds in the place of positions."""

    def timed(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
        return tuple(
            one._replace(call=_at(one.call, times), returned=_at(one.returned, times)) for one in operations
        )

    anomalies = tuple(one._replace(operations=timed(one.operations)) for one in verdict.anomalies)
    return verdict._replace(refused=timed(verdict.refused), anomalies=anomalies)


def _at(position: Any, times: Sequence[float]) -> Any:
    known = isinstance(position, int) and 0 <= position < len(times)
    return times[position] if known else position
