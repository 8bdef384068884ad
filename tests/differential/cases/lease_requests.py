"""Leases: each form of a request, and what keys and alarms do to them."""

import json
from typing import Any

from tests.differential.calls import (
    call,
    compare,
    delete,
    everything,
    get,
    op_delete,
    op_put,
    put,
    range_,
    raw,
    txn,
)
from tests.differential.cases.maintenance import LIST, alarm
from tests.differential.steps import Call, Case, End, Open, case

CHUNKED = (("Transfer-Encoding", "chunked"),)
STATUS = call("maintenance/status", saves=(("member", "member_id"),))


def grant(ttl: Any, lease: Any = 0, **more: Any) -> Call:
    return call("lease/grant", {"TTL": ttl, **({"ID": lease} if lease else {})}, **more)


def revoke(lease: Any) -> Call:
    return call("lease/revoke", {"ID": lease})


def left(lease: Any, **more: Any) -> Call:
    return call("lease/timetolive", {"ID": lease, **more})


def keepalive(*leases: Any) -> Call:
    return raw("lease/keepalive", "\n".join(json.dumps({"ID": lease}) for lease in leases))


LEASES = call("lease/leases")
ONE = (grant(100, 7), put("a", "1", lease=7), put("b", "2", lease=7), put("c", "3"))
"""Revisions r+1 to r+3."""

IDS = [5, "7", -3, "9223372036854775807", "-9223372036854775808", 1, "16"]

GRANTS = [
    *(case("4.7.id 2.2.int", grant(100, lease), LEASES, left(lease), revoke(lease), LEASES) for lease in IDS),
    case(
        "4.7.id 2.1.int64",
        grant(100, saves=(("lease", "ID"),)),
        LEASES,
        left("@{lease}"),
        keepalive("@{lease}"),
        revoke("@{lease}"),
    ),
    *(
        case("4.7.ttl", grant(ttl, 7), left(7), LEASES)
        for ttl in (0, 1, -5, 2, 3, "60", 9_000_000_000, -9_000_000_001)
    ),
    *(
        case("3.lease-ttl 4.7.ttl 2.3.2-11", grant(ttl, 7), LEASES)
        for ttl in (9_000_000_001, "9223372036854775807")
    ),
    *(
        case(
            "3.lease-exists 2.3.9",
            grant(100, lease),
            grant(200, lease),
            left(lease),
            revoke(lease),
            grant(50, lease),
        )
        for lease in (5, -5)
    ),
    case(
        "2.2.case 4.7.ttl",
        call("lease/grant", {"ttl": 100, "id": 7}, saves=(("lease", "ID"),)),
        left("@{lease}"),
        revoke("@{lease}"),
    ),
    *(
        case("2.2.int-bad 2.2.int", raw("lease/grant", f'{{"TTL":{ttl},"ID":7}}'), left(7))
        for ttl in ('"100"', "1.5", '"x"', "true", "null", '""', "[]", "1e2")
    ),
    *(
        case("2.2.int-bad 2.2.int", raw("lease/grant", f'{{"TTL":100,"ID":{lease}}}'), LEASES, left(7))
        for lease in ('"7"', "7", "7.0", '"x"', "true", '""', "9223372036854775808")
    ),
    case(
        "4.7.log 4.1.no-move", put("a"), grant(100, 7), everything(), revoke(7), everything(), grant(100, 7)
    ),
]

ENDS = [
    case(
        "4.7.revoke 4.1.start",
        *ONE,
        everything(),
        revoke(7),
        everything(),
        range_("a", revision="@{r+3}"),
        revoke(7),
    ),
    case("4.7.revoke 4.1.no-move", grant(100, 7), put("c"), revoke(7), everything()),
    *(
        case("3.lease-not-found 4.7.revoke 2.3.5-14", revoke(lease), call("lease/revoke"), everything())
        for lease in (0, 99, -1)
    ),
    case("4.3.detach", *ONE, put("a", "9"), range_("a"), left(7, keys=True), revoke(7), everything()),
    case(
        "4.3.detach",
        *ONE,
        put("a", ignore_value=True),
        range_("a"),
        left(7, keys=True),
        revoke(7),
        everything(),
    ),
    case(
        "4.3.detach",
        *ONE,
        put("a", "9", ignore_lease=True),
        range_("a"),
        left(7, keys=True),
        revoke(7),
        everything(),
    ),
    case(
        "4.3.move",
        *ONE,
        grant(100, 8),
        put("a", "9", lease=8),
        left(7, keys=True),
        left(8, keys=True),
        revoke(7),
        everything(),
        revoke(8),
        everything(),
    ),
    case(
        "4.3.move",
        *ONE,
        put("a", ignore_value=True, ignore_lease=True, prev_kv=True),
        range_("a"),
        revoke(7),
        everything(),
    ),
    case(
        "4.3.move",
        *ONE,
        grant(100, 8),
        put("a", ignore_value=True, lease=8),
        range_("a"),
        revoke(7),
        everything(),
    ),
    case(
        "4.3.delete",
        *ONE,
        delete("a", prev_kv=True),
        left(7, keys=True),
        put("a", "8"),
        left(7, keys=True),
        revoke(7),
        everything(),
    ),
    case(
        "4.1.txn 4.3.move",
        grant(100, 7),
        txn(then=(op_put("a", lease=7), op_put("b", lease=7), op_put("c"))),
        left(7, keys=True),
        revoke(7),
        everything(),
    ),
    case(
        "4.4.checks 3.lease-not-found",
        *ONE,
        txn(then=(op_put("d", lease=7), op_put("e", lease=8))),
        everything(),
        left(7, keys=True),
    ),
    case(
        "4.4.missing",
        *ONE,
        *(
            txn(compare("a", target="LEASE", result=result, lease=lease))
            for result in ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")
            for lease in (0, 6, 7, 8)
        ),
    ),
    case(
        "4.4.range",
        *ONE,
        txn(compare("a", range_end="c", target="LEASE", lease=7)),
        txn(compare("a", range_end="d", target="LEASE", lease=7)),
    ),
    case(
        "4.2.only", *ONE, range_("a", keys_only=True), everything(keys_only=True), everything(count_only=True)
    ),
    case("4.3.prev-kv", *ONE, put("a", prev_kv=True), delete("b", prev_kv=True), left(7, keys=True)),
    case(
        "4.4.own-writes",
        *ONE,
        txn(then=(op_delete("a"), op_put("b"), op_put("d", lease=7))),
        left(7, keys=True),
        revoke(7),
        everything(),
    ),
]

LOOKS = [
    case(
        "4.7.timetolive 1.timetolive-keys",
        *ONE,
        left(7),
        left(7, keys=True),
        left(7, keys=False),
        call("lease/timetolive", {"ID": "7", "keys": True}),
    ),
    *(
        case("4.7.timetolive 2.1.int64", left(lease), left(lease, keys=True), call("lease/timetolive"))
        for lease in (0, 99, -1)
    ),
    case(
        "1.leases-order",
        *(grant(ttl, lease) for ttl, lease in ((500, 1), (100, 2), (300, 3), (200, 4), (400, 5))),
        LEASES,
        revoke(3),
        LEASES,
    ),
    case(
        "1.leases-order 4.7.keepalive",
        *(grant(ttl, lease) for ttl, lease in ((500, 1), (100, 2), (300, 3))),
        keepalive(2, 1, 3),
        LEASES,
    ),
    case(
        "1.revoke-path",
        grant(100, 7),
        call("kv/lease/revoke", {"ID": 7}),
        call("kv/lease/revoke", {"ID": 7}),
        get("/v3/kv/lease/revoke"),
    ),
    case(
        "1.timetolive-path",
        grant(100, 7),
        call("kv/lease/timetolive", {"ID": 7}),
        get("/v3/kv/lease/timetolive"),
    ),
    case(
        "1.leases-path",
        grant(100, 7),
        call("kv/lease/leases"),
        raw("kv/lease/leases", ""),
        get("/v3/kv/lease/leases"),
    ),
    case(
        "1.checkpoint",
        call("lease/checkpoint", {"checkpoints": []}),
        call("kv/lease/checkpoint"),
        call("kv/lease/grant", {"TTL": 5}),
        call("kv/lease/keepalive", {"ID": 5}),
    ),
    case(
        "2.6.method",
        *(get(f"/v3/lease/{name}") for name in ("grant", "revoke", "keepalive", "timetolive", "leases")),
    ),
]

KEEPALIVES = [
    case(
        "4.7.keepalive 2.4.keepalive-end 2.4.reply",
        *ONE,
        keepalive(7),
        keepalive(7, 7, 7),
        left(7),
        everything(),
    ),
    *(case("4.7.keepalive", keepalive(lease), keepalive(lease, lease)) for lease in (99, 0, -1)),
    case("4.7.keepalive", grant(100, 7), keepalive(7, 99, 7, 98), revoke(7), keepalive(7)),
    case(
        "2.4.keepalive-end 2.4.head",
        raw("lease/keepalive", ""),
        raw("lease/keepalive", " \n"),
        raw("lease/keepalive", "{}"),
    ),
    *(
        case(
            "2.4.request",
            grant(100, 7),
            raw("lease/keepalive", body),
            raw("lease/keepalive", body, headers=CHUNKED),
        )
        for body in (
            '{"ID":7}{"ID":8}',
            '{"ID":7}\n\n{"ID":"8"}\n',
            ' {"ID" : 7 } \t {"ID":7}',
            '{"ID":7}null{"ID":8}',
            "null",
        )
    ),
    *(
        case("2.3.stream-json", grant(100, 7), raw("lease/keepalive", body))
        for body in ("x", "[]", '{"ID":"x"}', '{"ID":1.5}', "{", '"7"')
    ),
    *(
        case("2.3.stream-json-later", grant(100, 7), raw("lease/keepalive", body))
        for body in ('{"ID":7}x', '{"ID":7}{"ID":8}{"ID":"x"}{"ID":7}', '{"ID":7}{')
    ),
    case(
        "2.5.has-leader",
        grant(100, 7),
        raw("lease/keepalive", '{"ID":7}', headers=(("Grpc-Metadata-hasleader", "true"),)),
    ),
    case("4.7.keepalive", grant(100, 7), Open("alive", keepalive(7), 1), End("alive")),
]


def under(name: str, lines: str) -> list[Case]:
    """Leases while an alarm is raised."""
    calls = [
        grant(100, 8),
        revoke(7),
        revoke(99),
        left(7),
        keepalive(7),
        LEASES,
        put("a", lease=7),
        txn(then=(op_delete("a"),)),
    ]
    return [
        case(
            lines, *ONE, STATUS, alarm("ACTIVATE", name), step, everything(), alarm("DEACTIVATE", name), LIST
        )
        for step in calls
    ]


CASES = [
    *GRANTS,
    *ENDS,
    *LOOKS,
    *KEEPALIVES,
    *under("NOSPACE", "4.10.no-space 3.no-space"),
    *under("CORRUPT", "4.10.corrupt 3.corrupt"),
]
