"""Compaction."""

from tests.differential.calls import call, compact, delete, everything, op_range, put, range_, txn
from tests.differential.steps import case

STORY = (put("a", "1"), put("b", "1"), put("a", "2"), delete("b"), put("c", "1"), put("a", "3"))
"""Revisions r+1 to r+6."""


def reads(first: int) -> tuple[object, ...]:
    return tuple(everything(revision=f"@{{r{n:+}}}") for n in range(first, 8))


CASES = [
    *(
        case(
            "4.5.compact 4.2.revision 3.compacted 3.future 1.compaction-header",
            *STORY,
            compact(f"@{{r{n:+}}}", physical=physical),
            *reads(0),
            compact(f"@{{r{n:+}}}"),
            compact("@{r+1}"),
            range_("a", revision="@{r+3}"),
        )
        for n in range(1, 9)
        for physical in (False, True)
    ),
    *(
        case("4.5.compact 3.compacted", *STORY, compact("@{r+1}"), compact(n), everything())
        for n in (0, -1, 1)
    ),
    case("4.5.compact 3.future", compact("@{r+1}"), compact("9000000000000000000"), everything()),
    case(
        "4.5.physical 4.1.header",
        *STORY,
        compact("@{r+2}"),
        compact("@{r+3}", physical=True),
        compact("@{r+4}", physical=False),
        compact("@{r+5}", physical=True),
        everything(),
    ),
    case(
        "4.5.compact",
        *STORY,
        compact("@{r+6}", physical=True),
        put("b", "2", prev_kv=True),
        range_("b"),
        put("a", prev_kv=True),
        everything(),
        everything(revision="@{r+6}"),
    ),
    case(
        "4.5.compact 4.1.life",
        *STORY,
        delete("a", prev_kv=True),
        compact("@{r+7}", physical=True),
        put("a", prev_kv=True),
        range_("a"),
    ),
    case(
        "4.5.compact",
        *STORY,
        compact("@{r+3}"),
        txn(then=(op_range("a", revision="@{r+2}"),)),
        txn(then=(op_range("b", revision="@{r+3}"),)),
        txn(then=(op_range("b", revision="@{r+4}"),)),
    ),
    case(
        "4.5.compact",
        compact(0),
        compact(0),
        compact(1),
        compact(1),
        put("a"),
        compact(1),
        compact(2),
        compact(2),
        everything(revision=1),
        everything(revision=2),
        where="fresh",
    ),
    case(
        "4.5.compact",
        compact(1),
        compact(0),
        compact(2),
        everything(revision=1),
        put("a"),
        everything(revision=1),
        where="fresh",
    ),
    case(
        "4.5.compact",
        compact(-1),
        call("kv/compaction"),
        call("kv/compaction", {"physical": True}),
        put("a"),
        compact("2", physical=True),
        compact(-1),
        where="fresh",
    ),
]
