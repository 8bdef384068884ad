"""Transactions."""

from itertools import product
from typing import Any

from tests.differential.calls import (
    ALL,
    call,
    compare,
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

CASES = [*compares(), *misfits(), *GUARDS, *OPERATIONS, *NESTED]
