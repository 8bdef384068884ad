"""Several watches of one stream, what else may be asked there, and streams that fail."""

import json

from tests.differential.calls import (
    delete,
    everything,
    get,
    op_delete,
    op_put,
    put,
    raw,
    txn,
)
from tests.differential.cases.lease_requests import CHUNKED
from tests.differential.cases.watch import AB, PROGRESS, STORY, cancel, create, opened, past, seen, watching
from tests.differential.steps import FRESH, Drop, End, Open, Quiet, case

IDS = [
    case(
        "4.6.ids",
        opened(AB, AB, create("b"), lines=3),
        put("b"),
        seen(3, any_order=True),
        put("a"),
        seen(2, any_order=True),
    ),
    case(
        "4.6.ids",
        opened(
            create("a", watch_id=7),
            create("a"),
            create("a", watch_id=-3),
            create("a", watch_id=1),
            create("a"),
            lines=5,
        ),
        put("a"),
        seen(5, any_order=True),
    ),
    case("4.6.ids", opened(create("a", watch_id=1), create("a"), create("a"), create("a"), lines=4)),
    case(
        "4.6.ids",
        opened(
            create("a", watch_id="9223372036854775807"),
            create("a"),
            create("a", watch_id="-9223372036854775808"),
            lines=3,
        ),
    ),
    case(
        "4.6.refused 3.watch-refused",
        opened(create("b", watch_id=7), create("c", watch_id=7), lines=2),
        put("c"),
        put("b"),
        seen(1),
    ),
    case(
        "4.6.refused 3.watch-refused",
        opened(create("b"), cancel(0), create("b", watch_id=5), create("c", watch_id=5), lines=4),
        put("b"),
        seen(1),
    ),
    *(
        case(
            "4.6.refused 4.6.created 3.watch-refused",
            opened(create(key, end), create("x"), lines=2),
            put("x"),
            seen(1),
        )
        for key, end in (("b", "a"), ("b", "b"), ("\xff", "a"))
    ),
    case("4.6.refused", opened(create("b", "a", watch_id=9), create("b", watch_id=9), lines=2)),
    case(
        "4.6.ids 4.6.cancel",
        opened(create("a", watch_id=7), cancel(7), create("b", watch_id=7), lines=3),
        put("a"),
        put("b"),
        seen(1),
    ),
    case(
        "4.6.order",
        opened(create("a", "z"), create("b", "z"), create("b"), lines=3),
        txn(then=(op_put("a"), op_put("b"))),
        seen(3, any_order=True),
        put("c"),
        seen(2, any_order=True),
    ),
    case(
        "4.6.order 4.6.start",
        *STORY,
        opened(past(1), past(4), create("d", start_revision="@{r+1}"), lines=6, any_order=True),
    ),
]

CONTROL = [
    case("4.6.cancel", opened(create("a"), create("b"), cancel(0), lines=3), put("a"), put("b"), seen(1)),
    case(
        "4.6.cancel", opened(create("a"), cancel(5), cancel("x" and 6), PROGRESS, lines=2), put("a"), seen(1)
    ),
    case("4.6.cancel", opened(create("a"), cancel(0), cancel(0), create("b"), lines=3), put("b"), seen(1)),
    case("4.6.cancel 4.6.start", *STORY, opened(past(9), cancel(0), lines=2)),
    *(
        case(
            "4.6.progress",
            put("a"),
            opened(*([AB] * count), PROGRESS, lines=count + 1),
            put("a"),
            seen(count, any_order=True),
        )
        for count in (1, 2)
    ),
    case("4.6.progress", opened(AB, PROGRESS, PROGRESS, lines=3)),
    *(
        case(
            "4.6.filters 2.2.enum",
            opened(create("a", filters=filters)),
            put("a"),
            delete("a"),
            put("a"),
            delete("a"),
            seen(2),
        )
        for filters in (["NOPUT"], ["NODELETE"], [0], [1], ["NOPUT", "NOPUT"], ["NODELETE", 1])
    ),
    case(
        "4.6.filters",
        opened(create("a", "z", filters=["NOPUT"])),
        txn(then=(op_put("a"), op_put("b"))),
        put("c"),
        txn(then=(op_delete("a"), op_put("b"))),
        delete("c"),
        seen(2),
    ),
    case(
        "4.6.filters",
        opened(create("a", filters=["NOPUT", "NODELETE"]), create("b"), lines=2),
        put("a"),
        delete("a"),
        put("b"),
        seen(1),
    ),
    case("4.6.filters 2.2.enum-range", opened(create("a", filters=[7])), put("a"), seen(1)),
    *(
        case("2.2.null", opened({"create_request": None}, {}, create("a")), put("a"), seen(1))
        for _ in range(1)
    ),
    case(
        "4.6.created",
        *STORY,
        opened(create("a"), create("b", progress_notify=True), create("c", fragment=True), lines=3),
    ),
]

NOTIFIED = [
    case(
        "4.6.notify",
        put("b"),
        opened(create("a"), create("b", progress_notify=True), lines=2),
        seen(2),
        where=FRESH,
        flags=(("experimental_watch_progress_notify_interval", "400ms"),),
    ),
]

STREAMS = [
    *(
        case(
            "2.4.request",
            Open("w", watching(create("a"), create("b"), between=between), 2),
            put("b"),
            seen(1),
        )
        for between in ("", "\n", " ", "\n\n\r\n\t")
    ),
    case("2.4.request", Open("w", watching(create("a"), create("b"), headers=CHUNKED), 2), put("b"), seen(1)),
    case(
        "2.2.camel 2.2.unknown",
        Open("w", raw("watch", '{"createRequest":{"key":"YQ==","prevKv":true,"colour":1},"x":2}'), 1),
        put("a"),
        put("a"),
        seen(2),
    ),
    *(
        case("2.3.stream-json", Open("w", raw("watch", body)), End("w"))
        for body in (
            "x",
            "[]",
            '"a"',
            '{"create_request":[]}',
            '{"create_request":{"key":1}}',
            '{"create_request":{"key":"a"}}',
            '{"create_request":{"start_revision":"x"}}',
            '{"create_request"',
            "{",
            "nul",
            '{"create_request":{"filters":["X"]}}',
        )
    ),
    *(
        case(
            "2.3.stream-json-later",
            Open("w", raw("watch", json.dumps(create("a")) + rest), 1),
            put("a"),
            seen(1),
        )
        for rest in ("x", "[]", '{"cancel_request":{"watch_id":"x"}}', "{", '{"progress_request"')
    ),
    *(
        case("2.4.head", Open("w", raw("watch", body)), Quiet("w"), Drop("w"), put("a"))
        for body in ("", "{}", json.dumps(cancel(3)), "{}{}")
    ),
    case(
        "2.5.has-leader",
        Open("w", watching(create("a"), headers=(("Grpc-Metadata-hasleader", "true"),)), 1),
        put("a"),
        seen(1),
    ),
    case(
        "2.6.method 2.6.options",
        get("/v3/watch"),
        get("/v3/watch", "PUT"),
        get("/v3/watch", "OPTIONS"),
        get("/v3/watch/", "POST"),
        everything(),
    ),
    *(
        case(
            "2.5.timeout 2.3.3",
            Open("w", watching(create("a"), headers=(("Grpc-Timeout", value),))),
            End("w"),
        )
        for value in ("5", "x")
    ),
    *(
        case(
            "2.5.timeout 2.3.stream-before",
            Open("w", watching(create("a"), headers=(("Grpc-Timeout", value),))),
            End("w"),
        )
        for value in ("-1S", "1n")
    ),
    case(
        "2.5.timeout",
        Open("w", watching(create("a"), headers=(("Grpc-Timeout", "300m"),)), 1),
        put("a"),
        seen(1),
    ),
]

CASES = [*IDS, *CONTROL, *NOTIFIED, *STREAMS]
