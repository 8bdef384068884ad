"""A difference that is not listed fails; what is listed does not hide more than it says."""

import pytest

from tests.differential import normalise
from tests.differential.report import differences
from tests.differential.steps import Call, case
from tests.differential.systems import Seen

CALL = Call("/v3/kv/put")
SEEN = Seen(200, ("Content-Type: application/json",), '{"header":{"revision":"r+1"}}')


@pytest.mark.parametrize(
    "other",
    [
        SEEN._replace(status=400),
        SEEN._replace(headers=()),
        SEEN._replace(headers=(*SEEN.headers, "X: 1")),
        SEEN._replace(body='{"header":{"revision":"r+2"}}'),
        SEEN._replace(body='{"header": {"revision":"r+1"}}'),
        None,
    ],
)
def test_any_difference_is_told(other: Seen | None) -> None:
    one = case("4.1.start", CALL, CALL)
    assert differences(one, [SEEN, SEEN], [SEEN, SEEN]) == ""
    assert "step 1" in differences(one, [SEEN, SEEN], [SEEN, other])


def test_a_difference_that_is_documented_is_the_one_that_was_written_down() -> None:
    one = case("4.1.start", CALL, differs="why", ours=((0, "400 x"),))
    assert differences(one, [SEEN], [Seen(400, (), "x")]) == ""
    assert differences(one, [SEEN], [Seen(400, (), "y")])
    assert differences(one, [SEEN], [SEEN])
    assert "no longer differs" in differences(one, [Seen(400, (), "x")], [Seen(400, (), "x")])


def test_revisions_are_told_from_where_the_case_began() -> None:
    text = '{"revision":"12","create_revision":"11","compact_revision":"-1","version":"12","x":12}'
    assert normalise.body(text, 11, {}) == (
        '{"revision":"r+1","create_revision":"r+0","compact_revision":"-1","version":"12","x":12}'
    )
    assert normalise.body(text, 0, {}) == text


def test_a_saved_id_is_told_by_its_name_wherever_it_stands_alone() -> None:
    saved = {"lease": "71"}
    assert normalise.body('{"ID":"71","TTL":"710","lease":"71"}', 5, saved) == (
        '{"ID":"<lease>","TTL":"710","lease":"<lease>"}'
    )


def test_only_the_length_of_a_short_body_is_told() -> None:
    assert normalise.headers([("Content-Length", "3"), ("Date", "x"), ("B", "1")], 3) == (
        "B: 1",
        "Content-Length: of the body",
    )
    assert normalise.headers([("Content-Length", "4")], 3) == ("Content-Length: 4",)
    assert normalise.headers([("Transfer-Encoding", "chunked")], 3) == ("Transfer-Encoding: chunked",)
    assert normalise.headers([("Transfer-Encoding", "chunked")], 3000) == ()
    assert normalise.headers([("Content-Length", "3000")], 3000) == ()
