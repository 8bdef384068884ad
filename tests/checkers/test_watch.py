"""Each guarantee of a watch: the smallest history that breaks it, and right ones beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from raftkv.checkers import (
    HistoryError,
    Validity,
    WatchEvent,
    check_watches,
    examine_file,
    read_watches,
    write_watches,
)
from raftkv.checkers.watch_lines import prefix_end
from tests.checkers.watching import changes_of, check, events_of, names, note, refusal, reply, watch

FOLDER = Path(__file__).parent / "watches"
KNOWN = json.loads((FOLDER / "verdicts.json").read_text(encoding="utf-8"))

CHANGES = changes_of(
    [[(b"a", b"1")], [(b"a", b"2"), (b"b", b"3")], [(b"b", None)], [(b"b", b"4")], [(b"c", b"5")]]
)
"""Revisions 2 to 6; revision 3 has two changes."""

A2, A3, B3, B4, B5, C6 = EVENTS = events_of(CHANGES)


def broken(*replies: Any, compacted: int = 0, **fields: Any) -> set[str]:
    verdict = check(CHANGES, watch(*replies, **fields), compacted=compacted)
    assert (verdict.validity is Validity.VALID) == (not verdict.anomalies)
    return names(verdict)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known["file"])
def test_recorded_watches_break_just_the_known_guarantees(known: dict[str, Any]) -> None:
    verdict = examine_file(FOLDER / known["file"], "watch").verdict
    assert (verdict.validity is Validity.VALID) == known["valid"]
    assert sorted(names(verdict)) == known["broken"]


def test_no_recorded_watch_is_left_out() -> None:
    assert {path.name for path in FOLDER.glob("*.jsonl")} == {known["file"] for known in KNOWN}
    assert len(KNOWN) == 13


@pytest.mark.parametrize(
    "replies",
    [
        (),
        (reply(*EVENTS),),
        (reply(A2), reply(A3, B3), reply(B4), reply(B5), reply(C6)),
        (reply(A2), reply(B3, A3), reply(B4)),
        (note(1), reply(A2), note(2), note(2), reply(A3, B3, B4), note(4), reply(B5, C6), note(9)),
        (reply(A2, A3, fragment=True), reply(B3, fragment=True), reply(B4)),
        (reply(A2), reply(A3, fragment=True)),
    ],
)
def test_what_a_right_server_sends_is_valid(replies: Any) -> None:
    assert broken(*replies) == set()


@pytest.mark.parametrize(
    ("replies", "guarantees"),
    [
        ((reply(A2), reply(B4), reply(A3, B3)), {"ordered", "reliable"}),
        ((reply(A2), reply(A3, B3), reply(A3)), {"unique", "reliable"}),
        ((reply(A2, A3), reply(B3)), {"atomic"}),
        ((reply(A2), reply(A3, B3), reply(B5)), {"reliable"}),
        ((reply(A2), reply(A3)), {"reliable"}),
        ((reply(A3, B3), reply(B4)), {"resumable", "reliable"}),
        ((reply(A2), note(3), reply(A3, B3)), {"bookmarkable"}),
        ((reply(A2), note(3)), {"bookmarkable"}),
        ((note(2),), {"bookmarkable"}),
        ((reply(A2), reply(A3, B3), reply(B4), note(3)), {"bookmarkable"}),
        ((reply(*EVENTS), note(9), note(8)), {"bookmarkable"}),
        ((reply(A2), note(2), reply(A2)), {"bookmarkable", "unique", "reliable"}),
        ((reply(A2._replace(create=False)),), {"is_create"}),
        ((reply(A2), reply(A3._replace(create=True), B3)), {"is_create"}),
        ((reply(A2._replace(previous=b"0")),), {"prev_kv"}),
        ((reply(A2), reply(A3._replace(previous=None), B3)), {"prev_kv"}),
        ((reply(A2._replace(value=b"9")),), {"reliable"}),
        ((reply(A2, WatchEvent(2, b"x", b"9", create=True)),), {"reliable"}),
    ],
)
def test_each_guarantee_can_be_broken(replies: Any, guarantees: set[str]) -> None:
    assert broken(*replies) == guarantees


def test_events_before_the_start_are_not_resumable() -> None:
    assert broken(reply(A3, B3), start=3) == set()
    assert broken(reply(A2), reply(A3, B3), start=3) == {"resumable", "reliable"}


def test_a_filter_leaves_out_keys_and_kinds() -> None:
    assert broken(reply(B3, B4), reply(B5), key=b"b", range_end=b"") == set()
    assert broken(reply(A2), reply(A3, B3), key=b"a", range_end=b"c") == set()
    assert broken(reply(A2, A3), key=b"a", range_end=b"b") == set()
    assert broken(reply(B3), reply(C6), key=b"b", range_end=b"") == {"filter", "reliable"}
    foreign_first = broken(reply(A2), reply(B4), key=b"b", range_end=b"")
    assert foreign_first == {"filter", "resumable", "reliable"}
    assert broken(reply(A2), reply(A3, B3), reply(B5), kinds=("put",)) == set()
    assert broken(reply(B4), kinds=("delete",)) == set()
    assert broken(reply(A2), reply(A3, B3), reply(B4), kinds=("put",)) == {"filter", "reliable"}


def test_what_was_there_before_may_be_forgotten_by_a_compaction_only() -> None:
    bare = A3._replace(previous=None)
    assert broken(reply(bare, B3), start=3, compacted=3) == set()
    assert broken(reply(bare, B3), start=3, compacted=2) == {"prev_kv"}
    assert broken(reply(bare, B3), start=3, prev_kv=False) == set()
    assert broken(reply(A3._replace(previous=b"x"), B3), start=3, compacted=3) == {"prev_kv"}


def test_a_compacted_start_gets_the_error_and_not_silence() -> None:
    assert broken(refusal(4), compacted=4) == set()
    assert broken(refusal(6), compacted=4) == set()
    assert broken(reply(A2), refusal(4)) == set()
    assert broken(reply(B4), compacted=4, start=4) == set()
    assert broken() == set(), "cut before the answer came"


def test_silence_about_a_compaction_is_found() -> None:
    stream = watch(reply(B4), compacted=4)
    assert names(check(CHANGES, stream)) == {"compacted"}
    assert names(check(CHANGES, watch(note(9), compacted=4))) == {"compacted", "bookmarkable"}
    assert "compacted" in names(check(CHANGES, watch(compacted=4, final=True)))
    assert names(check(CHANGES, watch(compacted=4))) == set()
    assert names(check(CHANGES, watch(refusal(4), compacted=4, final=True))) == set()


def test_the_compacted_error_must_be_true() -> None:
    assert broken(refusal(2)) == {"compacted"}
    assert broken(reply(A2), reply(A3, B3), refusal(4)) == {"compacted"}
    assert broken(reply(A2), reply(A3, B3), refusal(5)) == set()


def test_a_watch_of_the_future_gets_nothing_from_before() -> None:
    assert broken(reply(B5), start=5, created=3) == set()
    assert broken(note(4), reply(B5), start=5, created=3) == set()
    assert broken(reply(B4), reply(B5), start=5, created=3) == {"future", "reliable"}
    assert broken(note(3), reply(B5), start=5, created=3) == {"future"}
    assert broken(note(3), reply(B5), start=5, created=4) == set(), "5 is the next one"


def test_a_watcher_that_should_have_caught_up_has_to() -> None:
    assert broken(reply(*EVENTS), final=True) == set()
    assert broken(reply(A2), final=True) == {"converged"}
    assert broken(reply(A2)) == set()
    assert broken(reply(B3, B4, B5), key=b"b", range_end=b"", final=True) == set()


def test_the_text_says_which_watch_and_what() -> None:
    def text(**fields: Any) -> str:
        [anomaly] = check(CHANGES, watch(reply(A2), reply(A3), **fields)).anomalies
        return anomaly.text

    missing = "from revision 2: event 3 should be the put of '3' to 'b' at 3, but nothing more came"
    assert text(watch=7) == f"watch 7 of all keys {missing}"
    assert text(key=b"a") == f"watch 0 of all keys from 'a' on {missing}"
    assert text(key=b"a", range_end=b"c") == f"watch 0 of keys from 'a' to before 'c' {missing}"
    [anomaly] = check(CHANGES, watch(note(2), key=b"a", range_end=b"")).anomalies
    assert anomaly.text == (
        "watch 0 of 'a' from revision 2: a progress note at 2 came before the put of 'a' at 2"
    )


def test_a_file_is_written_as_it_is_read() -> None:
    text = (FOLDER / "watch_030.jsonl").read_text(encoding="utf-8")
    run = read_watches(text)
    again = read_watches("\n".join(write_watches(run)))
    assert again == run
    assert check_watches(again) == check_watches(run)


def test_a_file_keeps_all_that_a_stream_can_have() -> None:
    changes = [change._replace(version=2, lease=7) for change in CHANGES[:1]]
    odd = b"\xff\x00\xfe"
    streams = [
        watch(
            reply(A2, fragment=True), refusal(4), note(3), created=4, compacted=3, final=True, prev_kv=False
        ),
        watch(resumed_from=0, kinds=("put",), key=odd, range_end=b"", start=5),
        watch(key=b"b", range_end=b"x"),
        watch(key=b"b/", range_end=prefix_end(b"b/")),
        watch(key=b"\0", range_end=b"\0"),
    ]
    run = read_watches((FOLDER / "watch_007.jsonl").read_text(encoding="utf-8"))
    run = run._replace(streams=[one._replace(replies=list(one.replies)) for one in streams], changes=changes)
    assert read_watches("\n".join(write_watches(run))) == run


HEADER = '{"format":"history/1","model":"watch"}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "h: the file is empty"),
        ("[]", "h:1: expected a JSON object"),
        ("{", "h:1: no JSON"),
        ('{"format":"x"}', "h:1: the first line must be a header"),
        ('{"format":"history/1","model":"lock"}', "h:1: a history of 'lock', not of 'watch'"),
        (HEADER, "h: watches can't be checked without the list of changes"),
        (HEADER + '{"persisted":[{"rev":2}]}', "h:2: no list of changes"),
        (HEADER + '{"persisted":[]}\n{"watch":0}', "h:3: no watch"),
        (HEADER + '{"persisted":[]}\n{"watch":0,"key":"a","start":"2","responses":[]}', "h:3: no watch"),
        ('{"format":"history/1","model":"watch","compacted":"x"}\n{"persisted":[]}', "h:1: no whole number"),
    ],
)
def test_what_is_no_history_of_watches_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(HistoryError) as caught:
        read_watches(text, "h")
    assert str(caught.value).startswith(message)
