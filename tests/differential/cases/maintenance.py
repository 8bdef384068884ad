"""Status, alarms, defragmentation, the list of members."""

from typing import Any

from tests.differential.calls import (
    call,
    compact,
    compare,
    delete,
    everything,
    get,
    op_delete,
    op_put,
    op_range,
    op_txn,
    put,
    range_,
    raw,
    txn,
)
from tests.differential.steps import Call, Case, case

STATUS = call("maintenance/status", saves=(("member", "member_id"),))
LIST = call("maintenance/alarm")
HEALTH = get("/health")


def alarm(action: Any, name: Any, member: Any = "@{member}") -> Call:
    return call("maintenance/alarm", {"action": action, "alarm": name, "memberID": member})


def raised(lines: str, name: str, *steps: Any, member: str = "@{member}") -> Case:
    """What is answered while an alarm is raised; it is cleared again."""
    return case(
        lines,
        put("a", "1"),
        STATUS,
        alarm("ACTIVATE", name, member),
        *steps,
        alarm("DEACTIVATE", name, member),
        LIST,
        STATUS,
        HEALTH,
        put("a", "2"),
        everything(),
    )


WRITES: dict[str, Call] = {
    "put": put("b", "1"),
    "put of what is there": put("a", ignore_value=True),
    "delete": delete("a"),
    "delete of nothing": delete("x"),
    "txn with a put": txn(then=(op_put("c"),)),
    "txn with a put in the other branch": txn(then=(op_range("a"),), other=(op_put("c"),)),
    "txn with a delete": txn(then=(op_delete("a"),)),
    "txn with nested reads": txn(then=(op_txn(then=(op_range("a"),)),)),
    "txn of reads": txn(compare("a", version=1), then=(op_range("a"),), other=(op_range("a"),)),
    "empty txn": txn(),
    "range": range_("a"),
    "serializable range": range_("a", serializable=True),
    "compaction": compact("@{r+1}"),
    "put without key": put(""),
    "put with a lease that is not there": put("b", lease=77),
    "txn that is refused anyway": txn(then=(op_put("c"), op_put("c"))),
    "member list": call("cluster/member/list"),
    "member list, linearizable": call("cluster/member/list", {"linearizable": True}),
    "status": STATUS,
    "defragment": call("maintenance/defragment"),
    "health": HEALTH,
    "health without it": get("/health?exclude=NOSPACE"),
    "health without the other": get("/health?exclude=CORRUPT"),
    "health without both": get("/health?exclude=CORRUPT&exclude=NOSPACE"),
    "version": get("/version"),
}

ALARMS = [
    *(
        raised("4.10.no-space 3.no-space 2.3.8 2.6.health-exclude 4.1.no-move", "NOSPACE", step, everything())
        for step in WRITES.values()
    ),
    *(
        raised("4.10.corrupt 3.corrupt 2.3.15 2.6.health-exclude", "CORRUPT", step, everything())
        for step in WRITES.values()
    ),
    raised("4.10.raised 1.alarm-header 2.1.enum 1.status-errors 2.6.health", "NOSPACE", LIST, STATUS, HEALTH),
    raised("1.alarm-header 2.1.enum 1.status-errors 2.6.health", "CORRUPT", LIST, STATUS, HEALTH),
    raised(
        "4.10.again 4.10.clear",
        "NOSPACE",
        alarm("ACTIVATE", "NOSPACE"),
        LIST,
        alarm("DEACTIVATE", "NOSPACE"),
        alarm("DEACTIVATE", "NOSPACE"),
        LIST,
    ),
    raised(
        "1.alarm-member 4.10.clear",
        "NOSPACE",
        alarm("DEACTIVATE", "NOSPACE", 0),
        call("maintenance/alarm", {"action": "DEACTIVATE", "alarm": "NOSPACE"}),
        LIST,
        alarm("DEACTIVATE", "CORRUPT"),
        LIST,
        put("b"),
    ),
    raised("1.alarm-member 4.10.again 1.status-errors", "NOSPACE", LIST, STATUS, put("b"), member="5"),
    raised(
        "1.alarm-member 4.10.again 1.status-errors 2.6.health",
        "CORRUPT",
        LIST,
        STATUS,
        HEALTH,
        put("b"),
        member="5",
    ),
    raised("1.alarm-member", "NOSPACE", LIST, member="18446744073709551615"),
    raised("1.alarm-member", "NOSPACE", LIST, STATUS, member="0"),
    *(
        raised("1.alarm-header 2.2.enum", "NOSPACE", call("maintenance/alarm", body), LIST)
        for body in (
            {"alarm": "NOSPACE"},
            {"alarm": "CORRUPT"},
            {"alarm": 1},
            {"alarm": 2},
            {"memberID": "5"},
            {"action": "GET", "alarm": "NONE", "memberID": "@{member}"},
            {"action": 0},
        )
    ),
    case(
        "4.10.again",
        STATUS,
        alarm("DEACTIVATE", "NOSPACE"),
        alarm("DEACTIVATE", "CORRUPT", 7),
        alarm("DEACTIVATE", "NONE"),
        LIST,
    ),
    case(
        "2.2.enum",
        *(
            raw("maintenance/alarm", body)
            for body in (
                '{"action":"get"}',
                '{"action":"GET","alarm":"nospace"}',
                '{"action":true}',
                '{"alarm":"1"}',
                '{"memberID":-1}',
                '{"memberID":"18446744073709551616"}',
                '{"memberID":1.0}',
                '{"memberID":"x"}',
                '{"member_id":"5"}',
                '{"memberId":"5"}',
            )
        ),
        LIST,
    ),
    case(
        "2.2.case",
        STATUS,
        call(
            "maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE", "memberId": "5", "memberid": "6"}
        ),
        LIST,
        alarm("DEACTIVATE", "NOSPACE", 0),
        alarm("DEACTIVATE", "NOSPACE", 5),
        LIST,
    ),
    case(
        "2.7.alarm-none",
        STATUS,
        call("maintenance/alarm", {"action": "ACTIVATE"}),
        LIST,
        alarm("ACTIVATE", "NONE"),
        LIST,
        STATUS,
        HEALTH,
        put("a"),
        alarm("DEACTIVATE", "NONE"),
        alarm("DEACTIVATE", "NONE", 0),
        LIST,
    ),
]

OTHERS = [
    case(
        "2.1.order 2.1.int64 1.status-leader",
        STATUS,
        call("maintenance/status", {"x": 1}),
        raw("maintenance/status", ""),
    ),
    case(
        "1.defragment-reply",
        put("a", "1"),
        call("maintenance/defragment"),
        raw("maintenance/defragment", ""),
        everything(),
    ),
    case(
        "1.header-revision 1.members-order 4.8.ids 4.1.no-move",
        put("a"),
        call("cluster/member/list"),
        call("cluster/member/list", {"linearizable": True}),
        everything(),
    ),
    *(
        case("2.2.bool", raw("cluster/member/list", body))
        for body in ('{"linearizable":"true"}', '{"linearizable":1}', '{"linearizable":null}', "[]", "x")
    ),
]

CASES = [*ALARMS, *OTHERS]
