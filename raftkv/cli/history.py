"""``raftkv history check``."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from raftkv.checkers import (
    MAX_STEPS,
    Anomaly,
    Examined,
    HistoryError,
    Operation,
    Outcome,
    Validity,
    Verdict,
    examine_file,
)
from raftkv.cli.exits import Exit
from raftkv.cli.output import tell

_WRITES = ("write", "put", "append")


def run(arguments: argparse.Namespace) -> int:
    """Check each file, go on after one that can't be read, and return the worst exit code."""
    max_steps = arguments.max_steps or MAX_STEPS
    codes = [
        _check_file(file, arguments.model, max_steps, as_json=arguments.json) for file in arguments.files
    ]
    return max(codes)


def _check_file(file: str, model_name: str, max_steps: int, *, as_json: bool) -> Exit:
    start = time.process_time()
    try:
        examined = examine_file(Path(file), model_name, max_steps)
    except (HistoryError, OSError) as error:
        reason = str(error) if isinstance(error, HistoryError) else f"{file}: {error.strerror or error}"
        if as_json:
            tell(_line({"file": file, "error": reason}))
        else:
            print(_printable(f"raftkv: {reason}"), file=sys.stderr)
        return Exit.USAGE
    seconds = time.process_time() - start
    if as_json:
        tell(_line(_as_object(file, examined, seconds)))
    else:
        tell(_printable("\n".join(_as_text(file, examined, seconds))))
    return Exit.OK if examined.verdict.validity is Validity.VALID else Exit.FAILED


def _printable(text: str) -> str:
    """Write half characters, which file names and JSON may have, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, default=_text)


def _text(value: Any) -> str:
    """Return keys and values, which are bytes in some models, as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    raise TypeError(f"not for JSON: {value!r}")


def _as_object(file: str, examined: Examined, seconds: float) -> dict[str, Any]:
    verdict = examined.verdict
    found: dict[str, Any] = {
        "file": file,
        "verdict": verdict.validity.value,
        "seconds": round(seconds, 6),
        "operations": examined.operations,
        "steps": verdict.steps,
        **examined.facts,
    }
    if verdict.reason:
        found["reason"] = verdict.reason
    if verdict.anomalies:
        found["anomalies"] = [_anomaly(one) for one in verdict.anomalies]
    elif verdict.validity is Validity.INVALID:
        found |= {"placed": len(verdict.placed), "refused": [_fields(one) for one in verdict.refused]}
    return found


def _anomaly(anomaly: Anomaly) -> dict[str, Any]:
    operations = [_fields(one) for one in anomaly.operations]
    return {"name": anomaly.name, "text": anomaly.text, "operations": operations}


def _fields(operation: Operation) -> dict[str, Any]:
    """Return an operation for JSON."""
    return {
        "process": operation.process,
        "call": operation.call,
        "returned": operation.returned,
        "input": operation.input,
        "output": operation.output,
        "outcome": operation.outcome.value,
    }


def _as_text(file: str, examined: Examined, seconds: float) -> list[str]:
    """Return the line of a file, and behind an invalid one what makes it so."""
    verdict = examined.verdict
    reason = f": {verdict.reason}" if verdict.reason else ""
    count = f"{examined.operations} operations, {seconds:.3f} s"
    lines = [f"{file}: {verdict.validity.value} ({count}){reason}"]
    for anomaly in verdict.anomalies:
        lines += [f"  {anomaly.name}:", *(f"    {line}" for line in anomaly.text.splitlines())]
    if verdict.validity is Validity.INVALID and not verdict.anomalies:
        lines += _unplaced(verdict)
    return lines


def _unplaced(verdict: Verdict) -> list[str]:
    """Return how far an order was found, and the operations that could not come next."""
    last = verdict.placed[-1:]
    return [
        f"  an order was found for {len(verdict.placed)} operations" + (", the last one:" if last else ""),
        *(f"    {_sentence(one)}" for one in last),
        "  could not be placed:",
        *(f"    {_sentence(one)}" for one in verdict.refused),
    ]


def _sentence(operation: Operation) -> str:
    request = " ".join(str(one) for one in operation.input if one is not None)
    if operation.outcome is Outcome.UNKNOWN:
        return f"process {operation.process}: {request}, called at event {operation.call}, never answered"
    answer = "" if operation.input[0] in _WRITES and operation.output is None else f" -> {operation.output}"
    times = f"called at event {operation.call}, answered at {operation.returned}"
    return f"process {operation.process}: {request}{answer}, {times}"
