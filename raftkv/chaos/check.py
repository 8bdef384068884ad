"""A recorded run held against today's checkers, from the files of its folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raftkv.chaos import convergence, truth
from raftkv.chaos.figures import Wanted
from raftkv.chaos.folder import HISTORY, Folder
from raftkv.chaos.record import Record
from raftkv.chaos.report import write_reports
from raftkv.chaos.runner import UNTOLD, judge
from raftkv.checkers.formats import read_history
from raftkv.checkers.history import HistoryError, Operation
from raftkv.checkers.models import CasRegister
from raftkv.checkers.mvcc_kv import MvccKv
from raftkv.checkers.registry import MODELS, examine_file
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.workloads.kv_checks import OTHERS, durability, writes_of
from raftkv.workloads.port import Finding, Truth
from raftkv.workloads.register import misplaced


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
    told = _told(folder, record)
    changes = None if UNTOLD in record.reasons else truth.truth_of(told)
    found = []
    for model, file in _histories(folder).items():
        examined = examine_file(file, model)
        verdict = _timed(examined.verdict, times_of(file))
        if changes is not None and verdict.validity is Validity.VALID:
            verdict = _against(changes, model, file) or verdict
        found.append(Finding(model, verdict, examined.operations))
    found.append(truth.agreement(told))
    if record.ends:
        found.append(convergence.finding(record.ends, convergence.difference(record.ends)))
    return found


def _histories(folder: Folder) -> dict[str, Path]:
    """Return the files by their models. Raises ``HistoryError`` for one too many, or too few."""
    files = folder.histories()
    for model, file in files.items():
        if model not in MODELS:
            raise HistoryError(str(file), f"no checker knows the model {model!r}")
    for one in folder.run["findings"]:
        if one["model"] in MODELS and one["model"] not in files and one["verdict"] == Validity.VALID.value:
            raise HistoryError(str(folder.path / f"{HISTORY}{one['model']}.jsonl"), "the file is missing")
    return files


def _told(folder: Folder, record: Record) -> list[truth.Told]:
    try:
        found = [truth.from_line(line) for line in record.changes]
    except (KeyError, TypeError, ValueError) as error:
        raise HistoryError(str(folder.path / "changes.jsonl"), f"damaged: {error!r}") from None
    return sorted(found, key=lambda one: one.revision)


def _against(changes: Truth, model: str, file: Path) -> Verdict | None:
    """Say which acknowledged write the list of changes does not have; None if none, or nothing tells."""
    if model == MvccKv.name:
        history = [one for one in read_history(file, model).operations if one.input[1] != OTHERS]
        anomaly = durability(history, writes_of(changes, lambda _: True))
    elif model == CasRegister.name:
        anomaly = misplaced(read_history(file, model).operations, changes)
    else:
        return None
    if anomaly is None:
        return None
    return Verdict(Validity.INVALID, 0, anomaly.text, anomalies=(anomaly,))


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
