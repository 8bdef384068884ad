"""Witnesses: what nodes tell of all changes, and whether they agree."""

from raftkv.chaos.truth import Witness, agreement, as_line, from_line, left_out, told_by, truth_of
from raftkv.checkers.verdict import Validity
from raftkv.schema.kv import KeyValue
from raftkv.schema.watch import Event, EventType, WatchResponse
from raftkv.workloads.port import Change


def put(revision: int, value: bytes = b"v", key: bytes = b"k") -> Event:
    return Event(EventType.PUT, KeyValue(key, 2, revision, revision - 1, value, 7))


def delete(revision: int) -> Event:
    return Event(EventType.DELETE, KeyValue(key=b"k", mod_revision=revision))


def told(name: str, *responses: WatchResponse) -> Witness:
    witness = Witness(name)
    for response in responses:
        witness.take(response)
    return witness


A = WatchResponse(events=[put(2), put(2, key=b"l"), put(3)])
B = WatchResponse(events=[delete(4)])


def test_nodes_that_tell_the_same_are_the_truth() -> None:
    found = told_by({one.name: one.seen for one in (told("n1", A, B), told("n2", A), told("n3", A, B))})
    assert [one.nodes for one in found] == [("n1", "n2", "n3"), ("n1", "n2", "n3"), ("n1", "n3")]
    truth = truth_of(found)
    assert truth is not None
    assert truth.changes == [
        Change(2, b"k", b"v", 2, 1, 7),
        Change(2, b"l", b"v", 2, 1, 7),
        Change(3, b"k", b"v", 2, 2, 7),
        Change(4, b"k", None),
    ]
    assert agreement(found).verdict.validity is Validity.VALID


def test_a_revision_that_two_nodes_tell_differently_is_a_finding_and_no_truth() -> None:
    other = WatchResponse(events=[put(2), put(2, key=b"l"), put(3, b"other")])
    found = told_by({one.name: one.seen for one in (told("n1", A), told("n2", other))})
    verdict = agreement(found).verdict
    assert verdict.validity is Validity.INVALID
    assert "revision 3: n1 told: put b'k' b'v', and n2 told: put b'k' b'other'" in verdict.reason
    assert truth_of(found) is None


def test_half_a_transaction_differs_from_the_whole() -> None:
    half = WatchResponse(events=[put(2), put(3)])
    found = told_by({one.name: one.seen for one in (told("n1", A), told("n2", half))})
    assert agreement(found).verdict.validity is Validity.INVALID


def test_a_revision_that_nobody_told_leaves_no_truth_and_no_finding() -> None:
    late = told("n1", WatchResponse(canceled=True, compact_revision=3), B)
    assert late.position == 4
    found = told_by({"n1": late.seen})
    assert truth_of(found) is None
    assert agreement(found).verdict.validity is Validity.VALID
    assert truth_of(told_by({"n1": late.seen, "n2": told("n2", A).seen})) is not None


def test_a_revision_that_comes_again_is_a_finding() -> None:
    twice = told("n1", A, WatchResponse(events=[put(3)]))
    found = agreement(told_by({"n1": twice.seen}), twice.odd)
    assert found.verdict.validity is Validity.INVALID
    assert "revision 3 was told after 3" in found.verdict.reason


def test_a_revision_that_a_node_passes_over_is_a_finding_also_if_all_do() -> None:
    lossy = told("n2", WatchResponse(events=[put(2), put(2, key=b"l"), delete(4)]))
    assert left_out([told("n1", A, B)]) == []
    [text] = left_out([told("n1", A, B), lossy])
    assert text.startswith("n2: of 1 revisions nothing was told, but of later ones: 3")
    assert agreement([], [text]).verdict.validity is Validity.INVALID


def test_what_a_node_has_compacted_or_not_told_yet_is_not_passed_over() -> None:
    late = told("n2", WatchResponse(canceled=True, compact_revision=3), B)
    assert left_out([late, told("n3", WatchResponse(events=[put(2)])), told("n4")]) == []


def test_lines_are_read_as_they_were_written() -> None:
    found = told_by({"n1": told("n1", A, B).seen})
    assert [from_line(as_line(one)) for one in found] == found


def test_nothing_at_all_is_a_truth_too() -> None:
    truth = truth_of([])
    assert truth is not None
    assert truth.changes == []
