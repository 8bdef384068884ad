"""Pages whose content is each system's own: that they are there, and of the same type."""

import json

import pytest

from tests.differential import normalise
from tests.differential.calls import get
from tests.differential.report import TALLY
from tests.differential.systems import Pair, System

pytestmark = pytest.mark.e2e

LINES = "2.6.vars"


def head(system: System, path: str) -> tuple[int, tuple[str, ...]]:
    """The status and the headers but for those of the length."""
    status, headers, body = system.ask(get(path))
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in ("content-length", "transfer-encoding")
    ]
    return status, normalise.headers(kept, len(body))


def test_debug_vars_is_json_with_the_command_line(shared: Pair) -> None:
    TALLY.cases += 1
    assert head(shared.raftkv, "/debug/vars") == head(shared.etcd, "/debug/vars")
    for system in shared:
        assert "--name" in json.loads(system.ask(get("/debug/vars"))[2])["cmdline"]
    TALLY.same += 1
