"""The pass over histories whose answers carry revisions: each way to say no, and how gaps are filled."""

from typing import Any

import pytest

from raftkv.checkers import Kv, MvccKv, Operation, Outcome, Validity, Verdict, check

MODEL = MvccKv()


def put(call: float, revision: int, value: object, key: str = "k") -> Operation:
    return Operation(0, call, call + 1, ("put", key, value), (revision, None))


def get(call: float, revision: int, *kv: Any, key: str = "k") -> Operation:
    return Operation(0, call, call + 1, ("get", key), (revision, Kv(*kv) if kv else None))


def unanswered(call: float, *request: Any) -> Operation:
    return Operation(9, call, None, request, None, Outcome.UNKNOWN)


def judged(*history: Operation) -> Verdict:
    """The verdict, with which the search alone agrees."""
    verdict = check(history, MODEL)
    assert check(history, MODEL, by_revision=False).validity is verdict.validity
    return verdict


def refusal(*history: Operation) -> tuple[str, tuple[Operation, ...]]:
    verdict = judged(*history)
    assert verdict.validity is Validity.INVALID
    return verdict.reason, verdict.refused


def test_two_operations_with_one_revision_are_refused() -> None:
    first, second = put(0, 2, "a"), put(10, 2, "b")
    assert refusal(first, second) == ("two operations made revision 2", (first, second))


def test_a_revision_that_nobody_can_have_made_is_refused() -> None:
    seen = get(10, 4, "a", 2, 2, 1)
    reason, refused = refusal(put(0, 2, "a"), unanswered(0, "put", "k", "x"), seen)
    assert reason == (
        "2 revisions up to 4 were made by no answered operation, and there are only 1 without an answer"
    )
    assert refused == (seen,)


def test_a_revision_below_the_first_one_is_refused() -> None:
    assert refusal(get(0, 0)) == ("the store begins at revision 1", (get(0, 0),))
    assert refusal(put(0, 1, "a")) == ("the store begins at revision 1", (put(0, 1, "a"),))


def test_revisions_against_real_time_are_refused() -> None:
    later, earlier = put(10, 2, "a"), put(0, 3, "b")
    reason, refused = refusal(later, earlier)
    assert "their revisions (3, 2) put the second before" in reason
    assert refused == (earlier, later)


def test_a_read_that_misses_a_completed_write_is_refused() -> None:
    write, stale = put(0, 2, "a"), get(10, 1)
    assert refusal(write, stale)[1] == (write, stale)


@pytest.mark.parametrize("kv", [("b", 2, 3, 2), ("a", 2, 2, 1), ("b", 3, 3, 1), ("b", 2, 3, 1), ()])
def test_an_answer_must_be_what_the_store_gives_in_every_field(kv: tuple[Any, ...]) -> None:
    history = [put(0, 2, "a"), put(10, 3, "b"), get(20, 3, *kv)]
    valid = kv == ("b", 2, 3, 2)
    assert judged(*history).validity is (Validity.VALID if valid else Validity.INVALID)


def test_a_gap_is_filled_by_what_a_later_answer_shows() -> None:
    lost = [unanswered(0, "put", "k", value) for value in "abc"]
    assert judged(*lost, get(10, 3, "b", 2, 3, 2)).validity is Validity.VALID
    assert judged(*lost, get(10, 3, "d", 2, 3, 2)).validity is Validity.INVALID


def test_an_unanswered_operation_fills_one_gap_only() -> None:
    history = [unanswered(0, "put", "k", "a"), unanswered(0, "delete", "k"), get(10, 2, "a", 2, 2, 1)]
    assert judged(*history, get(20, 3)).validity is Validity.VALID
    assert judged(*history, get(20, 3), get(30, 4, "a", 4, 4, 1)).validity is Validity.INVALID


def test_one_put_does_not_fill_two_gaps_though_each_on_its_own_would_do() -> None:
    """The delete of a key that is never there makes no revision, so the put would have to make both."""
    lost = [unanswered(0, "put", "k", "a"), unanswered(0, "delete", "never")]
    seen = [put(10, 4, "c"), get(20, 4, "c", 2, 4, 3)]
    assert judged(*lost, *seen).validity is Validity.INVALID
    assert judged(*lost, unanswered(0, "put", "k", "b"), *seen).validity is Validity.VALID


def test_of_two_equal_puts_one_may_fill_a_gap_that_nobody_saw() -> None:
    lost = [unanswered(0, "put", "k", "a"), unanswered(0, "put", "k", "a")]
    assert judged(*lost, get(10, 3, "a", 2, 3, 2)).validity is Validity.VALID
    assert judged(*lost, get(10, 3, "a", 3, 3, 1)).validity is Validity.INVALID


def test_what_a_txn_saw_before_it_wrote_must_be_right() -> None:
    def txn(kv: Kv) -> Operation:
        request = ("txn", (), (("get", "k"), ("put", "k", "b")), ())
        return Operation(1, 10, 11, request, (3, (True, (kv, None))))

    assert judged(put(0, 2, "a"), txn(Kv("a", 2, 2, 1))).validity is Validity.VALID
    assert judged(put(0, 2, "a"), txn(Kv("z", 2, 2, 1))).validity is Validity.INVALID


def test_an_operation_called_too_late_fills_no_gap() -> None:
    assert judged(get(0, 2, "a", 2, 2, 1), unanswered(5, "put", "k", "a")).validity is Validity.INVALID
    assert judged(get(0, 2, "a", 2, 2, 1), unanswered(1, "put", "k", "a")).validity is Validity.VALID


def test_a_wrong_choice_for_a_gap_is_taken_back() -> None:
    """Revisions 2 and 3 are made by both, but only if the txn, called second, comes first."""
    create = unanswered(2, "txn", (("k", 0),), (("put", "k", "new"),), ())
    assert judged(unanswered(0, "put", "k", "x"), create, put(3, 4, "a")).validity is Validity.VALID


def test_when_no_choice_for_the_gaps_is_right_the_history_is_refused() -> None:
    """Both can make revision 2, and the other one then makes none."""
    create = [unanswered(one, "txn", (("k", 0),), (("put", "k", one),), ()) for one in range(2)]
    assert refusal(*create, put(3, 4, "a"))[1] == (put(3, 4, "a"),)


def test_a_txn_that_fills_a_gap_does_what_its_compare_says() -> None:
    txn = unanswered(0, "txn", (("k", 0),), (("put", "k", "new"),), (("put", "l", "other"),))
    assert judged(txn, get(10, 2, "new", 2, 2, 1)).validity is Validity.VALID
    assert judged(put(0, 2, "a"), txn, get(10, 3, "other", 3, 3, 1, key="l")).validity is Validity.VALID
    assert judged(put(-9, 2, "a"), txn, get(10, 3, "new", 3, 3, 1)).validity is Validity.INVALID


def test_a_gap_may_be_seen_by_its_revision_alone() -> None:
    lost = [unanswered(0, "put", "k", "a"), unanswered(0, "put", "l", "b")]
    assert judged(*lost, get(10, 3, key="other")).validity is Validity.VALID
    assert judged(*lost, get(10, 3), get(10, 3, key="l")).validity is Validity.INVALID


def test_a_history_with_an_answer_that_has_no_revision_is_searched() -> None:
    blind = Operation(0, 10, 11, ("get", "k"), (None, Kv("a", 2, 2, 1)))
    assert judged(put(0, 2, "a"), blind).validity is Validity.VALID
    assert judged(put(20, 2, "a"), blind).validity is Validity.INVALID


def test_a_huge_revision_costs_nothing() -> None:
    assert check([get(0, 10**15)], MODEL).validity is Validity.INVALID


def test_without_steps_the_verdict_is_unknown() -> None:
    verdict = check([put(0, 2, "a"), put(10, 3, "b"), put(20, 4, "c")], MODEL, max_steps=1)
    assert verdict.validity is Validity.UNKNOWN
    assert verdict.reason


def test_the_order_that_was_found_comes_with_the_refusal() -> None:
    lost, first = unanswered(0, "put", "k", "x"), put(10, 3, "a")
    seen, wrong = get(20, 3, "a", 2, 3, 2), get(30, 3, "b", 2, 3, 2)
    verdict = judged(lost, first, seen, wrong)
    assert verdict.placed[-2:] == (first, seen)
    assert verdict.refused == (wrong,)
