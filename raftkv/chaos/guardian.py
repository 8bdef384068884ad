"""The guardian: a small process that starts a run's processes, and ends them when the harness is gone.

    python -m raftkv.chaos.guardian

It makes a folder and writes its name as a line of JSON, ``{"folder": ...}``. Then it reads orders, one a
line::

    {"command": [...], "log": FILE, "environment": {...}}

and answers each with the process it started, ``{"pid", "started", "command"}``, or with ``{"error": ...}``.
When its input ends it kills every process it has started, stopped ones too, and removes the folder. The
input is a pipe from the harness and ends with it, however it ended; because the guardian starts the
processes itself there is none that it does not know. What kills a harness by its terminal does not reach
it: it has a session of its own, and ignores the signals that ask to end.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from raftkv.local import processes
from raftkv.local.processes import Process

END_SECONDS = 10.0
FOLDER_PREFIX = "raftkv-chaos-"


def run(orders: IO[str], answers: IO[str]) -> None:
    """Do what ``orders`` say until they end, then end all that was started."""
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    started: list[Process] = []
    try:
        _answer(answers, {"folder": str(folder)})
        for line in orders:
            _answer(answers, _obey(json.loads(line), started))
    except BrokenPipeError:
        pass  # the harness ended before it read an answer
    finally:
        end_all(started)
        shutil.rmtree(folder, ignore_errors=True)


def end_all(started: list[Process]) -> None:
    """Kill what still runs and wait until it is gone."""
    for process in started:
        process.send(signal.SIGKILL)
    for process in started:
        process.wait_gone(END_SECONDS)


def _obey(order: dict[str, Any], started: list[Process]) -> dict[str, Any]:
    for process in started:
        processes.reap(process.pid)
    try:
        process = processes.start(order["command"], Path(order["log"]), order["environment"])
        process = process._replace(command=())  # an etcd on PATH may be a script that becomes etcd
    except OSError as error:
        return {"error": str(error)}
    started.append(process)
    return process._asdict()


def _answer(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main() -> None:
    """Be the guardian."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run(sys.stdin, sys.stdout)
    os._exit(0)  # the harness may be gone: nothing is left to flush to


if __name__ == "__main__":
    main()
