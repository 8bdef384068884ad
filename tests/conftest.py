"""Rules of the whole run: how long its campaigns are, and that no test is skipped unnoticed."""

import os
from collections import Counter

import pytest

# Test id -> why it may be skipped. Anything else that skips fails the run when CI=true, so that a test
# can't vanish unnoticed.
ALLOWED_SKIPS: dict[str, str] = dict.fromkeys(
    (
        "tests/e2e/test_upgrade.py::test_members_are_replaced_one_by_one_and_old_ones_get_nothing_new",
        "tests/e2e/test_upgrade.py::test_an_old_version_stops_at_what_it_does_not_know",
    ),
    "they start the first version from the repository's history, which a shallow checkout lacks",
)

_skipped: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="twenty times and more random schedules and seeds")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether campaigns are long: ``--long``."""
    return bool(request.config.getoption("--long"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped[report.nodeid] += 1


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped[report.nodeid] += 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get("CI") == "true" and exitstatus == 0 and unlisted_skips():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    unlisted = unlisted_skips()
    terminalreporter.write_line(f"skipped: {sum(_skipped.values())}, of these not listed: {len(unlisted)}")
    for test in unlisted:
        terminalreporter.write_line(f"  not listed in tests/conftest.py: {test}")


def unlisted_skips() -> list[str]:
    """Return the tests that were skipped without being allowed to."""
    return sorted(set(_skipped) - set(ALLOWED_SKIPS))
