"""``raftkv chaos``: a run under faults, many of them, a check of recorded ones, and a measurement."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from raftkv.chaos import check, matrix
from raftkv.chaos.failover import Measured, measure_failover
from raftkv.chaos.folder import finding_object, make_folder
from raftkv.chaos.order import Order, carry_out
from raftkv.chaos.record import Record, RunVerdict
from raftkv.chaos.runner import State
from raftkv.cli.chaos_text import figures_text, state_text, verdict_lines
from raftkv.cli.exits import Exit
from raftkv.cli.output import print_json, print_table, say, tell
from raftkv.cli.times import parse_seconds
from raftkv.errors import ConfigError
from raftkv.server import loop_factory

T = TypeVar("T")

EXITS = {
    RunVerdict.PASSED: Exit.OK,
    RunVerdict.FAILED: Exit.FAILED,
    RunVerdict.ERROR: Exit.FAILED,
    RunVerdict.WEAK: Exit.UNKNOWN,
}


def run(action: str, arguments: argparse.Namespace) -> int:
    """Run one of the actions and return its exit code."""
    actions = {"run": _run, "matrix": _matrix, "check": _check, "failover": _failover}
    return actions[action](arguments)


def with_good_end(work: Coroutine[Any, Any, T]) -> T:
    """Run something that tidies up when it is cancelled: on Ctrl-C, or when asked to end, it is.

    A second one does not wait for that. Raises KeyboardInterrupt then, and after a run that was cancelled.
    """

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def end() -> None:
            say("ending ...")
            task.cancel()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.default_int_handler)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        return await task

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        work.close()  # if it never began


# ---------------------------------------------------------------- run


def _run(arguments: argparse.Namespace) -> int:
    order = _order(
        arguments, arguments.workload, arguments.faults, parse_seconds(arguments.time), Path(arguments.out)
    )
    if arguments.junit and not Path(arguments.junit).absolute().parent.is_dir():
        raise ConfigError(f"--junit {arguments.junit}: there is no such folder")
    record = with_good_end(carry_out(order, _tell))
    _print_run(record, order.out, as_json=arguments.json)
    if arguments.junit:
        shutil.copyfile(order.out / "junit.xml", arguments.junit)
    return EXITS[record.verdict]


def _order(arguments: argparse.Namespace, workload: str, faults: str, seconds: float, out: Path) -> Order:
    endpoints = [url for text in arguments.endpoints for url in text.split(",") if url]
    if (arguments.system == "external") != bool(endpoints):
        raise ConfigError("--endpoints and --system external go together")
    return Order(
        arguments.system,
        arguments.nodes,
        workload,
        faults,
        seconds,
        arguments.seed,
        out,
        endpoints,
        arguments.through,
        arguments.clients or 0,
    )


def _tell(state: State) -> None:
    """Tell how far a run is: on a terminal in one line that changes, else in a line each."""
    text = state_text(state)
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    else:
        say(text)


def _print_run(record: Record, out: Path, *, as_json: bool) -> None:
    if as_json:
        tell(json.dumps(_as_object(record, out)))
        return
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    tell("\n".join(verdict_lines(record, out)))


def _as_object(record: Record, out: Path) -> dict[str, Any]:
    return {
        "verdict": record.verdict.value,
        "folder": str(out),
        "error": record.error,
        "reasons": record.reasons,
        "figures": record.figures,
        "findings": [finding_object(one) for one in record.findings],
    }


# ---------------------------------------------------------------- matrix


def _matrix(arguments: argparse.Namespace) -> int:
    cells = matrix.cells(arguments.workloads, arguments.faults, arguments.system)
    if arguments.total:
        seconds = parse_seconds(arguments.total, "--total") / len(cells)
    else:
        seconds = parse_seconds(arguments.time)
    out = Path(arguments.out)
    orders = [
        _order(arguments, cell.workload, cell.faults, seconds, out / f"{cell.workload}-{cell.faults}")
        for cell in cells
    ]
    make_folder(out)
    results = with_good_end(matrix.run_all(orders, _tell, _tell_cell))
    if arguments.json:
        print_json([_as_object(one.record, one.order.out) for one in results])
    else:
        print_table(matrix.HEADER, matrix.rows(results))
    (out / "matrix.md").write_text(matrix.as_markdown(results), encoding="utf-8")
    worst = matrix.worst(one.record.verdict for one in results)
    return EXITS[worst]


def _tell_cell(result: matrix.Result) -> None:
    record = result.record
    say(
        f"{result.order.workload} under {result.order.faults}: {record.verdict.value}, {figures_text(record)}"
    )


# ---------------------------------------------------------------- check


def _check(arguments: argparse.Namespace) -> int:
    verdicts, found = [], []
    for name in arguments.folders:
        folder = Path(name)
        record = check.check_again(folder)
        verdicts.append(record.verdict)
        found.append(_as_object(record, folder))
        if not arguments.json:
            tell("\n".join(verdict_lines(record, folder)))
    if arguments.json:
        print_json(found)
    return EXITS[matrix.worst(verdicts)]


# ---------------------------------------------------------------- failover


def _failover(arguments: argparse.Namespace) -> int:
    systems = arguments.systems.split(",")
    measured = with_good_end(measure_failover(systems, arguments.runs, say))
    if arguments.json:
        print_json([one._asdict() for one in measured])
    else:
        print_table(("SYSTEM", "KILLS", "MEDIAN", "WORST"), [_row(one) for one in measured])
    return Exit.OK


def _row(one: Measured) -> Sequence[str]:
    return (f"{one.system} {one.version}", str(len(one.seconds)), f"{one.median:.3f} s", f"{one.worst:.3f} s")
