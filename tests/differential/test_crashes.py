"""What stops a real etcd is refused by raftkv."""

import json

import pytest

from tests.differential.calls import call, put
from tests.differential.cases import crashes
from tests.differential.cases.members import LIST, STATUS
from tests.differential.steps import Call
from tests.differential.systems import Pair, Run

pytestmark = pytest.mark.e2e

INPUTS = [
    pytest.param(request, text, id=f"{line}-{number}")
    for line, found in crashes.CASES.items()
    for number, (request, text) in enumerate(found)
]


@pytest.mark.parametrize(("request_", "text"), INPUTS)
def test_it_is_refused_and_the_member_goes_on(shared: Pair, request_: Call, text: str) -> None:
    run = Run(shared.raftkv, fresh=False)
    assert run.take(STATUS)
    members = run.take(LIST)
    answer = run.take(request_)
    assert answer is not None
    assert (answer.status, json.loads(answer.body)) == (400, {"error": text, "code": 3, "message": text})
    assert run.take(put("a")).status == 200  # type: ignore[union-attr]
    assert "alarms" not in run.take(call("maintenance/alarm")).body  # type: ignore[union-attr]
    assert run.take(LIST) == members
