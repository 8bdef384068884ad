"""Transactions."""

from itertools import product
from typing import Any

from tests.differential.calls import (
    ALL,
    call,
    compact,
    compare,
    delete,
    everything,
    op_delete,
    op_put,
    op_range,
    op_txn,
    put,
    range_,
    txn,
)
from tests.differential.steps import Case, case

START = (put("a", "5"), put("b", "1"), put("a", "7"), put("c", "9"))
"""a: created at r+1, changed at r+3, version 2; b: r+2; c: r+4."""

TELL = {"then": (op_put("t", "yes"),), "other": (op_put("t", "no"),)}
RESULTS = ["EQUAL", "GREATER", "LESS", "NOT_EQUAL"]
NUMBERS = {
    "VERSION": ("version", [0, 1, 2, 3, -1]),
    "CREATE": ("create_revision", [0, "@{r+1}", "@{r+2}", "@{r-1}"]),
    "MOD": ("mod_revision", [0, "@{r+2}", "@{r+3}", "@{r+4}"]),
    "VALUE": ("value", ["", "5", "7", "71", "\xff"]),
    "LEASE": ("lease", [0, 5, -5]),
}


def compares() -> list[Case]:
    """Every target with every result, on keys that are there and that are not, and on ranges."""
    found = []
    for (target, (name, values)), result in product(NUMBERS.items(), RESULTS):
        conditions: list[dict[str, Any]] = [
            {"target": target, "result": result, name: value} for value in values
        ]
        one = [txn(compare(key, **condition), **TELL) for condition in conditions for key in ("a", "x")]
        found.append(case("4.4.missing 4.4.guard 2.2.enum", *START, *one, everything()))
        ranges = [
            txn(compare(key, range_end=end, **condition), **TELL)
            for condition in conditions[:3]
            for key, end in (("a", "c"), ("a", ALL), ("x", "z"), ("b", "a"), (ALL, ALL))
        ]
        found.append(case("4.4.range", *START, *ranges, everything()))
    return found


def misfits() -> list[Case]:
    values = [
        ("version", 2),
        ("create_revision", "@{r+1}"),
        ("mod_revision", "@{r+3}"),
        ("value", "7"),
        ("lease", 1),
    ]
    return [
        case(
            "4.4.misfit",
            *START,
            *(
                txn(compare("a", target=target, result=result, **{name: value}), **TELL)
                for name, value in values
                for result in RESULTS
            ),
            *(
                txn(compare("x", target=target, result=result, **{name: value}), **TELL)
                for name, value in values
                for result in RESULTS
            ),
            *(txn(compare("a", target=target, result=result), **TELL) for result in RESULTS),
            everything(),
        )
        for target in NUMBERS
    ]


YES, NO = compare("a", target="VERSION", result="GREATER"), compare("a", target="VERSION", version=9)

GUARDS = (
    *(
        case("4.4.guard", *START, txn(*guard, **TELL), range_("t"))
        for guard in [(), (YES,), (NO,), (YES, YES), (YES, NO), (NO, YES), (NO, NO), (YES, YES, NO)]
    ),
    case(
        "4.4.guard 2.1.bool",
        txn(),
        everything(),
        call("kv/txn", {"compare": [], "success": []}),
        txn(YES),
        txn(NO, then=(op_put("a"),)),
        everything(),
    ),
    case(
        "1.compare-key 3.empty-key",
        txn(compare("")),
        txn(compare("a"), compare("", range_end="b")),
        txn(other=(op_range(""),)),
        txn(then=(op_put(""),)),
        txn(then=(op_delete(""),)),
        everything(),
    ),
    case(
        "2.7.compare",
        *START,
        *(
            txn(compare(key, target=9, result=result, version=1), **TELL)
            for key in "ax"
            for result in (0, 1, 2, 3)
        ),
        *(txn(compare(key, result=9, version=version), **TELL) for key in "ax" for version in (0, 1, 2)),
        everything(),
    ),
    case(
        "2.7.compare 2.2.enum-range",
        *START,
        txn(compare("a", target=-1, result=-1), **TELL),
        txn(compare("a", target=7, result="NOT_EQUAL"), **TELL),
    ),
)

OPERATIONS = (
    case(
        "4.1.txn 4.4.own-writes 2.1.txn",
        *START,
        txn(then=(op_put("d", "1"), op_range("d"), op_put("e"), op_delete("a", "c"), op_range(ALL, ALL))),
        everything(),
    ),
    case(
        "4.4.own-writes",
        *START,
        txn(
            then=(
                op_range("a"),
                op_put("a", "8"),
                op_range("a"),
                op_range("a", revision="@{r+3}"),
                op_range("a", revision="@{r+1}"),
            )
        ),
        range_("a"),
    ),
    case(
        "4.4.own-writes 4.4.checks",
        *START,
        txn(then=(op_put("a", "8"), op_range("a", revision="@{r+4}"))),
        txn(then=(op_put("a", "9"), op_range("a", revision="@{r+6}"))),
        everything(),
    ),
    case(
        "4.4.own-writes",
        *START,
        txn(then=(op_delete("a", "z"), op_range(ALL, ALL), op_range(ALL, ALL, revision="@{r+4}"))),
        everything(),
    ),
    case(
        "4.4.own-writes",
        *START,
        txn(
            then=(
                op_put("n", "1", prev_kv=True),
                op_put("a", prev_kv=True),
                op_delete("b", prev_kv=True),
                op_range("a", "z", count_only=True),
                op_range("a", "z", keys_only=True, limit=1),
            )
        ),
    ),
    case(
        "4.1.txn 4.1.life",
        *START,
        txn(then=(op_delete("a"), op_delete("a"), op_range("a"))),
        txn(then=(op_delete("x"), op_range("b"))),
        everything(),
    ),
    case(
        "4.1.unchanged",
        *START,
        txn(YES),
        txn(NO, then=(op_put("a"),), other=(op_range("a"),)),
        txn(then=(op_delete("x", "z"),)),
        everything(),
    ),
    case(
        "4.1.txn",
        txn(then=tuple(op_put(f"k{n:03}", str(n)) for n in range(100))),
        everything(limit=3),
        everything(sort_order="DESCEND", sort_target="MOD", limit=3),
        everything(sort_order="ASCEND", sort_target="CREATE", limit=3),
    ),
    case(
        "4.3.prev-kv",
        *START,
        txn(then=(op_put("a", ignore_value=True, prev_kv=True), op_put("b", ignore_lease=True))),
        everything(),
    ),
    case(
        "4.4.read-only 4.1.header",
        *START,
        txn(then=(op_range("a"), op_range("a", revision="@{r+1}"), op_range("b", "z"))),
        everything(),
    ),
    case(
        "4.4.read-only",
        *START,
        txn(YES, then=(op_range("a", serializable=True),), other=(op_range("b"),)),
        txn(NO, then=(op_range("a", serializable=True),), other=(op_range("b", serializable=True),)),
        txn(then=(op_range("a", revision="@{r+9}"),)),
        everything(),
    ),
    case(
        "4.4.read-only 2.1.txn",
        *START,
        txn(NO, then=(op_put("z"),), other=(op_range("a"), op_range("b"))),
        txn(YES, then=(op_range("b"),), other=(op_put("z"),)),
    ),
)

ONE = compare("a", target="VERSION", version=2)

NESTED = (
    case(
        "4.4.nested 2.1.empty-message",
        *START,
        txn(then=(op_txn(ONE, then=(op_put("d", "1"),), other=(op_put("d", "2"),)), op_range("d"))),
        everything(),
    ),
    case(
        "4.4.nested",
        *START,
        txn(then=(op_txn(), op_txn(NO), op_txn(YES, then=(op_txn(NO, other=(op_put("d"), op_range("d"))),)))),
    ),
    case(
        "4.4.first",
        *START,
        txn(then=(op_put("a", "8"), op_txn(ONE, then=(op_put("d", "kept"),), other=(op_put("d", "seen"),)))),
        everything(),
    ),
    case(
        "4.4.first",
        txn(
            then=(
                op_put("n"),
                op_txn(
                    compare("n", target="CREATE"),
                    then=(op_put("d", "before"),),
                    other=(op_put("d", "after"),),
                ),
            )
        ),
        everything(),
    ),
    case(
        "4.4.first",
        *START,
        txn(
            then=(op_txn(then=(op_put("a"),)), op_txn(ONE, then=(op_txn(ONE, then=(op_put("d", "deep"),)),)))
        ),
        everything(),
    ),
    case(
        "4.1.txn 4.4.nested",
        *START,
        txn(
            then=(
                op_put("d"),
                op_txn(then=(op_put("e"), op_txn(then=(op_put("f"),)))),
                op_delete("b"),
                op_range("d", "g"),
            )
        ),
        everything(),
        put("g"),
    ),
    case(
        "4.4.nested",
        txn(
            other=(op_put("x"),),
            then=(
                op_txn(
                    then=(op_txn(then=(op_txn(then=(op_txn(then=(op_range("a"), op_put("a", "deep"))),)),)),)
                ),
            ),
        ),
        everything(),
    ),
    case(
        "4.4.nested 4.4.own-writes",
        *START,
        txn(
            then=(
                op_delete("a", "z"),
                op_txn(then=(op_range(ALL, ALL), op_delete("a", "z"))),
                op_range(ALL, ALL),
            )
        ),
    ),
    case(
        "4.4.read-only 4.4.nested",
        *START,
        txn(then=(op_txn(then=(op_range("a"),)),)),
        txn(then=(op_txn(then=(op_range("a", serializable=True),)),)),
        everything(),
    ),
)


def duplicates() -> list[Case]:
    """Pairs of operations on one key in one list, and in lists below it."""
    single = {
        "put": op_put("k", "1"),
        "delete": op_delete("k"),
        "below": op_delete("a", "z"),
        "range": op_range("k"),
        "end": op_delete("a", "k"),
        "from": op_delete("b", ALL),
    }
    found = []
    for (_, first), (_, second) in product(single.items(), repeat=2):
        lists = (first, second)
        inner = (op_txn(then=(first,)), second)
        other = (first, op_txn(other=(second,)))
        both = (op_txn(then=(first,)), op_txn(then=(second,)))
        found.append(
            case(
                "4.4.duplicates 3.duplicate-key",
                put("k", "0"),
                *(txn(then=ops) for ops in (lists, inner, other, both)),
                everything(),
            )
        )
        found.append(
            case(
                "4.4.both 4.4.duplicates",
                put("k", "0"),
                txn(NO, then=(op_put("y"),), other=lists),
                txn(other=lists),
                txn(other=inner),
                txn(other=both),
                everything(),
            )
        )
    found.append(
        case(
            "4.4.duplicates",
            txn(then=(op_txn(NO, then=(op_put("k", "1"),), other=(op_put("k", "2"),)),)),
            txn(NO, then=(op_put("k", "1"),), other=(op_put("k", "2"),)),
            everything(),
        )
    )
    found.append(
        case(
            "4.4.duplicates",
            txn(then=(op_txn(NO, then=(op_put("k", "1"),), other=(op_put("k", "2"),)), op_put("k"))),
            everything(),
        )
    )
    found.append(
        case(
            "4.4.duplicates",
            txn(
                then=(
                    op_txn(NO, then=(op_put("k", "1"),)),
                    op_txn(NO, then=(op_put("j", "1"),), other=(op_delete("k"),)),
                )
            ),
            everything(),
        )
    )
    return found


def limits() -> list[Case]:
    puts = tuple(op_put(f"k{n:03}") for n in range(140))
    reads = (op_range("a"),) * 140
    many: list[Any] = [
        *(txn(*([YES] * size)) for size in (127, 128, 129)),
        *(txn(then=puts[:size]) for size in (128, 129)),
        *(txn(other=reads[:size]) for size in (128, 129)),
        txn(*([NO] * 128), then=puts[:128], other=reads[:128]),
        txn(NO, then=puts[:129], other=reads[:1]),
        txn(YES, then=reads[:1], other=puts[:129]),
        *(txn(then=(op_txn(then=puts[:size]),)) for size in (127, 128)),
        *(txn(then=(*puts[:64], op_txn(then=reads[:size]))) for size in (63, 64)),
        *(txn(*([YES] * 100), then=(op_txn(then=reads[:size]),)) for size in (28, 29)),
        *(txn(then=(op_txn(*([YES] * 100), then=(op_txn(then=reads[:size]),)),)) for size in (27, 28)),
        *(txn(then=(op_txn(then=reads[:100]), op_txn(then=reads[:size]))) for size in (126, 127)),
        *(txn(NO, then=(op_txn(then=reads[:size]),)) for size in (127, 128)),
        *(txn(other=(op_txn(other=reads[:size]),)) for size in (127, 128)),
    ]
    return [case("4.4.limits 3.too-many-ops", one, everything(count_only=True)) for one in many]


CHECKS = (
    *(
        case(
            f"4.4.checks {line}",
            *START,
            txn(then=(op_put("n", "1"), op)),
            txn(NO, then=(op,), other=(op_put("m"),)),
            txn(then=(op_put("o"), op_txn(then=(op,)))),
            txn(then=(op_txn(NO, then=(op,)),)),
            everything(),
        )
        for line, op in [
            ("3.future", op_range("a", revision="@{r+50}")),
            ("3.lease-not-found", op_put("x", lease=77)),
            ("3.key-not-found", op_put("x", ignore_value=True)),
            ("3.key-not-found", op_put("x", ignore_lease=True)),
            ("3.value-provided", op_put("a", "1", ignore_value=True)),
            ("3.lease-provided", op_put("a", lease=1, ignore_lease=True)),
            ("3.key-not-found", {}),
            ("3.key-not-found", {"request_put": None}),
            ("3.empty-key", {"request_put": {}}),
            ("3.empty-key", {"request_range": {}}),
            ("3.empty-key", {"request_delete_range": {}}),
        ]
    ),
    case(
        "4.4.checks 3.compacted",
        *START,
        compact("@{r+3}"),
        txn(then=(op_put("n"), op_range("a", revision="@{r+2}"))),
        txn(then=(op_range("a", revision="@{r+2}"),)),
        txn(then=(op_range("a", revision="@{r+3}"),)),
        everything(),
    ),
    case(
        "4.4.checks",
        *START,
        txn(then=(op_put("n"), op_put("n2", ignore_value=True))),
        txn(then=(op_delete("a"), op_put("x", ignore_value=True))),
        txn(then=(op_put("n", "1"), op_txn(then=(op_put("m", ignore_lease=True),)))),
        everything(),
    ),
    case(
        "4.4.checks 4.4.both 3.key-not-found",
        txn(then=({}, {})),
        txn(NO, then=(op_put("a"),), other=({},)),
        txn(YES, then=({},), other=(op_put("a"),)),
        everything(),
    ),
    case(
        "4.4.both 3.empty-key",
        *START,
        txn(YES, then=(op_range("a"),), other=(op_put(""),)),
        txn(YES, then=(op_range("a"),), other=(op_range("", "z"),)),
        txn(YES, then=(op_range("a"),), other=(op_put("a", "1", ignore_value=True),)),
        txn(YES, then=(op_range("a"),), other=({},)),
    ),
    case(
        "4.4.read-only",
        *START,
        txn(
            then=(
                op_range("a", sort_order="DESCEND", sort_target="MOD"),
                op_range("a", "z", limit=2, sort_target="VALUE"),
                op_range(ALL, ALL, count_only=True),
            )
        ),
    ),
    case(
        "3.too-large 4.12.size",
        txn(then=(op_put("a", "v" * 800_000), op_put("b", "v" * 800_000))),
        txn(then=(op_range("a" * 1_600_000),)),
        everything(count_only=True),
    ),
    case("4.4.nested", delete("a"), txn(then=(op_put("a"),), other=(op_delete("a"),))),
)

CASES = [*compares(), *misfits(), *GUARDS, *OPERATIONS, *NESTED, *duplicates(), *limits(), *CHECKS]
