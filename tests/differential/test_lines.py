"""The list of what is to be the same is complete and true."""

from tests.differential import lines

LEAST_SHARE = 0.9


def test_a_case_names_lines_that_are_listed() -> None:
    assert lines.proved() - set(lines.listed()) == set()


def test_each_line_has_a_case_or_a_reason_why_not() -> None:
    proved, excused = lines.proved(), lines.excused()
    assert set(lines.listed()) - proved == set(excused)
    assert all(excused.values())


def test_nearly_all_lines_have_a_case() -> None:
    listed = lines.listed()
    assert len(lines.proved()) >= LEAST_SHARE * len(listed)
