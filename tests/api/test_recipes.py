"""Locks and elections over HTTP: every error is code 2, and who hangs up waits no more."""

import asyncio
import json
from base64 import b64encode

import pytest

from raftkv.errors import RequestTimedOut
from raftkv.schema.lease import LeaseGrantRequest
from tests.api.http import call, encode
from tests.api.socket import TEXT, Socket
from tests.service.fake_node import FakeNode


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


async def post(port: int, path: str, body: object) -> tuple[int, dict[str, object]]:
    reply = await call(port, path, json.dumps(body).encode())
    return int(reply.status.split()[1]), json.loads(reply.body)


async def test_a_lock_is_taken_and_given_up(port: int, node: FakeNode) -> None:
    await node.propose(LeaseGrantRequest(60, 777))
    status, held = await post(port, "/v3/lock/lock", {"name": b64("L2"), "lease": "777"})
    assert (status, held["key"]) == (200, b64("L2/309"))
    status, freed = await post(port, "/v3/lock/unlock", {"key": held["key"]})
    assert status == 200 and list(freed) == ["header"]
    assert node.machine.store.live_keys == 0


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/v3/lock/lock", {"name": "TA==", "lease": "9"}, "etcdserver: requested lease not found"),
        ("/v3/lock/unlock", {}, "etcdserver: key is not provided"),
        ("/v3/election/leader", {"name": "TA=="}, "election: no leader"),
        ("/v3/election/proclaim", {}, '"leader" field must be provided'),
        ("/v3/election/resign", {}, '"leader" field must be provided'),
        ("/v3/election/campaign", {"lease": "9"}, "etcdserver: requested lease not found"),
    ],
)
async def test_errors_are_unknown_with_their_text(port: int, path: str, body: object, text: str) -> None:
    status, error = await post(port, path, body)
    assert (status, error) == (500, {"error": text, "code": 2, "message": text})


async def test_a_failing_stream_of_leaders_says_so_in_a_stream_s_way(port: int, node: FakeNode) -> None:
    node.fail_barrier = RequestTimedOut()
    status, body = await post(port, "/v3/election/observe", {"name": "TA=="})
    assert status == 500
    assert body["error"] == {
        "grpc_code": 2,
        "http_code": 500,
        "message": "etcdserver: request timed out",
        "http_status": "Internal Server Error",
    }


async def test_who_hangs_up_while_it_waits_gives_its_place_up(port: int, node: FakeNode) -> None:
    for lease in (1, 2):
        await node.propose(LeaseGrantRequest(60, lease))
    await post(port, "/v3/lock/lock", {"name": b64("L"), "lease": "1"})
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode("/v3/lock/lock", json.dumps({"name": b64("L"), "lease": "2"}).encode()))
    async with asyncio.timeout(20):
        while node.machine.store.live_keys < 2:
            await asyncio.sleep(0.001)
        writer.close()
        while node.machine.store.live_keys > 1:
            await asyncio.sleep(0.001)
    assert node.machine.store.table.live(b"L/1") is not None


async def test_the_leader_is_observed_line_by_line(port: int, node: FakeNode) -> None:
    await node.propose(LeaseGrantRequest(60, 1))
    await post(port, "/v3/election/campaign", {"name": b64("E"), "lease": "1", "value": b64("one")})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode("/v3/election/observe", json.dumps({"name": b64("E")}).encode()))
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head and b"chunked" in head.lower()
        await reader.readline()
        line = json.loads(await reader.readline())
    writer.close()
    assert line["result"]["kv"]["key"] == b64("E/1")
    assert line["result"]["kv"]["value"] == b64("one")


async def test_the_leader_is_observed_over_a_websocket(port: int, node: FakeNode) -> None:
    await node.propose(LeaseGrantRequest(60, 1))
    socket = await Socket.open(port, "/v3/election/observe")
    assert "101 Switching Protocols" in socket.head
    socket.send(json.dumps({"name": b64("E")}).encode(), TEXT)
    await post(port, "/v3/election/campaign", {"name": b64("E"), "lease": "1", "value": b64("one")})
    assert json.loads(await socket.text())["result"]["kv"]["value"] == b64("one")
    await post(port, "/v3/election/campaign", {"name": b64("E"), "lease": "1", "value": b64("two")})
    assert json.loads(await socket.text())["result"]["kv"]["value"] == b64("two")
    socket.abort()
    async with asyncio.timeout(20):
        while len(node.streams):
            await asyncio.sleep(0.001)
    assert node.watches._live == 0


async def test_leases_are_kept_alive_over_a_websocket(port: int, node: FakeNode) -> None:
    await node.propose(LeaseGrantRequest(60, 1))
    socket = await Socket.open(port, "/v3/lease/keepalive")
    for lease, seconds in ((1, "60"), (2, None), (1, "60")):
        socket.send(json.dumps({"ID": lease}).encode(), TEXT)
        answer = json.loads(await socket.text())["result"]
        assert (answer["ID"], answer.get("TTL")) == (str(lease), seconds)
    socket.abort()


async def test_a_failing_stream_of_leaders_says_so_over_a_websocket(port: int, node: FakeNode) -> None:
    node.fail_barrier = RequestTimedOut()
    socket = await Socket.open(port, "/v3/election/observe")
    socket.send(json.dumps({"name": b64("E")}).encode(), TEXT)
    assert json.loads(await socket.text())["error"]["message"] == "etcdserver: request timed out"
    socket.abort()
