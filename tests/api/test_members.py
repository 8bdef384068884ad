"""Changes of the members over HTTP: routes, bodies, and errors byte for byte as etcd 3.5.1 has them."""

import json
from typing import Any

import pytest

from raftkv import errors
from raftkv.api.status import status_of
from tests.api.http import call
from tests.service.fake_node import CLUSTER, MEMBER, FakeNode

URL = "http://127.0.0.1:22380"
HEADER = {"cluster_id": str(CLUSTER), "member_id": str(MEMBER), "raft_term": "2"}


async def ask(port: int, verb: str, body: dict[str, Any]) -> tuple[str, Any]:
    reply = await call(port, f"/v3/cluster/member/{verb}", json.dumps(body).encode())
    return reply.status, json.loads(reply.body)


async def test_a_learner_is_added_promoted_moved_and_removed(node: FakeNode, port: int) -> None:
    await node.publish()
    status, added = await ask(port, "add", {"peerURLs": [URL], "isLearner": True})
    new = {"ID": added["member"]["ID"], "peerURLs": [URL], "isLearner": True}
    assert status == "HTTP/1.1 200 OK"
    assert added["header"] == HEADER
    assert added["member"] == new
    assert new in added["members"]
    assert len(added["members"]) == 2
    for verb, body, expected in (
        ("promote", {}, {"ID": new["ID"], "peerURLs": [URL]}),
        ("update", {"peerURLs": ["http://h:1"]}, {"ID": new["ID"], "peerURLs": ["http://h:1"]}),
        ("remove", {}, None),
    ):
        status, answer = await ask(port, verb, {"ID": new["ID"], **body})
        assert (status, answer["header"]) == ("HTTP/1.1 200 OK", HEADER)
        found = [member for member in answer["members"] if member["ID"] == new["ID"]]
        assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("error", "code", "http", "text"),
    [
        (errors.MemberBadURLs, 3, 400, "given member URLs are invalid"),
        (errors.PeerURLExist, 9, 400, "Peer URLs already exists"),
        (errors.MemberExist, 9, 400, "member ID already exist"),
        (errors.MemberNotFound, 5, 404, "member not found"),
        (errors.MemberNotLearner, 9, 400, "can only promote a learner member"),
        (
            errors.LearnerNotReady,
            9,
            400,
            "can only promote a learner member which is in sync with leader",
        ),
        (errors.TooManyLearners, 9, 400, "too many learner members in cluster"),
        (
            errors.MemberNotEnoughStarted,
            2,
            500,
            "re-configuration failed due to not enough started members",
        ),
        (errors.UnhealthyCluster, 14, 503, "unhealthy cluster"),
        (errors.NotSupportedForLearner, 14, 503, "rpc not supported for learner"),
    ],
)
def test_errors_are_etcds(error: type[errors.RaftKvError], code: int, http: int, text: str) -> None:
    assert status_of(error("what only we know")) == (code, http, f"etcdserver: {text}")


async def test_a_learner_refuses_calls_and_streams_alike(node: FakeNode, port: int) -> None:
    node.learners = (MEMBER,)
    text = "etcdserver: rpc not supported for learner"
    reply = await call(port, "/v3/kv/range", b'{"key":"YQ=="}', headers="Grpc-Metadata-hasleader: true\r\n")
    assert reply.status == "HTTP/1.1 503 Service Unavailable"
    assert json.loads(reply.body) == {"error": text, "code": 14, "message": text}
    reply = await call(port, "/v3/kv/range", b'{"key":"YQ==","serializable":true}')
    assert reply.status == "HTTP/1.1 200 OK"
    reply = await call(port, "/v3/maintenance/status", b"{}")
    assert json.loads(reply.body)["isLearner"] is True
    reply = await call(port, "/v3/maintenance/snapshot", b"{}")
    assert reply.status == "HTTP/1.1 200 OK"
