"""The judge of the killing runs finds each kind of wrong, and nothing where nothing is."""

from collections.abc import Callable

import pytest

from tests.e2e.traffic import Attempt
from tests.e2e.verdict import Content, Pair, differences, shown, wrong

PUT = Attempt(0, "put", "u/0/1", "u/0/1:x", "acknowledged", 2, 0, 1.0, 2.0)
LOST_ANSWER = Attempt(0, "put", "u/0/2", "u/0/2:", "unknown", 0, 0, 3.0, 4.0)
NOT_SENT = Attempt(0, "put", "u/0/3", "u/0/3:", "refused", 0, 0, 5.0, 5.1)
RAISE = Attempt(1, "raise", "c/1/1", "r/0:1", "acknowledged", 4, 1, 6.0, 7.0)
TOO_LATE = Attempt(1, "raise", "c/1/2", "r/0:1", "acknowledged", 4, 0, 8.0, 9.0)
LATER_PUT = Attempt(2, "put", "u/2/1", "u/2/1:y", "acknowledged", 5, 0, 8.0, 8.5)
DELETE = Attempt(2, "delete", "u/2/1", "", "acknowledged", 6, 0, 9.0, 9.5)
READ = Attempt(0, "read", "u/0/1", "", "acknowledged", 6, 0, 10.0, 11.0)
ATTEMPTS = [PUT, LOST_ANSWER, NOT_SENT, RAISE, TOO_LATE, LATER_PUT, DELETE, READ]
CONTENT: Content = {
    "u/0/1": Pair("u/0/1:x", 1, 2, 2),
    "u/0/2": Pair("u/0/2:", 1, 3, 3),
    "r/0": Pair("1", 1, 4, 4),
    "c/1/1": Pair("r/0:1", 1, 4, 4),
}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert wrong(ATTEMPTS, CONTENT, 6) == []
    assert wrong(ATTEMPTS, without(CONTENT, "u/0/2"), 6) == []


def without(content: Content, key: str) -> Content:
    return {name: pair for name, pair in content.items() if name != key}


def drop(key: str) -> Callable[[Content], Content]:
    return lambda content: without(content, key)


def put(key: str, pair: Pair) -> Callable[[Content], Content]:
    return lambda content: {**content, key: pair}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (drop("u/0/1"), "lost: u/0/1"),
        (drop("c/1/1"), "lost: c/1/1"),
        (drop("r/0"), "r/0 stands at 0"),
        (put("u/0/1", Pair("u/0/1:x", 2, 2, 2)), "doubled: u/0/1"),
        (put("u/0/2", Pair("u/0/2:", 1, 3, 7)), "doubled: u/0/2"),
        (put("u/0/1", Pair("u/0/1:x", 1, 7, 7)), "moved: u/0/1"),
        (put("u/0/1", Pair("other", 1, 2, 2)), "changed: u/0/1"),
        (put("u/0/3", Pair("u/0/3:", 1, 7, 7)), "from nowhere: u/0/3"),
        (put("u/9/9", Pair("", 1, 7, 7)), "from nowhere: u/9/9"),
        (put("u/2/1", Pair("u/2/1:y", 1, 5, 5)), "back again: u/2/1"),
        (put("c/1/2", Pair("r/0:1", 1, 7, 7)), "from nowhere: c/1/2"),
        (put("r/0", Pair("2", 2, 4, 7)), "r/0 stands at 2"),
        (put("u/0/2", Pair("u/0/2:", 1, 2, 2)), "share revision 2"),
    ],
)
def test_each_kind_of_wrong_content_is_found(change: Callable[[Content], Content], text: str) -> None:
    assert text in shown(wrong(ATTEMPTS, change(CONTENT), 6))


def test_a_revision_that_went_back_is_found() -> None:
    assert "back: read u/0/1 at 5 after 6" in shown(
        wrong([*ATTEMPTS[:-1], READ._replace(revision=5)], CONTENT, 6)
    )
    assert "are at 5" in shown(wrong(ATTEMPTS, CONTENT, 5))


def test_two_writes_at_one_revision_are_found_by_their_order() -> None:
    later = PUT._replace(key="u/0/9", value="u/0/9:", started=12.0, ended=13.0, revision=6)
    content = {**CONTENT, "u/0/9": Pair("u/0/9:", 1, 6, 6)}
    assert "back: put u/0/9" in shown(wrong([*ATTEMPTS, later], content, 6))


def test_a_member_that_differs_is_found() -> None:
    same = {"n1": (6, CONTENT), "n2": (6, dict(CONTENT))}
    assert differences(same) == []
    assert "n3 is at revision 5" in shown(differences({**same, "n3": (5, CONTENT)}))
    changed = {**CONTENT, "u/0/1": Pair("u/0/1:x", 1, 2, 3)}
    assert "u/0/1: n1 has" in shown(differences({**same, "n3": (6, changed)}))
    assert "u/0/1: n1 has" in shown(differences({**same, "n3": (6, without(CONTENT, "u/0/1"))}))
