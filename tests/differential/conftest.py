"""The pair that most cases share, and the sum of what was the same."""

from collections.abc import Iterator

import pytest

from tests.differential.report import TALLY
from tests.differential.systems import Pair, pair


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A member of a real etcd and one of raftkv that are asked the same."""
    with pair(tmp_path_factory.mktemp("differential") / "shared") as both:
        yield both


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY.cases:
        terminalreporter.write_line(
            f"against etcd 3.5.1: same {TALLY.same} of {TALLY.cases}, "
            f"of these {TALLY.known} apart from a difference that is documented"
        )
