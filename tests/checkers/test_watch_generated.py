"""Watches that a right server might serve are valid, and what is broken in one is named."""

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raftkv.checkers import Change, WatchEvent, WatchReply, WatchStream
from tests.checkers.watching import ALL, changes_of, check, events_of, names, note, refusal, watch

KEYS = (b"a", b"b", b"ba", b"c")
RANGES = ((b"", ALL), (b"a", b""), (b"b", b""), (b"b", b"c"), (b"b", ALL))

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def writes(draw: Draw) -> list[list[tuple[bytes, bytes | None]]]:
    """Transactions that put and delete; only what is there is deleted, and every value is another one."""
    there: set[bytes] = set()
    done = []
    for number in range(draw(st.integers(1, 12))):
        group: list[tuple[bytes, bytes | None]] = []
        for key in draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)):
            deletes = key in there and draw(st.booleans())
            (there.discard if deletes else there.add)(key)
            group.append((key, None if deletes else b"%d" % number + key))
        done.append(group)
    return done


class Served(NamedTuple):
    """A true list, the streams of one watch with its resumptions, and what was compacted at the end."""

    changes: list[Change]
    streams: list[WatchStream]
    compacted: int


@st.composite
def served(draw: Draw) -> Served:
    changes = changes_of(draw(writes()))
    last = changes[-1].revision
    key, end = draw(st.sampled_from(RANGES))
    start, compacted = draw(st.integers(1, last + 2)), draw(st.integers(0, last))
    streams: list[WatchStream] = []
    while not streams or (len(streams) < 4 and draw(st.booleans())):
        fields = {"key": key, "range_end": end, "start": start, "watch": len(streams)}
        if start < compacted and draw(st.booleans()):
            replies, seen = [refusal(compacted)], compacted - 1
        else:
            replies, seen = replies_of(draw, events_of(changes, key, end, start), start)
        resumed = len(streams) - 1 if streams else None
        streams.append(watch(*replies, **fields, resumed_from=resumed))
        start = max(start, seen + 1)
    caught_up = streams[-1].replies[-1:] and streams[-1].replies[-1].revision >= last
    final = bool(caught_up) and not streams[-1].replies[-1].canceled
    streams[-1] = streams[-1]._replace(final=final)
    return Served(changes, streams, compacted)


def replies_of(draw: Draw, events: list[WatchEvent], start: int) -> tuple[list[WatchReply], int]:
    """Return the responses of one connection and the revision up to which all has come."""
    replies: list[WatchReply] = []
    batch: list[WatchEvent] = []
    seen = start - 1
    for position, event in enumerate(events):
        batch.append(event)
        following = events[position + 1].revision if position + 1 < len(events) else None
        if following == event.revision or draw(st.booleans()):
            continue
        cut = draw(st.integers(0, len(batch) - 1))
        if cut:
            replies.append(WatchReply(event.revision, tuple(batch[:cut]), fragment=True))
        replies.append(WatchReply(event.revision, tuple(batch[cut:])))
        batch, seen = [], event.revision
        if draw(st.booleans()):
            seen = draw(st.integers(seen, (following or seen + 3) - 1))
            replies.append(note(seen))
        if draw(st.integers(0, 5)) == 0:
            break
    return replies, seen


@settings(max_examples=150, deadline=None)
@given(served())
def test_what_a_right_server_might_serve_is_valid(case: Served) -> None:
    verdict = check(case.changes, *case.streams, compacted=case.compacted)
    assert verdict.anomalies == ()


class Broken(NamedTuple):
    """A valid stream of some groups of events, one group a response, and a bug."""

    stream: WatchStream
    guarantee: str


@st.composite
def broken(draw: Draw) -> tuple[list[Change], Broken]:
    changes = changes_of(draw(writes()))
    key, end = draw(st.sampled_from(RANGES))
    events = events_of(changes, key, end)
    assume(events)
    groups: dict[int, list[WatchEvent]] = {}
    for event in events:
        groups.setdefault(event.revision, []).append(event)
    guarantee = draw(st.sampled_from(sorted(BUGS)))
    replies = BUGS[guarantee](draw, [tuple(group) for group in groups.values()], changes)
    return changes, Broken(watch(*replies, key=key, range_end=end), guarantee)


Groups = list[tuple[WatchEvent, ...]]


def response(group: tuple[WatchEvent, ...]) -> WatchReply:
    return WatchReply(group[-1].revision, group)


def out_of_order(draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    assume(len(groups) > 1)
    at = draw(st.integers(1, len(groups) - 1))
    return [response(group) for group in [*groups[at:], *groups[:at]]]


def doubled(draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    again = draw(st.sampled_from(draw(st.sampled_from(groups))))
    return [*map(response, groups), response((again,))]


def split(draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    at = draw(st.sampled_from(range(len(groups))))
    assume(len(groups[at]) > 1)
    parts = [*groups[:at], groups[at][:1], groups[at][1:], *groups[at + 1 :]]
    return list(map(response, parts))


def dropped(draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    assume(len(groups) > 2)
    at = draw(st.integers(1, len(groups) - 2))
    return list(map(response, [*groups[:at], *groups[at + 1 :]]))


def begun_late(_draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    assume(len(groups) > 1)
    return list(map(response, groups[1:]))


def noted_early(draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    at = draw(st.sampled_from(range(len(groups))))
    replies = list(map(response, groups))
    return [*replies[:at], note(replies[at].revision), *replies[at:]]


def with_event(draw: Draw, groups: Groups, change: Callable[[WatchEvent], WatchEvent]) -> list[WatchReply]:
    at = draw(st.sampled_from(range(len(groups))))
    changed = (change(groups[at][0]), *groups[at][1:])
    return list(map(response, [*groups[:at], changed, *groups[at + 1 :]]))


def wrong_create(draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    return with_event(draw, groups, lambda event: event._replace(create=not event.create))


def wrong_previous(draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    return with_event(draw, groups, lambda event: event._replace(previous=b"other"))


def wrong_value(draw: Draw, groups: Groups, _changes: list[Change]) -> list[WatchReply]:
    return with_event(draw, groups, lambda event: event._replace(value=b"other"))


def foreign(draw: Draw, groups: Groups, changes: list[Change]) -> list[WatchReply]:
    mine = {event.key for group in groups for event in group}
    others = [event for event in events_of(changes) if event.key not in mine]
    assume(others)
    return [*map(response, groups), response((draw(st.sampled_from(others)),))]


BUGS: dict[str, Callable[[Draw, Groups, list[Change]], list[WatchReply]]] = {
    "ordered": out_of_order,
    "unique": doubled,
    "atomic": split,
    "reliable": dropped,
    "resumable": begun_late,
    "bookmarkable": noted_early,
    "filter": foreign,
    "is_create": wrong_create,
    "prev_kv": wrong_previous,
}


@settings(max_examples=200, deadline=None)
@given(broken())
def test_what_is_broken_is_named(case: tuple[list[Change], Broken]) -> None:
    changes, (stream, guarantee) = case
    assert guarantee in names(check(changes, stream))


@settings(max_examples=50, deadline=None)
@given(writes(), st.data())
def test_another_value_is_not_reliable(done: Any, data: st.DataObject) -> None:
    changes = changes_of(done)
    groups = [(event,) for event in events_of(changes)]
    replies = wrong_value(data.draw, groups, changes)
    assert "reliable" in names(check(changes, watch(*replies)))
