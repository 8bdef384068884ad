"""raftkv's own pages, of a real node: what they show, how much at once, and that they can be turned off."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from raftkv import api
from raftkv.api import own_pages, trace_page
from raftkv.api.own_json import bytes_json, entry_json, message_json
from raftkv.listeners import Listeners
from raftkv.mvcc.commands import RequestId
from raftkv.mvcc.membership import ChangeOf, MemberChange, encode_change
from raftkv.node.node import Node
from raftkv.raft import Configuration, Entry, EntryKind
from raftkv.raft.membership import encode_configuration
from raftkv.schema.kv import Compare, PutRequest, RequestOp, TxnRequest
from raftkv.storage.snapshot_format import SnapshotDecoder
from raftkv.trace import LeaderChanged, PeerUp, RoleChanged, discard
from tests.api.http import call, encode
from tests.node.loopback import LoopbackCluster, info

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


@asynccontextmanager
async def serving(node: Node, events: Listeners | None = None) -> AsyncIterator[int]:
    clients = api.build(node, lambda: 1e9, events or Listeners(discard, lambda: NOW))
    await clients.start(["http://127.0.0.1:0"])
    try:
        yield clients.addresses[0][1]
    finally:
        await clients.stop()


@asynccontextmanager
async def one_member(path: Path, **settings: Any) -> AsyncIterator[tuple[Node, int]]:
    async with LoopbackCluster(path, size=1, **settings) as cluster:
        node = cluster.node(1)
        await node.read_barrier()
        while not node.machine.membership.members()[0].name:
            await asyncio.sleep(0.001)
        async with serving(node) as port:
            yield node, port


async def ask(port: int, path: str, status: int = 200) -> Any:
    reply = await call(port, f"/raftkv/v1/{path}", method="GET")
    assert reply.status.split()[1] == str(status)
    assert "Content-Type: application/json" in reply.headers
    return json.loads(reply.body)


# ---------------------------------------------------------------- status


async def test_the_status_of_a_leader_has_all_it_knows_of_the_others(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        await cluster.node(leader).propose(PutRequest(b"k", b"v"))
        await cluster.converged()
        term, last = cluster.node(leader).status().term, cluster.node(leader).status().log.last_index
        for member in cluster.ids:
            async with serving(cluster.node(member)) as port:
                status = await ask(port, "status")
            assert (status["member_id"], status["leader"], status["term"]) == (f"{member}", f"{leader}", term)
            assert status["role"] == ("leader" if member == leader else "follower")
            assert status["durable"] == {"term": term, "vote": status["vote"], "index": last}
            places = ("applied_index", "commit_index", "durable_index", "last_index")
            assert {status[place] for place in places} == {last}
            assert status["configuration"] == {
                "index": 1,
                "voters": ["1", "2", "3"],
                "learners": [],
                "removed": [],
            }
            assert [one["name"] for one in status["members"]] == ["n1", "n2", "n3"]
            assert (status["store"]["revision"], status["store"]["keys"]) == (2, 1)
            others = {} if member != leader else {f"{m}" for m in cluster.ids} - {f"{leader}"}
            assert set(status["peers"]) == set(others)
            for peer in status["peers"].values():
                assert (peer["match_index"], peer["state"]) == (last, "replicate")


# ---------------------------------------------------------------- the log


async def test_the_newest_entries_are_shown_with_what_became_of_them(tmp_path: Path) -> None:
    async with one_member(tmp_path) as (node, port):
        await node.propose(PutRequest(b"greeting", b"hello"))
        log = await ask(port, "log")
        assert [entry["index"] for entry in log["entries"]] == list(range(1, log["last_index"] + 1))
        assert (log["first_index"], log["snapshot_index"], log["next"]) == (1, 0, 0)
        newest = log["entries"][-1]
        assert newest["request_id"].pop("sequence") > 0
        assert newest == {
            "index": log["last_index"],
            "term": node.status().term,
            "bytes": newest["bytes"],
            "kind": "command",
            "request_id": {"member": "1", "boot": 1},
            "command": "PutRequest",
            "request": {"key": "greeting", "value": "hello"},
            "durable": True,
            "committed": True,
            "applied": True,
        }
        assert {entry["kind"] for entry in log["entries"]} == {"configuration", "no-op", "command"}
        first = log["entries"][0]
        assert first["configuration"] == {"voters": ["1"], "learners": [], "removed": []}
        assert first["members"][0]["peer_urls"] == ["http://n1:1"]


async def test_an_entry_that_nobody_else_has_is_not_committed(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        node = cluster.node(leader)
        await cluster.converged()
        cluster.network.isolate(leader)
        put = asyncio.create_task(node.propose(PutRequest(b"k")))
        async with serving(node) as port:
            log: dict[str, Any] = {"durable_index": 0, "last_index": -1, "commit_index": -1}
            while not log["durable_index"] == log["last_index"] > log["commit_index"]:
                await asyncio.sleep(0.001)
                log = await ask(port, "log")
        reached = [(entry["durable"], entry["committed"], entry["applied"]) for entry in log["entries"]]
        assert reached[-2:] == [(True, True, True), (True, False, False)]
        put.cancel()


async def test_a_range_of_entries_is_bounded_and_says_where_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_member(tmp_path) as (node, port):
        for i in range(30):
            await node.propose(PutRequest(b"%d" % i))
        last = node.status().log.last_index

        async def indexes(query: str) -> tuple[list[int], int]:
            log = await ask(port, f"log?{query}")
            return [entry["index"] for entry in log["entries"]], log["next"]

        assert await indexes("from=5&to=8") == ([5, 6, 7, 8], 0)
        assert await indexes("from=5&to=8&limit=2") == ([5, 6], 7)
        assert await indexes("to=8&limit=2") == ([7, 8], 0)
        assert await indexes("limit=3") == ([last - 2, last - 1, last], 0)
        assert await indexes(f"from={last}") == ([last], 0)
        assert await indexes(f"from={last + 1}") == ([], 0)
        assert await indexes("from=9&to=3") == ([], 0)
        monkeypatch.setattr(own_pages, "MAX_ENTRIES", 4)
        assert await indexes("from=1&limit=1000") == ([1, 2, 3, 4], 5)
        monkeypatch.setattr(own_pages, "MAX_ENTRY_BYTES", 1)
        assert await indexes("from=7") == ([7], 8)


@pytest.mark.parametrize("query", ["from=x", "to=-1", "limit=1.5", f"from={'9' * 20}", "from=%D9%A3"])
async def test_what_is_no_number_is_refused(tmp_path: Path, query: str) -> None:
    async with one_member(tmp_path) as (_, port):
        answer = await ask(port, f"log?{query}", status=400)
        assert answer["error"].endswith("is not a number")


async def test_what_is_compacted_is_told_and_not_shown(tmp_path: Path) -> None:
    async with one_member(tmp_path, snapshot_count=10) as (node, port):
        for i in range(40):
            await node.propose(PutRequest(b"%d" % i))
        await node.snapshot_now()
        while (log := await ask(port, "log?from=1"))["first_index"] == 1:
            await asyncio.sleep(0.001)
        assert log["snapshot_index"] >= log["first_index"] - 1
        assert [entry["index"] for entry in log["entries"]][:1] in ([], [log["first_index"]])


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ""),
        (b"key", "key"),
        ("schl\u00fcssel".encode(), "schl\u00fcssel"),
        (b"a" * 256, "a" * 256),
        (b"a" * 257, {"text": "a" * 256, "size": 257}),
        (b"a\n", {"base64": "YQo=", "size": 2}),
        (b"\xff", {"base64": "/w==", "size": 1}),
        (b"\xff" * 300, {"base64": "////" * 85 + "/w==", "size": 300}),
    ],
)
def test_bytes_are_text_where_they_can_be_printed(data: bytes, shown: object) -> None:
    assert bytes_json(data) == shown


def test_a_message_is_shown_as_etcd_names_it_and_without_zeros() -> None:
    txn = TxnRequest(
        compare=[Compare(result=3, target=4, key=b"k", lease=2**60), Compare(result=9)],
        success=[RequestOp(request_put=PutRequest(b"a", b"b", lease=5, prev_kv=True))],
        failure=[RequestOp(request_txn=TxnRequest())],
    )
    assert message_json(txn) == {
        "compare": [
            {"result": "NOT_EQUAL", "target": "LEASE", "key": "k", "lease": str(2**60)},
            {"result": 9},
        ],
        "success": [{"request_put": {"key": "a", "value": "b", "lease": "5", "prev_kv": True}}],
        "failure": [{"request_txn": {}}],
    }


def test_changes_of_the_members_are_shown() -> None:
    member = info(0xAB, is_learner=True)
    context = encode_change(MemberChange(RequestId(1, 1, 1), ChangeOf.ADD, member))
    data = encode_configuration(Configuration((1,), (0xAB,), (9,)), context)
    shown = entry_json(Entry(3, 7, EntryKind.CONFIGURATION, data))
    assert shown["configuration"] == {"voters": ["1"], "learners": ["ab"], "removed": ["9"]}
    assert shown["change"] == {
        "kind": "add",
        "member": {
            "id": "ab",
            "name": "",
            "peer_urls": ("http://n171:1",),
            "client_urls": (),
            "is_learner": True,
        },
    }


@pytest.mark.parametrize("kind", [*EntryKind, 77])
def test_an_entry_that_can_t_be_read_is_shown_all_the_same(kind: int) -> None:
    for data in (b"", b"\xc1", b"\x93\x01\x02\x03", b"x" * 100):
        shown = entry_json(Entry(1, 2, kind, data))
        assert (shown["index"], shown["term"], shown["bytes"]) == (2, 1, len(data))
        assert ("unknown" in shown) == (kind in (EntryKind.COMMAND, EntryKind.CONFIGURATION))
        json.dumps(shown)


def test_passwords_are_not_shown() -> None:
    from dataclasses import dataclass

    @dataclass
    class AuthUserAddRequest:
        name: str = "alice"
        password: str = "secret"
        hashedPassword: str = "$2b$"  # noqa: N815 - etcd's name

    assert message_json(AuthUserAddRequest()) == {
        "name": "alice",
        "password": "(hidden)",
        "hashedPassword": "(hidden)",
    }


# ---------------------------------------------------------------- snapshots


async def test_snapshots_are_listed_and_can_be_taken_away(tmp_path: Path) -> None:
    async with one_member(tmp_path, snapshot_count=1000) as (node, port):
        assert await ask(port, "snapshots") == {"snapshots": []}
        assert "no such" in (await ask(port, "snapshot", status=404))["error"]
        for round_ in range(2):
            for i in range(20):
                await node.propose(PutRequest(b"%d" % i, bytes(100_000)))
            await node.snapshot_now()
            listed = (await ask(port, "snapshots"))["snapshots"]
            assert len(listed) == round_ + 1
        for query, wanted in [("", listed[1]), (f"?index={listed[0]['index']}", listed[0])]:
            reply = await call(port, f"/raftkv/v1/snapshot{query}", method="GET")
            assert len(reply.body) == wanted["bytes"] > 2_000_000
            assert reply.body[-32:].hex() == wanted["checksum"]
            name = f"{wanted['index']:016x}-{wanted['term']:016x}.snap"
            assert f'Content-Disposition: attachment; filename="{name}"' in reply.headers
            decoder = SnapshotDecoder()
            decoder.feed(reply.body)
            assert decoder.meta is not None
            assert decoder.meta.snapshot.index == wanted["index"]
        assert wanted["configuration"] == {"voters": ["1"], "learners": [], "removed": []}
        await ask(port, "snapshot?index=5", status=404)
        await ask(port, "snapshot?index=x", status=400)


async def test_only_some_snapshots_are_sent_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_pages, "MAX_DOWNLOADS", 1)
    async with one_member(tmp_path) as (node, port):
        for i in range(60):
            await node.propose(PutRequest(b"%d" % i, bytes(1_000_000)))
        await node.snapshot_now()
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(encode("/raftkv/v1/snapshot", method="GET"))
        while (await call(port, "/raftkv/v1/snapshot?index=1", method="GET")).status[9:12] != "404":
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        await ask(port, "snapshot", status=429)
        writer.transport.abort()
        while (reply := await call(port, "/raftkv/v1/snapshot", method="GET")).status[9:12] == "429":
            await asyncio.sleep(0.01)
        assert len(reply.body) > 60_000_000


# ---------------------------------------------------------------- events


class Reader:
    """A client of ``trace``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> "Reader":
        made = cls(*await asyncio.open_connection("127.0.0.1", port))
        made.writer.write(encode("/raftkv/v1/trace", method="GET"))
        return made

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def block(self) -> str:
        """Return what stands before the next empty line, without what chunked encoding adds."""
        lines = []
        while (line := (await self.reader.readuntil(b"\n")).decode()) != "\n":
            if not line.endswith("\r\n"):
                lines.append(line)
        return "".join(lines)


async def test_events_are_told_as_they_happen(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        await cluster.node(1).read_barrier()
        first: list[object] = []
        events = Listeners(first.append, lambda: NOW)
        async with serving(cluster.node(1), events) as port:
            client = await Reader.open(port)
            head = await client.head()
            assert b"200 OK" in head
            assert b"Content-Type: text/event-stream" in head
            assert await client.block() == ": events of n1\n"
            events.emit(RoleChanged("leader", 7))
            events.emit(LeaderChanged(2**63, 7))
            kind, _, data = (await client.block()).partition("\n")
            assert kind == "event: RoleChanged"
            assert json.loads(data.removeprefix("data: ")) == {
                "at": "2026-01-02T03:04:05.678Z",
                "event": "RoleChanged",
                "text": "became leader in term 7",
                "role": "leader",
                "term": 7,
            }
            data = (await client.block()).partition("\n")[2]
            assert json.loads(data.removeprefix("data: "))["leader"] == "8000000000000000"
            client.writer.close()
            while events.count:
                await asyncio.sleep(0.001)
        assert len(first) == 2


async def test_a_client_that_does_not_read_loses_the_oldest_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_page, "CAPACITY", 3)
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        events = Listeners(discard, lambda: NOW)
        async with serving(cluster.node(1), events) as port:
            client = await Reader.open(port)
            assert await client.block() == ": events of n1\n"
            for peer in range(10):  # all in one turn of the event loop
                events.emit(PeerUp(peer))
            assert await client.block() == 'event: Lost\ndata: {"lost": 7}\n'
            assert [f'"peer": "{peer}"' in await client.block() for peer in (7, 8, 9)] == [True] * 3
            client.writer.close()


async def test_silence_is_broken_now_and_then_and_the_number_of_clients_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_page, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(trace_page, "MAX_CLIENTS", 1)
    async with LoopbackCluster(tmp_path, size=1) as cluster, serving(cluster.node(1)) as port:
        client = await Reader.open(port)
        await client.head()
        assert [await client.block() for _ in range(3)] == [": events of n1\n", ":\n", ":\n"]
        await ask(port, "trace", status=429)
        client.writer.close()


# ---------------------------------------------------------------- turned off

PAGES = ["counters", "status", "log", "snapshots", "snapshot", "trace"]


async def test_all_of_them_can_be_turned_off(tmp_path: Path) -> None:
    async with one_member(tmp_path, enable_raftkv_api=False) as (_, port):
        for path in PAGES:
            reply = await call(port, f"/raftkv/v1/{path}", method="GET")
            assert reply.body == b"404 page not found\n"
        assert (await call(port, "/health", method="GET")).body == b'{"health":"true","reason":""}'


async def test_they_are_read_by_get_only(tmp_path: Path) -> None:
    async with one_member(tmp_path) as (_, port):
        for path in PAGES:
            assert "405" in (await call(port, f"/raftkv/v1/{path}")).status
