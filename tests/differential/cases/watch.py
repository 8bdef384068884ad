"""Watches."""

import json
from typing import Any

from tests.differential.calls import (
    ALL,
    call,
    coded,
    compact,
    delete,
    everything,
    op_delete,
    op_put,
    op_txn,
    put,
    raw,
    txn,
)
from tests.differential.cases.lease_requests import grant
from tests.differential.steps import Call, Drop, Open, Read, case

PROGRESS = {"progress_request": {}}


def create(key: str | None, range_end: str | None = None, **more: Any) -> dict[str, Any]:
    fields = {"key": key, "range_end": range_end}
    given = {name: value for name, value in fields.items() if value is not None}
    return {"create_request": coded({**given, **more})}


def cancel(number: Any) -> dict[str, Any]:
    return {"cancel_request": {"watch_id": number}}


def watching(*requests: Any, between: str = "\n", **more: Any) -> Call:
    return raw("watch", between.join(json.dumps(request) for request in requests), **more)


def opened(*requests: Any, lines: int = 1, any_order: bool = False) -> Open:
    return Open("w", watching(*requests), lines, any_order)


AB = create("a", "c")
STORY = (put("a", "1"), put("b", "2"), put("a", "3"), delete("b"), put("d", "4"), put("a", "5"))
"""Revisions r+1 to r+6, of which a watch on a and b sees all but r+5."""


def seen(count: int, *, any_order: bool = False) -> Read:
    return Read("w", count, any_order)


def past(revision: int, **more: Any) -> dict[str, Any]:
    return create("a", "c", start_revision=f"@{{r{revision:+}}}", **more)


LIVE = [
    case("4.6.start 4.6.batches 4.6.created 2.1.event 2.4.watch-end", opened(AB), *STORY, seen(5), Drop("w")),
    case(
        "1.delete-event 4.6.delete",
        put("a", "1"),
        put("c"),
        opened(create("a")),
        delete("a"),
        put("c"),
        delete("a"),
        put("a"),
        seen(2),
    ),
    *(
        case(
            "1.prev-kv-event 4.6.prev-kv",
            opened(create("a", prev_kv=prev_kv)),
            put("a", "1"),
            put("a", "2"),
            delete("a"),
            put("a", "3"),
            seen(4),
        )
        for prev_kv in (True, False)
    ),
    case(
        "4.6.batches",
        opened(create("a", "z")),
        txn(then=(op_put("c"), op_put("a"), op_txn(then=(op_put("b"), op_put("d"))))),
        seen(1),
        put("z"),
        put("e"),
        seen(1),
    ),
    case(
        "4.6.batches",
        put("a"),
        put("b"),
        put("c"),
        opened(create("a", "z", prev_kv=True)),
        txn(then=(op_delete("a", "d"), op_put("e"))),
        seen(1),
        delete("a", "z"),
        seen(1),
    ),
    case(
        "4.6.batches", opened(create("a", "b")), txn(then=(op_put("a"), op_put("b"), op_put("aa"))), seen(1)
    ),
    case(
        "4.6.delete",
        opened(create("a", "z")),
        txn(then=(op_put("b"), op_delete("a"))),
        seen(1),
        txn(then=(op_delete("b"), op_delete("b"))),
        seen(1),
    ),
    *(
        case(
            "1.range-end 4.2.forms",
            opened(create(key, end)),
            put("a"),
            put("b"),
            put("c"),
            put("\xff"),
            seen(count),
        )
        for key, end, count in (("a", None, 1), ("a", "", 1), ("b", ALL, 3), (ALL, ALL, 4), ("a", "b\0", 2))
    ),
    *(case("1.watch-key", opened(create(key)), put("a"), put(ALL, "zero"), seen(1)) for key in (None, "")),
    case(
        "4.6.delete 4.7.expiry",
        grant(1, 7),
        put("b", lease=7),
        put("a", lease=7),
        put("c", lease=7),
        opened(create("a", "z")),
        seen(1),
    ),
    case(
        "4.6.delete 4.7.revoke",
        grant(100, 7),
        put("b", lease=7),
        put("a", lease=7),
        opened(create("a", "z", prev_kv=True)),
        call("lease/revoke", {"ID": 7}),
        seen(1),
    ),
]

HISTORY = [
    *(
        case("4.6.start 4.6.batches", *STORY, opened(past(revision), lines=2), put("b", "9"), seen(1))
        for revision in (1, 2, 3, 4, 5, 6)
    ),
    case("4.6.start", *STORY, opened(past(7)), put("b"), seen(1)),
    case("4.6.start", *STORY, opened(past(8)), put("a"), put("b"), put("a"), seen(2)),
    case("4.6.start", opened(past(3)), put("a"), put("a"), put("a"), put("a"), seen(2)),
    case("4.6.start", *STORY, opened(create("a", "c", start_revision=0)), put("a"), seen(1)),
    *(
        case(
            "2.7.watch-negative",
            *STORY,
            opened(create("a", "c", start_revision=revision)),
            everything(),
        )
        for revision in (-1, -9)
    ),
    *(
        case("4.6.prev-kv 1.prev-kv-event", *STORY, opened(past(revision, prev_kv=True), lines=2))
        for revision in (1, 3, 4)
    ),
    case(
        "4.6.prev-kv",
        *STORY,
        compact("@{r+3}", physical=True),
        opened(past(3, prev_kv=True), lines=2),
        put("b", "7"),
        seen(1),
    ),
    case(
        "4.6.prev-kv",
        *STORY,
        compact("@{r+4}", physical=True),
        opened(past(4, prev_kv=True), lines=2),
        differs="a deletion at the compact revision itself is kept, as by 3.5.16 and later",
        ours=((7, '"events":[{"type":"DELETE","kv":{"key":"Yg==","mod_revision":"r+4"}},'),),
    ),
    *(
        case("4.6.compacted", *STORY, compact("@{r+4}"), opened(past(revision), lines=2))
        for revision in (1, 2, 3)
    ),
    *(
        case("4.6.compacted", *STORY, compact("@{r+3}"), opened(past(revision), lines=2), put("a"), seen(1))
        for revision in (3, 4, 5)
    ),
    case(
        "4.6.compacted 4.6.ids",
        *STORY,
        compact("@{r+4}"),
        opened(create("a", start_revision=1, watch_id=7), lines=2),
    ),
    case(
        "4.6.compacted",
        *STORY,
        compact("@{r+4}"),
        opened(past(2, watch_id=3), create("b", watch_id=4), lines=3, any_order=True),
        put("b"),
        seen(1),
    ),
    case("4.6.filters 4.6.start", *STORY, opened(past(1, filters=["NOPUT"]), lines=2)),
    case("4.6.filters 4.6.start", *STORY, opened(past(1, filters=["NODELETE"]), lines=2)),
    case("4.6.start", put("x"), opened(past(1)), put("a"), seen(1)),
    case(
        "4.6.batches 4.6.start",
        txn(then=(op_put("b"), op_put("a"), op_put("z"))),
        txn(then=(op_delete("b"), op_put("a", "2"))),
        opened(past(1), lines=2),
    ),
    case("4.6.batches", *(put("a", str(n)) for n in range(1005)), opened(past(1), lines=3)),
]

BIG = "v" * 700_000
LARGE = [
    *(
        case(
            "4.6.fragment",
            put("a", BIG),
            put("b", BIG),
            opened(create("a", "z", prev_kv=True, fragment=fragment)),
            txn(then=(op_put("a", f"1{BIG}"), op_put("b", f"2{BIG}"), op_put("c"))),
            put("c"),
            seen(3 if fragment else 2),
        )
        for fragment in (False, True)
    ),
    case(
        "4.6.fragment",
        opened(create("a", "z", fragment=True)),
        txn(then=(op_put("a", BIG), op_put("b", BIG))),
        put("c"),
        seen(2),
    ),
    case(
        "4.6.batches",
        *(put("a", f"{n}{BIG}") for n in range(4)),
        opened(past(1), lines=2),
        differs="a reply of history is bounded in bytes too, and goes on with the next revision",
        ours=((4, '"mod_revision":"r+2"'),),
    ),
]

CASES = [*LIVE, *HISTORY, *LARGE]
