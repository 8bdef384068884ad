"""Made-up runs, to be drawn, written and read."""

import base64
from typing import Any

from raftkv.chaos.record import Done, Look, NodeEnd, Record, RunVerdict
from raftkv.chaos.system import Effect, FaultRecord, NodeState
from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.json_writer import write_history
from raftkv.checkers.models import CasRegister
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.workloads.port import Finding

EVIL = "</script><script>alert(1)</script> <!-- \u2028 \x00 \ud800 & ' \" @@DATA@@"


def operations() -> list[Operation]:
    """A register that is written and read, one after the other."""
    found = []
    for number in range(40):
        request = ("write", "r1", str(number)) if number % 2 == 0 else ("read", "r1")
        output = None if number % 2 == 0 else str(number - 1)
        found.append(Operation(number % 4, number / 10, number / 10 + 0.05, request, output))
    found.append(Operation(4, 4.1, None, ("write", "r1", "lost"), None, Outcome.UNKNOWN))
    return found


def changes() -> list[dict[str, Any]]:
    """What these operations changed, from revision 2 on, as two nodes tell it."""
    values = [base64.b64encode(one.input[2].encode()).decode() for one in operations()[:40:2]]
    return [
        {"revision": at, "changes": [["cjE=", value, 2, at - 1, 0]], "nodes": ["n1", "n2"]}
        for at, value in enumerate(values, 2)
    ]


def leading(number: int) -> NodeState:
    return NodeState("n1", True, "leader", 2 + number // 20, "n1", 5, 5)


def a_record(text: str = "fine") -> Record:
    """A run of four seconds with everything in it; ``text`` stands wherever a system may put words."""
    history = operations()
    done = [
        Done(*one[1:3], one.process, f"n{one.process % 3 + 1}", "register", f"{one.input[0]} {text}",
             one.outcome.value, text, text)
        for one in history
    ]  # fmt: skip
    looks = [Look(number / 10, (leading(number), NodeState(text, number < 10))) for number in range(40)]
    fault = FaultRecord("kill-one", "kill", (text,), text, 1.0, 2.0, (Effect(text, 1.0),))
    facts = {
        "system": "raftkv", "version": text, "nodes": 3, "workload": "register", "faults": "kill", "seed": 7,
        "time": 4.0, "through": "http", "clients": 4, "command": ["raftkv", "chaos", text], "machine": text,
        "started": "2026-01-01", "kinds": [["kill-one", "kill"]],
    }  # fmt: skip
    return Record(
        facts,
        operations=done,
        looks=looks,
        faults=[fault, fault._replace(kind="kill-all", effects=(), error=text)],
        changes=changes(),
        ends=[NodeEnd("n1", 21, 7, 0, "same"), NodeEnd("n2", 21, 7, 0, "same")],
        histories={"cas-register": list(write_history(history, CasRegister()))},
        findings=[Finding("cas-register", Verdict(Validity.VALID, 40), 41)],
        verdict=RunVerdict.WEAK,
    )


def a_failed_record(text: str = "wrong") -> Record:
    """The same with a wrong read, and with a cycle."""
    record = a_record(text)
    one, other = operations()[10], operations()[11]
    anomaly = Anomaly("G-single", f"T1 {text}\nT2 {text}", (one, other))
    record.findings = [
        Finding("cas-register", Verdict(Validity.INVALID, 9, text, (one,), (other,)), 41),
        Finding("list-append", Verdict(Validity.INVALID, 9, text, anomalies=(anomaly,)), 41),
    ]
    record.verdict, record.reasons = RunVerdict.FAILED, [text]
    return record
