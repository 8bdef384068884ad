"""``/health``, ``/livez`` and ``/readyz``: what counts for which, and ``/debug/vars``."""

import json
import sys

import pytest

from raftkv import errors
from raftkv.raft import NO_NODE
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType
from tests.api.http import CORS, Reply, call
from tests.service.fake_node import MEMBER, FakeNode

OK, UNAVAILABLE = "HTTP/1.1 200 OK", "HTTP/1.1 503 Service Unavailable"
ALL_READY = (
    b"[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"
)


async def get(port: int, path: str) -> tuple[str, bytes]:
    reply: Reply = await call(port, path, method="GET")
    return reply.status, reply.body


async def raise_alarm(node: FakeNode, alarm: AlarmType) -> None:
    await node.propose(AlarmRequest(AlarmAction.ACTIVATE, MEMBER, alarm))


# ---------------------------------------------------------------- health


@pytest.mark.parametrize("alarm", [AlarmType.NOSPACE, AlarmType.CORRUPT])
async def test_an_alarm_makes_a_member_unwell_unless_it_is_left_out(
    port: int, node: FakeNode, alarm: AlarmType
) -> None:
    await raise_alarm(node, alarm)
    wrong = b'{"health":"false","reason":"ALARM %s"}\n' % alarm.name.encode()
    for query in ("", "?exclude=", "?exclude=OTHER", "?serializable=true"):
        assert await get(port, f"/health{query}") == (UNAVAILABLE, wrong)
    for query in (f"?exclude=OTHER&exclude={alarm.name}", f"?exclude={alarm.name}&serializable=true"):
        assert await get(port, f"/health{query}") == (OK, b'{"health":"true","reason":""}')


async def test_a_serializable_look_needs_neither_leader_nor_quorum(port: int, node: FakeNode) -> None:
    node.leader, node.fail_barrier = NO_NODE, errors.RequestTimedOut()
    assert await get(port, "/health?serializable=true") == (OK, b'{"health":"true","reason":""}')
    for query in ("?serializable=false", "?serializable=1", "?serializable"):
        assert (await get(port, f"/health{query}"))[0] == UNAVAILABLE


# ---------------------------------------------------------------- livez, readyz


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/livez/serializable_read", "/readyz/non_learner"])
async def test_who_is_well_says_ok(port: int, path: str) -> None:
    assert await call(port, path, method="GET") == (
        OK,
        {
            *CORS,
            "Content-Type: text/plain; charset=utf-8",
            "X-Content-Type-Options: nosniff",
            "Content-Length: 3",
            "Connection: close",
        },
        b"ok\n",
    )


async def test_each_check_is_named_on_demand(port: int) -> None:
    assert await get(port, "/livez?verbose") == (OK, b"[+]serializable_read ok\nok\n")
    assert await get(port, "/readyz?verbose=") == (OK, ALL_READY)
    assert await get(port, "/readyz/non_learner?verbose=1") == (OK, b"[+]non_learner ok\nok\n")


async def test_a_member_without_quorum_lives_but_is_not_ready(port: int, node: FakeNode) -> None:
    node.leader, node.fail_barrier = NO_NODE, errors.RequestTimedOut()
    assert await get(port, "/livez") == (OK, b"ok\n")
    failed = b"[-]linearizable_read failed: etcdserver: request timed out\n"
    assert await get(port, "/readyz") == (
        UNAVAILABLE,
        ALL_READY.replace(b"[+]linearizable_read ok\n", failed)[:-3] + b"\n",
    )
    assert await get(port, "/readyz/linearizable_read") == (UNAVAILABLE, failed + b"\n")
    assert await get(port, "/readyz/linearizable_read?exclude=linearizable_read") == (
        UNAVAILABLE,
        failed + b"\n",
    )
    assert await get(port, "/readyz?exclude=linearizable_read") == (OK, b"ok\n")


async def test_only_corruption_is_an_alarm_that_makes_a_member_not_ready(port: int, node: FakeNode) -> None:
    await raise_alarm(node, AlarmType.NOSPACE)
    assert await get(port, "/readyz") == (OK, b"ok\n")
    await raise_alarm(node, AlarmType.CORRUPT)
    wrong = b"[-]data_corruption failed: alarm activated: CORRUPT\n"
    assert await get(port, "/readyz/data_corruption") == (UNAVAILABLE, wrong + b"\n")
    assert (await get(port, "/readyz"))[0] == UNAVAILABLE
    assert (await get(port, "/livez"))[0] == OK


async def test_a_learner_is_not_ready(port: int, node: FakeNode) -> None:
    node.learners = (MEMBER,)
    wrong = b"[-]non_learner failed: not supported for learner\n\n"
    assert await get(port, "/readyz/non_learner") == (UNAVAILABLE, wrong)
    assert await get(port, "/readyz?exclude=non_learner&exclude=nonsense") == (OK, b"ok\n")


@pytest.mark.parametrize("path", ["/livez/", "/livez/linearizable_read", "/readyz/nonsense", "/readyz/"])
async def test_a_check_that_is_not_made_is_no_page(port: int, path: str) -> None:
    assert (await get(port, path))[1] == b"404 page not found\n"


# ---------------------------------------------------------------- debug/vars


async def test_the_variables_show_the_state_of_raft_as_etcd_does(port: int, node: FakeNode) -> None:
    variables = json.loads((await get(port, "/debug/vars"))[1])
    assert variables["cmdline"] == sys.argv
    assert variables["file_descriptor_limit"] > 0
    assert variables["raft.status"] == {
        "id": f"{MEMBER:x}",
        "term": 2,
        "vote": f"{MEMBER:x}",
        "commit": 1,
        "lead": f"{MEMBER:x}",
        "raftState": "StateLeader",
        "applied": 1,
        "progress": {},
        "leadtransferee": "0",
    }
