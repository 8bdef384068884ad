"""Snapshot files between members: what arrives is what was there, or the chunk is asked for again."""

import asyncio
import random
import zlib
from hashlib import sha256

import pytest

from raftkv.errors import PeerUnavailable, SnapshotGone
from raftkv.net.handshake import Hello
from raftkv.net.snapshots import (
    CHECKSUM_HEADER,
    CRC_HEADER,
    MAX_CHUNK_BYTES,
    MAX_FETCHES,
    MAX_NUMBER,
    SIZE_HEADER,
    SNAPSHOT_PATH,
    Wanted,
    fetch,
)
from raftkv.node.transport import SnapshotChunk
from raftkv.raft.types import PeerEvent
from tests.net.members import CHUNK, CLUSTER, GIVE_UP_S, PATIENT, QUICK, Member, running
from tests.net.test_peer_port import HELLO, attacked, exchange, request, say_and_hang_up, stranger
from tests.net.test_transport import NOWHERE, raw_peer

FILE = random.Random(1).randbytes(10 * CHUNK + 17)


def answer(data: bytes, source: int = 3, **changes: str) -> bytes:
    """A chunk as a peer of bare sockets answers it; headers can be replaced, or removed with ""."""
    headers = Hello(CLUSTER, source, 1).headers() | {
        SIZE_HEADER: str(len(FILE)),
        CHECKSUM_HEADER: sha256(FILE).hexdigest(),
        CRC_HEADER: f"{zlib.crc32(data):08x}",
        "Content-Length": str(len(data)),
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items() if value)]
    return "\r\n".join([*lines, "", ""]).encode() + data


async def fetch_all(member: Member, peer: int, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += (await member.transport.fetch_snapshot(peer, 20, 3, len(got))).data
    return got


async def test_a_file_arrives_chunk_by_chunk_over_one_connection() -> None:
    one, two = Member(1), Member(2)
    one.snapshots[20, 3] = FILE
    async with running(one, two):
        await two.connected(1)
        before = len(one.transport._port._runner.server.connections)  # type: ignore[union-attr]
        assert await fetch_all(two, 1, len(FILE)) == FILE
        assert [offset for _, _, offset in one.asked] == list(range(0, len(FILE), CHUNK))
        after = len(one.transport._port._runner.server.connections)  # type: ignore[union-attr]
        assert after <= before + 1


async def test_a_chunk_names_its_file_and_its_place() -> None:
    one, two = Member(1), Member(2)
    one.snapshots[20, 3] = FILE
    async with running(one, two):
        chunk = await two.transport.fetch_snapshot(1, 20, 3, 500)
        assert chunk == SnapshotChunk(len(FILE), sha256(FILE).digest(), 500, FILE[500 : 500 + CHUNK])


async def test_several_followers_fetch_at_once() -> None:
    one, *others = members = [Member(number) for number in (1, 2, 3, 4)]
    one.snapshots[20, 3] = FILE
    async with running(*members):
        files = await asyncio.gather(*(fetch_all(other, 1, len(FILE)) for other in others))
        assert files == [FILE] * 3


async def test_a_snapshot_that_is_not_there_is_gone() -> None:
    one, two = Member(1), Member(2)
    one.snapshots[20, 3] = FILE
    async with running(one, two):
        for index, term, offset in ((21, 3, 0), (20, 4, 0), (20, 3, len(FILE))):
            with pytest.raises(SnapshotGone):
                await two.transport.fetch_snapshot(1, index, term, offset)
        assert one.reports.count((2, PeerEvent.SNAPSHOT_FAILED)) == 3


async def test_a_peer_that_is_not_known_or_not_there_is_unavailable() -> None:
    one = Member(1)
    async with running(one):
        with pytest.raises(PeerUnavailable, match="no way to member 9"):
            await one.transport.fetch_snapshot(9, 20, 3, 0)
        one.transport.set_peers({2: [NOWHERE]})
        with pytest.raises(PeerUnavailable, match=r"127\.0\.0\.1:1"):
            await one.transport.fetch_snapshot(2, 20, 3, 0)
    with pytest.raises(PeerUnavailable):
        await one.transport.fetch_snapshot(2, 20, 3, 0)


async def test_the_next_url_is_asked_after_a_failure() -> None:
    one, two = Member(1), Member(2)
    one.snapshots[20, 3] = FILE
    async with running(one, two):
        two.transport.set_peers({1: [NOWHERE, *one.urls]})
        with pytest.raises(PeerUnavailable):
            await two.transport.fetch_snapshot(1, 20, 3, 0)
        assert (await two.transport.fetch_snapshot(1, 20, 3, 0)).data == FILE[:CHUNK]


async def test_an_answer_cut_at_any_byte_is_no_chunk() -> None:
    whole = answer(FILE[:40])
    one = Member(1, timing=PATIENT)
    async with running(one):
        one.transport.set_peers({3: [NOWHERE]})
        requests, _ = one.transport._way_to(3)
        for length in range(0, len(whole), 7):
            async with raw_peer(3, reads=False, answer=whole[:length]) as peer:
                fetching = asyncio.create_task(fetch(requests, 3, [peer.url], Wanted(20, 3, 0), GIVE_UP_S))
                while not fetching.done():  # the client may try a second connection
                    for writer in peer.writers[: peer.answered]:
                        writer.close()
                    await asyncio.sleep(0)
                with pytest.raises(PeerUnavailable):
                    await fetching


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (answer(FILE[:40]).replace(FILE[:1], b"\xff", 1), None),
        (answer(FILE[:40], **{CRC_HEADER: "00000000"}), "a chunk arrived damaged at offset 0"),
        (answer(FILE[:40], **{CRC_HEADER: ""}), "does not say which file it is of"),
        (answer(FILE[:40], **{CHECKSUM_HEADER: "ab"}), "does not say which file it is of"),
        (answer(FILE[:40], **{SIZE_HEADER: "-5"}), "does not say which file it is of"),
        (answer(FILE[:40], **{SIZE_HEADER: "39"}), "a chunk beyond the end of a file of 39 bytes"),
        (answer(b""), "a chunk of 0 bytes"),
        (answer(bytes(MAX_CHUNK_BYTES + 1)), f"a chunk of {MAX_CHUNK_BYTES + 1} bytes"),
        (answer(FILE[:40], source=4), "is member 4, not 3"),
        (answer(FILE[:40], **{"Raftkv-Cluster-Id": "bad"}), "belongs to cluster bad"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater", "answered 503: later"),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", "answered 302"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
    ],
)
async def test_an_answer_that_no_peer_gives_is_no_chunk(sent: bytes, why: str | None) -> None:
    one = Member(1, timing=PATIENT)
    async with running(one), raw_peer(3, reads=False, answer=sent) as peer:
        one.transport.set_peers({3: [peer.url]})
        with pytest.raises(PeerUnavailable, match=why):
            await one.transport.fetch_snapshot(3, 20, 3, 0)


async def test_a_peer_that_does_not_answer_is_given_up() -> None:
    one = Member(1, timing=QUICK)
    async with running(one), raw_peer(3, reads=True, answer=b"") as peer:
        one.transport.set_peers({3: [peer.url]})
        with pytest.raises(PeerUnavailable, match="no answer within"):
            await one.transport.fetch_snapshot(3, 20, 3, 0)


def get(name: str, hello: Hello = HELLO) -> bytes:
    whole = request(hello, "GET", SNAPSHOT_PATH + name, Connection="close")
    return whole.replace(b"Transfer-Encoding: chunked\r\n", b"")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("14-3?offset=0", b"200"),
        ("14-4?offset=0", b"404"),
        (f"14-3?offset={len(FILE)}", b"404"),
        ("14-3", b"400"),
        ("14-3?offset=-1", b"400"),
        ("14-3?offset=1e3", b"400"),
        ("14-3?offset=9999999999999999999", b"400"),
        ("14-3?offset=0&offset=1", b"400"),
        ("14-3?start=0", b"400"),
        ("ffffffffffffffff-3?offset=0", b"400"),
        ("14?offset=0", b"400"),
        ("x-3?offset=0", b"400"),
        ("../../../etc/passwd?offset=0", b"400"),
        ("", b"400"),
    ],
)
async def test_only_a_snapshot_s_name_and_a_place_in_it_are_answered(name: str, status: bytes) -> None:
    async with attacked() as (one, _):
        one.snapshots[20, 3] = FILE
        reply = await exchange(one, get(name))
        assert reply.startswith(b"HTTP/1.1 " + status)
        assert all(max(index, term) <= MAX_NUMBER for index, term, _ in one.asked)


@pytest.mark.parametrize(
    "hello",
    [HELLO._replace(cluster_id=0xBAD), HELLO._replace(target=7), HELLO._replace(source=1)],
)
async def test_who_is_no_peer_gets_no_snapshot(hello: Hello) -> None:
    async with attacked() as (one, _):
        one.snapshots[20, 3] = FILE
        assert (await exchange(one, get("14-3?offset=0", hello))).startswith(b"HTTP/1.1 412")
        assert one.asked == []


async def test_other_methods_are_refused() -> None:
    async with attacked() as (one, _):
        reply = await exchange(one, b"POST " + SNAPSHOT_PATH.encode() + b"14-3?offset=0 HTTP/1.0\r\n\r\n")
        assert reply.startswith(b"HTTP/1.0 405")
        assert b"Allow: GET" in reply


async def test_no_more_chunks_are_read_at_once_than_the_limit() -> None:
    async with attacked() as (one, _):
        release = asyncio.Event()
        waiting = 0

        async def slow(index: int, term: int, offset: int) -> SnapshotChunk | None:
            nonlocal waiting
            waiting += 1
            await release.wait()
            return None

        one.serve_snapshot = slow  # type: ignore[method-assign]
        asked = [asyncio.create_task(exchange(one, get("14-3?offset=0"))) for _ in range(MAX_FETCHES)]
        while waiting < MAX_FETCHES:
            await asyncio.sleep(0)
        assert (await exchange(one, get("14-3?offset=0"))).startswith(b"HTTP/1.1 503")
        release.set()
        for reply in await asyncio.gather(*asked):
            assert reply.startswith(b"HTTP/1.1 404")


async def test_a_request_that_ends_at_any_byte_leaves_nothing_under_way() -> None:
    whole = get("14-3?offset=0")
    async with attacked() as (one, _):
        one.snapshots[20, 3] = FILE
        for length in range(0, len(whole), 5):
            await say_and_hang_up(one, whole[:length])
        async with stranger(one) as someone:
            await someone.say(whole)
        assert (await exchange(one, whole)).startswith(b"HTTP/1.1 200")
        assert one.transport._port._snapshots._under_way == 0
