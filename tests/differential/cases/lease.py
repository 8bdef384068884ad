"""Leases: what is granted, what goes with them, how long they last."""

from typing import Any

from tests.differential.calls import (
    ALL,
    call,
    compare,
    delete,
    everything,
    op_delete,
    op_put,
    op_range,
    op_txn,
    put,
    range_,
    raw,
    txn,
)
from tests.differential.cases.maintenance import STATUS, alarm
from tests.differential.steps import FRESH, Call, Restart, Until, case

MOST = 9_000_000_000


def grant(lease: Any = 7, seconds: Any = 100) -> Call:
    return call("lease/grant", {"TTL": seconds, "ID": lease})


def revoke(lease: Any = 7, path: str = "lease/revoke") -> Call:
    return call(path, {"ID": lease})


def left(lease: Any = 7, path: str = "lease/timetolive", **more: Any) -> Call:
    return call(path, {"ID": lease, **more})


def keep(body: str = '{"ID":"7"}', **more: Any) -> Call:
    return raw("lease/keepalive", body, **more)


LIST = call("lease/leases")

CASES = [
    case(
        "4.7.id 4.7.log 4.1.no-move 1.leases-order",
        grant(7, 100),
        grant(-7, 50),
        grant("9223372036854775807", 70),
        grant("-9223372036854775808", 60),
        LIST,
        keep('{"ID":"-7"}'),
        raw("lease/leases", ""),
        revoke(-7),
        LIST,
        everything(),
    ),
    case(
        "4.7.id",
        call("lease/grant", {"TTL": 60}, saves=(("lease", "ID"),)),
        put("a", "1", lease="@{lease}"),
        range_("a"),
        left("@{lease}", keys=True),
        revoke("@{lease}"),
        LIST,
    ),
    *(
        case("4.7.ttl", grant(7, seconds), left(), keep(), revoke())
        for seconds in (0, 1, 2, -5, "3", MOST, -(2**63))
    ),
    *(case("3.lease-ttl 4.7.ttl", grant(7, seconds), LIST) for seconds in (MOST + 1, 2**63 - 1)),
    case("3.lease-exists 2.3.9", grant(7, 60), grant(7, 60), grant(7, 90), grant(7, MOST + 1), left()),
    case(
        "3.lease-not-found 4.7.revoke 2.3.5-14",
        revoke(7),
        revoke(0),
        raw("lease/revoke", ""),
        grant(),
        revoke(),
        revoke(),
    ),
    case(
        "1.revoke-path 1.timetolive-path 1.leases-path",
        grant(),
        left(path="kv/lease/timetolive"),
        call("kv/lease/leases"),
        revoke(path="kv/lease/revoke"),
        revoke(path="kv/lease/revoke"),
        call("kv/lease/grant", {"TTL": 60, "ID": 7}),
        call("kv/lease/keepalive", {"ID": 7}),
    ),
    case(
        "1.checkpoint", call("lease/checkpoint"), call("kv/lease/checkpoint"), call("lease/leasecheckpoint")
    ),
    *(
        case("2.2.int 4.7.id", raw("lease/grant", body), LIST, raw("lease/revoke", '{"ID":7}'))
        for body in (
            '{"TTL":60,"ID":7}',
            '{"TTL":"60","ID":"7"}',
            '{"TTL":"x","ID":7}',
            '{"TTL":1.5,"ID":7}',
            '{"TTL":null,"ID":7}',
            '{"TTL":60,"ID":7}{"TTL":60,"ID":8}',
        )
    ),
    case("2.2.unknown 4.7.ttl", raw("lease/grant", '{"ttl":60,"id":7}', saves=(("lease", "ID"),)), LIST),
    case(
        "4.7.revoke",
        grant(),
        put("c", "1", lease=7),
        put("a", "1", lease=7),
        put("b", "1"),
        put("a", "2", lease=7),
        everything(),
        revoke(),
        everything(),
        everything(revision="@{r+4}"),
        put("a", "3"),
        range_("a"),
    ),
    case("4.7.revoke 4.1.unchanged", grant(), put("a", "1", lease=7), put("a", "2"), revoke(), everything()),
    case("4.7.revoke", grant(), put("a", "1", lease=7), delete("a"), put("a", "2"), revoke(), everything()),
    case(
        "4.3.unknown-lease",
        put("a", "1", lease=7),
        put("a", "1", lease=-1),
        grant(),
        put("a", "1", lease=7),
        put("a", "2", lease=8),
        put("b", ignore_value=True, lease=8),
        everything(),
        revoke(),
        put("a", "3", lease=7),
    ),
    case(
        "4.3.detach",
        grant(),
        *(
            step
            for more in (
                {"value": "2"},
                {"ignore_value": True},
                {"value": "3", "ignore_lease": True},
                {"ignore_value": True, "ignore_lease": True},
            )
            for step in (put("a", "1", lease=7), put("a", **more), range_("a"), left(keys=True))
        ),
        revoke(),
        everything(),
    ),
    case(
        "4.3.move 1.timetolive-keys",
        grant(7),
        grant(8),
        put("a", "1", lease=7),
        put("b", "1", lease=7),
        put("a", "2", lease=8, prev_kv=True),
        put("a", ignore_value=True, lease=7, prev_kv=True),
        put("b", ignore_value=True, lease=8),
        left(7, keys=True),
        left(8, keys=True),
        revoke(7),
        everything(),
        revoke(8),
        everything(),
    ),
    case(
        "3.lease-provided",
        grant(),
        put("a", "1", lease=7),
        put("a", "2", lease=7, ignore_lease=True),
        range_("a"),
    ),
    case(
        "4.4.checks 4.4.own-writes",
        grant(),
        txn(then=(op_put("a", "1", lease=7), op_put("b", "1", lease=8))),
        txn(then=(op_put("a", "1", lease=7), op_range("a"), op_txn(then=(op_put("b", "1", lease=7),)))),
        txn(other=(op_put("c", "1", lease=8),), then=(op_delete("b"), op_put("d", "1", lease=7))),
        left(keys=True),
        revoke(),
        everything(),
    ),
    case(
        "4.4.guard 4.4.missing 4.4.range",
        grant(),
        put("a", "1", lease=7),
        put("b", "1"),
        *(
            txn(compare(key, target="LEASE", result=result, lease=lease, **more))
            for key, more in (
                ("a", {}),
                ("b", {}),
                ("x", {}),
                ("a", {"range_end": "c"}),
                ("x", {"range_end": "z"}),
            )
            for result, lease in (("EQUAL", 7), ("EQUAL", 0), ("NOT_EQUAL", 7), ("GREATER", 0), ("LESS", 8))
        ),
    ),
    case(
        "4.7.keepalive 2.4.keepalive-end 2.4.reply",
        grant(),
        keep(),
        keep('{"ID":7}'),
        left(),
        revoke(),
        keep(),
    ),
    case("4.7.keepalive", keep('{"ID":"99"}'), keep("{}"), keep("null"), keep('{"id":"7"}')),
    case("2.4.keepalive-end 2.4.head", keep(""), keep(" "), keep("\n\n")),
    *(
        case("2.4.request 2.4.keepalive-end", grant(), keep(body))
        for body in (
            '{"ID":"7"}\n{"ID":"99"}\n{"ID":"7"}\n',
            '{"ID":"7"}{"ID":"99"}',
            '{"ID":"7"}\r\n\t {}',
        )
    ),
    *(
        case("2.3.stream-json", grant(), keep(body), left())
        for body in (
            "[]",
            "7",
            '"x"',
            "true",
            "{",
            '{"ID"',
            '{"ID":"x"}',
            '{"ID":1.5}',
            "x",
            '7{"ID":"7"}',
            "]",
        )
    ),
    *(
        case("2.3.stream-json-later", grant(), keep(body))
        for body in (
            '{"ID":"7"}{"ID"',
            '{"ID":"7"}x{"ID":"7"}',
            '{"ID":"7"},{"ID":"7"}',
            '{"ID":"7"}[]{"ID":"7"}',
        )
    ),
    case(
        "2.3.4 2.5.timeout",
        grant(),
        *(keep(headers=(("Grpc-Timeout", value),)) for value in ("1n", "x", "", "-1S")),
        *(call("lease/leases", headers=(("Grpc-Timeout", value),)) for value in ("1n", "x")),
        keep(headers=(("Grpc-Metadata-hasleader", "true"),)),
    ),
    case(
        "4.7.timetolive 1.timetolive-keys",
        left(7),
        left(7, keys=True),
        left(0),
        raw("lease/timetolive", ""),
        grant(),
        put("b", "1", lease=7),
        put("a", "1", lease=7),
        left(),
        left(keys=True),
    ),
    case(
        "4.7.expiry",
        grant(7, 2),
        put("b", "1", lease=7),
        put("a", "1", lease=7),
        put("c", "1"),
        Until(range_("a"), '"kvs"', absent=True),
        everything(),
        everything(revision="@{r+3}"),
        revoke(),
        keep(),
        left(),
        put("c", "2", lease=7),
    ),
    case(
        "4.10.no-space",
        grant(),
        put("a", "1", lease=7),
        STATUS,
        alarm("ACTIVATE", "NOSPACE"),
        grant(8),
        grant(7),
        grant(8, MOST + 1),
        keep(),
        revoke(),
        revoke(),
        alarm("DEACTIVATE", "NOSPACE"),
        grant(8),
        everything(),
    ),
    case(
        "4.10.corrupt",
        grant(),
        STATUS,
        alarm("ACTIVATE", "CORRUPT"),
        grant(8),
        revoke(),
        revoke(9),
        keep(),
        left(),
        LIST,
        alarm("DEACTIVATE", "CORRUPT"),
        revoke(),
    ),
    case(
        "4.7.log",
        grant(7, 1000),
        grant(8, 500),
        put("b", "1", lease=7),
        put("a", "1", lease=7),
        put("c", "1", lease=8),
        put("a", "2"),
        revoke(8),
        Restart(),
        LIST,
        grant(7),
        put("d", "1", lease=7),
        revoke(7),
        range_(ALL, ALL),
        where=FRESH,
    ),
]
