"""What stops a real etcd is refused by raftkv."""

import json

import pytest

from tests.differential.calls import call, put
from tests.differential.cases import crashes
from tests.differential.steps import Call
from tests.differential.systems import Pair

pytestmark = pytest.mark.e2e

INPUTS = [(line, request, text) for line, found in crashes.CASES.items() for request, text in found]


@pytest.mark.parametrize(("line", "request_", "text"), INPUTS)
def test_it_is_refused_and_the_member_goes_on(shared: Pair, line: str, request_: Call, text: str) -> None:
    raftkv = shared.raftkv
    status, _, body = raftkv.ask(request_)
    assert (line, status, json.loads(body)) == (line, 400, {"error": text, "code": 3, "message": text})
    assert raftkv.ask(put("a"))[0] == 200
    assert json.loads(raftkv.ask(call("maintenance/alarm"))[2]).keys() == {"header"}
