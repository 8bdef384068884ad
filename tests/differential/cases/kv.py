"""Put, range and deleterange."""

from itertools import product
from typing import Any

from tests.differential.calls import ALL, call, compact, delete, everything, put, range_
from tests.differential.steps import Case, case

FIVE = (put("b", "2"), put("a", "3"), put("d", "1"), put("a", "1"), put("c", "4"), put("b", "5"))
"""Keys a to d; in order of mod_revision d a c b, of create_revision b a d c, of value a d c b."""

ENDS = [None, "", ALL, "a", "a\0", "b", "c", "d", "e", "\xff", "\0\0"]
KEYS = ["a", "b", "e", ALL, "\xff"]
ORDERS = ["NONE", "ASCEND", "DESCEND"]
TARGETS = ["KEY", "VERSION", "CREATE", "MOD", "VALUE"]


def forms() -> list[Case]:
    ranges = [
        case("1.range-key 1.range-end 4.2.forms 4.2.reversed", *FIVE, *(range_(key, end) for end in ENDS))
        for key in KEYS
    ]
    removed = [
        case(
            f"4.3.delete {'4.3.delete-reversed' if end == 'a' else '4.1.unchanged'}",
            *FIVE,
            delete(key, end, prev_kv=prev_kv),
            everything(),
            delete(key, end),
        )
        for key, end, prev_kv in product(["a", "b", ALL], [None, ALL, "a", "c", "\xff"], [False, True])
    ]
    return ranges + removed


def sorting() -> list[Case]:
    found = [
        case(
            f"{'4.2.sort-none' if order == 'NONE' else '4.2.sort'} 4.2.count 2.2.enum",
            *FIVE,
            *(everything(sort_order=order, sort_target=target, limit=limit) for limit in (0, 1, 2, 3, 4, 5)),
            range_("b", "d", sort_order=order, sort_target=target, limit=1),
            everything(sort_order=order, sort_target=target, revision="@{r+4}", limit=2),
        )
        for order, target in product(ORDERS, TARGETS)
    ]
    filters = ["min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"]
    found += [
        case(
            "4.2.sort 4.2.count 4.2.only",
            *FIVE,
            *(everything(**{name: f"@{{r{n:+}}}"}) for n in range(8)),
            *(everything(**{name: f"@{{r{n:+}}}"}, limit=1) for n in (1, 3, 6)),
            everything(**{name: "@{r+3}"}, count_only=True),
            everything(**{name: "@{r+3}"}, sort_target="MOD", limit=1),
            everything(**{name: "@{r+3}"}, sort_order="DESCEND", keys_only=True),
            everything(**{name: -1}),
        )
        for name in filters
    ]
    return found


def options() -> list[Case]:
    limits = [
        case("1.range-limit 4.2.count", *FIVE, everything(limit=n), range_("a", "c", limit=n))
        for n in (-5, 0, 1, 3, 4, 9)
    ]
    only = [
        case(
            "4.2.only 2.1.zero",
            *FIVE,
            everything(keys_only=keys_only, count_only=count_only, limit=limit),
            range_("b", keys_only=keys_only, count_only=count_only),
            range_("x", keys_only=keys_only, count_only=count_only),
        )
        for keys_only, count_only, limit in product([False, True], [False, True], [0, 2])
    ]
    revisions = [
        case(
            "1.range-revision 4.2.revision 4.1.header",
            *FIVE,
            everything(revision=f"@{{r{n:+}}}"),
            range_("a", revision=f"@{{r{n:+}}}"),
        )
        for n in range(9)
    ]
    revisions += [case("1.range-revision", *FIVE, everything(revision=n)) for n in (0, -1, -9)]
    serial = [
        case(
            "4.2.serializable",
            *FIVE,
            everything(serializable=True),
            range_("a", serializable=True, revision="@{r+2}"),
        )
    ]
    return limits + only + revisions + serial


LIFE = (
    case(
        "4.1.start 4.1.life 2.1.minimal",
        put("a", "1"),
        put("a", "2"),
        range_("a"),
        delete("a"),
        range_("a"),
        put("a", "3"),
        range_("a"),
    ),
    case(
        "4.1.unchanged", put("a", "1"), put("a", "1"), range_("a"), delete("x"), delete("x", "z"), range_("a")
    ),
    case(
        "4.1.life",
        put("a"),
        delete("a"),
        put("a"),
        put("a"),
        everything(revision="@{r+1}"),
        everything(revision="@{r+2}"),
        everything(),
    ),
    case(
        "4.1.header",
        put("a", "1"),
        put("a", "2"),
        range_("a", revision="@{r+1}"),
        range_("a", revision="@{r+2}"),
    ),
    case(
        "4.1.start 1.header-revision",
        everything(),
        put("a"),
        everything(),
        delete("a"),
        everything(),
        where="fresh",
    ),
    case(
        "4.3.prev-kv",
        put("a", prev_kv=True),
        put("a", "1", prev_kv=True),
        put("a", "2", prev_kv=True),
        delete("a"),
        put("a", prev_kv=True),
    ),
    case("4.3.prev-kv 2.2.camel", put("a", "1"), put("a", "2", prevKv=True), put("a", "3", prev_kv=False)),
    case(
        "4.3.delete",
        *FIVE,
        delete("a", "c", prev_kv=True),
        delete("a", "c", prev_kv=True),
        delete(ALL, ALL, prev_kv=True),
    ),
    case(
        "4.3.move", put("a", "1"), put("a", ignore_value=True, ignore_lease=True, prev_kv=True), range_("a")
    ),
    case(
        "4.3.move",
        put("a", "1"),
        put("a", ignore_value=True, prev_kv=True),
        put("a", "2", ignore_lease=True, prev_kv=True),
        range_("a"),
    ),
)

ERRORS = (
    case(
        "3.empty-key 2.3.unary 2.3.3 1.range-key",
        call("kv/range"),
        call("kv/put"),
        call("kv/deleterange"),
        call("kv/range", {"range_end": "AA=="}),
        call("kv/deleterange", {"range_end": "AA=="}),
        everything(),
    ),
    case("3.empty-key", put("", "x"), range_(""), delete(""), everything(revision=0)),
    case(
        "3.key-not-found",
        put("a", ignore_value=True),
        put("a", ignore_lease=True),
        put("a", "1", ignore_lease=True),
        everything(),
    ),
    case("3.key-not-found", put("a", "1"), delete("a"), put("a", ignore_value=True), everything()),
    case(
        "3.value-provided",
        put("a", "1", ignore_value=True),
        put("a"),
        put("a", "1", ignore_value=True),
        everything(),
    ),
    case(
        "3.lease-provided",
        put("a", lease=5, ignore_lease=True),
        put("a"),
        put("a", lease=5, ignore_lease=True, ignore_value=True),
        everything(),
    ),
    case(
        "3.value-provided 3.lease-provided",
        put("a", "1", lease=5, ignore_lease=True, ignore_value=True),
        put("", "1", ignore_value=True),
    ),
    case(
        "3.lease-not-found 4.3.unknown-lease 2.3.5-14",
        put("a", "1", lease=12345),
        put("a", lease=-1),
        everything(),
    ),
    case(
        "3.lease-not-found 4.3.unknown-lease",
        put("a", "1"),
        put("a", "2", lease=12345),
        put("a", ignore_value=True, lease=12345),
        range_("a"),
    ),
    case(
        "3.future 2.3.2-11",
        put("a"),
        everything(revision="@{r+2}"),
        range_("a", revision="9000000000000000000"),
        everything(revision="@{r+2}", serializable=True),
        everything(revision="@{r+2}", count_only=True),
    ),
    case(
        "3.compacted 4.2.revision",
        *FIVE,
        compact("@{r+4}"),
        everything(revision="@{r+3}"),
        everything(revision="@{r+4}"),
        everything(revision="@{r+1}", serializable=True),
        range_("a", revision=1),
        everything(revision="@{r+5}"),
    ),
)

SIZES = (
    tuple(
        case("3.too-large 4.12.size", put("k", "v" * (size - 30)), range_("k", keys_only=True))
        for size in (1_572_800, 1_572_834, 1_572_864, 1_572_865, 1_572_880, 1_700_000)
    )
    + tuple(
        case("3.too-large-message 4.12.size 2.3.8", put("k", "v" * size), range_("k", keys_only=True))
        for size in (2_097_100, 2_097_143, 2_097_150, 3_000_000)
    )
    + (
        case("3.too-large-message", range_("k" * 2_097_200), delete("k" * 2_097_200)),
        case("3.too-large", delete("k" * 1_600_000), range_("k" * 1_600_000)),
    )
)


def bodies() -> list[Case]:
    """Keys and values of odd bytes come back as they went."""
    odd: list[Any] = [b"\0", b"\0\0", b"\xff", b"\xff\xff", "\x7f", b"\xc3\x28", b'"\\', "é", b"a" * 5000]
    return [
        case(
            "2.1.bytes 2.1.headers 2.1.order",
            put(key, value),
            range_(key),
            put(key, prev_kv=True),
            delete(key, prev_kv=True),
        )
        for key, value in zip(odd, reversed(odd), strict=True)
    ]


CASES = [*forms(), *sorting(), *options(), *LIFE, *ERRORS, *SIZES, *bodies()]
