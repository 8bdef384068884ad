"""Transactions that are refused: operations on one key, too many, and what is checked first."""

from itertools import product
from typing import Any

from tests.differential.calls import (
    ALL,
    compact,
    delete,
    everything,
    op_delete,
    op_put,
    op_range,
    op_txn,
    put,
    txn,
)
from tests.differential.cases.txn import NO, START, YES
from tests.differential.steps import Case, case


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

CASES = [*duplicates(), *limits(), *CHECKS]
