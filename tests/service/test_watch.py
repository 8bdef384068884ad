"""Watch streams as a member serves them; the answers are those seen on etcd 3.5.1."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from raftkv import errors
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.machine import Machine
from raftkv.mvcc.versions import MOD
from raftkv.mvcc.watch import Changes
from raftkv.node.config import Config
from raftkv.node.open_streams import OpenStreams
from raftkv.schema.kv import (
    CompactionRequest,
    DeleteRangeRequest,
    KeyValue,
    PutRequest,
    ResponseHeader,
    TxnRequest,
)
from raftkv.schema.watch import (
    Event,
    EventType,
    FilterType,
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from raftkv.service import WatchService
from raftkv.service.watch import CLOSED_AT_ONCE, DUPLICATE_ID, EMPTY_RANGE, QUEUED_BYTES, QUEUED_REPLIES
from raftkv.service.watch_replies import FragmentSizes, WatchReply
from tests.mvcc.requests import EVERYTHING, put
from tests.mvcc.snapshots import MEMBERS
from tests.service.fake_node import MEMBER, FakeNode
from tests.service.test_services import header

PROGRESS = WatchRequest(progress_request=WatchProgressRequest())


def create(key: bytes = b"k", range_end: bytes = b"", start: int = 0, **options: object) -> WatchRequest:
    return WatchRequest(create_request=WatchCreateRequest(key, range_end, start, **options))


def cancel(watch_id: int) -> WatchRequest:
    return WatchRequest(cancel_request=WatchCancelRequest(watch_id))


class Client:
    """One stream: requests in, replies out, taken one at a time."""

    def __init__(self, node: FakeNode, service: WatchService | None = None) -> None:
        self._node = node
        self._requests: asyncio.Queue[WatchRequest | errors.RaftKvError | None] = asyncio.Queue()
        service = service or WatchService(node)  # type: ignore[arg-type]
        self._replies = service.watch(self._incoming())
        self._ready: list[WatchReply] = []

    async def _incoming(self) -> AsyncIterator[WatchRequest]:
        while (request := await self._requests.get()) is not None:
            if isinstance(request, errors.RaftKvError):
                raise request
            yield request

    def send(self, *requests: WatchRequest | errors.RaftKvError | None) -> None:
        for request in requests:
            self._requests.put_nowait(request)

    async def take(self) -> WatchReply:
        if not self._ready:
            self._ready = await anext(self._replies)
        return self._ready.pop(0)

    async def reply(self) -> WatchResponse:
        async with asyncio.timeout(5):
            return (await self.take()).message(self._node.machine.store)

    async def replies(self, count: int) -> list[WatchResponse]:
        return [await self.reply() for _ in range(count)]

    async def is_silent(self) -> bool:
        """Whether nothing more comes: a mark that is sent last is answered first."""
        self.send(create(b"mark", watch_id=999), cancel(999))
        reply = await self.reply()
        return reply.watch_id == 999 and (await self.reply()).canceled

    async def close(self) -> None:
        await self._replies.aclose()


@pytest.fixture
async def client(node: FakeNode) -> AsyncIterator[Client]:
    client = Client(node)
    yield client
    await client.close()


async def write(node: FakeNode, key: bytes = b"k", value: bytes = b"v") -> int:
    return (await node.propose(PutRequest(key, value))).header.revision


async def compact(node: FakeNode, revision: int) -> None:
    await node.propose(CompactionRequest(revision))


def created(revision: int, watch_id: int = 0) -> WatchResponse:
    return WatchResponse(header(revision), watch_id, created=True)


def refused(revision: int, reason: str) -> WatchResponse:
    return WatchResponse(header(revision), -1, created=True, canceled=True, cancel_reason=reason)


def put_event(revision: int, key: bytes = b"k", version: int = 1, value: bytes = b"v") -> Event:
    return Event(EventType.PUT, KeyValue(key, revision - version + 1, revision, version, value))


def delete_event(revision: int, key: bytes = b"k") -> Event:
    return Event(EventType.DELETE, KeyValue(key, mod_revision=revision))


def told(revision: int, *events: Event, watch_id: int = 0) -> WatchResponse:
    return WatchResponse(header(revision), watch_id, events=list(events))


# ---------------------------------------------------------------- creating and cancelling


async def test_a_watch_tells_what_happens_after_it_was_made(client: Client, node: FakeNode) -> None:
    await write(node)
    client.send(create())
    assert await client.reply() == created(2)
    await write(node)
    await node.propose(DeleteRangeRequest(b"k"))
    await write(node, b"other")
    assert await client.replies(2) == [told(3, put_event(3, version=2)), told(4, delete_event(4))]
    assert await client.is_silent()


async def test_ids_count_from_zero_and_pass_over_wished_ones(client: Client) -> None:
    wished = [0, 1, 0, -7, 0, 4]
    client.send(*(create(watch_id=number) for number in wished))
    assert [reply.watch_id for reply in await client.replies(6)] == [0, 1, 2, -7, 3, 4]
    client.send(cancel(1), create(watch_id=1), create())
    assert [reply.watch_id for reply in await client.replies(3)] == [1, 1, 5]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (create(b"b", b"a"), EMPTY_RANGE),
        (create(b"b", b"b"), EMPTY_RANGE),
        (create(b"b", b"a", watch_id=5), EMPTY_RANGE),
        (create(b"b", watch_id=5), DUPLICATE_ID),
    ],
)
async def test_a_refused_watch_leaves_the_others_alone(
    client: Client, node: FakeNode, request_: WatchRequest, reason: str
) -> None:
    client.send(create(watch_id=5), request_, create())
    assert await client.replies(3) == [created(1, 5), refused(1, reason), created(1, 0)]
    await write(node)
    assert {reply.watch_id for reply in await client.replies(2)} == {5, 0}


async def test_an_empty_key_is_the_smallest_key(client: Client, node: FakeNode) -> None:
    client.send(create(b""), create(b"", b"\x00"))
    await client.replies(2)
    await write(node, b"\x00")
    await write(node, b"a")
    replies = await client.replies(3)
    assert [(reply.watch_id, reply.header.revision) for reply in replies] == [(1, 2), (0, 2), (1, 3)]


async def test_a_cancelled_watch_is_over(client: Client, node: FakeNode) -> None:
    client.send(create(), cancel(0), cancel(0), cancel(77), WatchRequest())
    assert await client.replies(2) == [created(1), WatchResponse(header(1), canceled=True)]
    await write(node)
    assert await client.is_silent()


async def test_a_stream_goes_on_without_requests_and_ends_with_what_they_fail_with(node: FakeNode) -> None:
    client = Client(node)
    client.send(create(), None)
    await client.reply()
    await write(node)
    assert await client.reply() == told(2, put_event(2))
    await client.close()
    failing = Client(node)
    failing.send(create(), errors.MessageTooLarge(3, 2))
    assert await failing.reply() == created(2)
    with pytest.raises(errors.MessageTooLarge):
        await failing.reply()
    assert node.watches._live == 0


async def test_a_learner_serves_no_watch(client: Client, node: FakeNode) -> None:
    node.learners = (MEMBER,)
    with pytest.raises(errors.NotSupportedForLearner):
        await client.reply()


# ---------------------------------------------------------------- history


async def test_history_comes_first_in_one_reply_and_then_what_is_new(client: Client, node: FakeNode) -> None:
    for _ in range(3):
        await write(node)
    client.send(create(start=2))
    events = [put_event(revision, version=revision - 1) for revision in (2, 3, 4)]
    assert await client.replies(2) == [created(4), told(4, *events)]
    await write(node)
    assert await client.reply() == told(5, put_event(5, version=4))


async def test_more_history_than_one_reply_holds(client: Client, node: FakeNode) -> None:
    for _ in range(1100):
        node.machine.store.put(PutRequest(b"k"))
    client.send(create(start=1))
    replies = (await client.replies(3))[1:]
    assert [len(reply.events) for reply in replies] == [1000, 100]
    assert {reply.header.revision for reply in replies} == {1101}


async def test_a_compacted_start_is_told_after_the_watch_was_made_and_keeps_its_id(
    client: Client, node: FakeNode
) -> None:
    for _ in range(3):
        await write(node)
    await compact(node, 3)
    lost = WatchResponse(
        ResponseHeader(header(0).cluster_id, MEMBER, 0, 2), canceled=True, compact_revision=3
    )
    client.send(create(start=2))
    assert await client.replies(2) == [created(4), lost]
    client.send(create(start=3))
    assert (await client.replies(2))[1] == told(
        4, put_event(3, version=2), put_event(4, version=3), watch_id=1
    )
    client.send(cancel(0), cancel(0))
    assert await client.reply() == WatchResponse(header(4), canceled=True)
    assert await client.is_silent()


async def test_a_negative_start_is_now_and_a_future_one_is_waited_for(client: Client, node: FakeNode) -> None:
    await write(node)
    client.send(create(start=-5), create(start=4))
    assert await client.replies(2) == [created(2), created(2, 1)]
    for _ in range(2):
        await write(node)
    replies = await client.replies(3)
    assert [(reply.watch_id, reply.header.revision) for reply in replies] == [(0, 3), (0, 4), (1, 4)]


# ---------------------------------------------------------------- options


async def test_filters_leave_out_kinds_of_events_and_empty_replies(client: Client, node: FakeNode) -> None:
    client.send(
        create(filters=[FilterType.NOPUT, 7]),
        create(filters=[FilterType.NODELETE]),
        create(filters=[FilterType.NODELETE, FilterType.NOPUT]),
    )
    await client.replies(3)
    await write(node)
    await node.propose(DeleteRangeRequest(b"k"))
    assert await client.replies(2) == [told(2, put_event(2), watch_id=1), told(3, delete_event(3))]
    assert await client.is_silent()


async def test_the_pair_before_is_there_unless_created_or_compacted(client: Client, node: FakeNode) -> None:
    await write(node)
    await write(node)
    await node.propose(DeleteRangeRequest(b"k"))
    await write(node)
    await compact(node, 3)
    client.send(create(start=3, prev_kv=True))
    events = (await client.replies(2))[1].events
    assert [event.prev_kv for event in events] == [None, KeyValue(b"k", 2, 3, 2, b"v"), None]


async def test_one_revision_is_one_reply(client: Client, node: FakeNode) -> None:
    client.send(create(b"\x00", b"\x00"))
    await client.reply()
    await node.propose(TxnRequest(success=[put(b"c"), put(b"a"), put(b"b")]))
    assert await client.reply() == told(2, *(put_event(2, key) for key in (b"c", b"a", b"b")))


def test_a_reply_is_cut_between_events_so_that_no_piece_reaches_the_limit() -> None:
    event = put_event(5, value=bytes(100))
    response = WatchResponse(header(5), 7)
    sizes = FragmentSizes(response, 400)
    assert [sizes.fits(event) for _ in range(6)] == [True, True, True, False, True, True]
    alone = FragmentSizes(response, 10)
    assert [alone.fits(event) for _ in range(3)] == [True, False, False], "an event is never cut"


# ---------------------------------------------------------------- progress


async def test_progress_is_told_only_when_all_watches_are_at_the_present(
    client: Client, node: FakeNode
) -> None:
    client.send(PROGRESS)
    assert await client.is_silent(), "there is no watch"
    await write(node)
    client.send(create(), create(b"x"), PROGRESS)
    assert (await client.replies(3))[2] == WatchResponse(header(2), -1)
    client.send(create(start=5), PROGRESS)
    assert await client.reply() == created(2, 2)
    assert await client.is_silent(), "one begins in the future"
    client.send(cancel(2), create(start=2), PROGRESS)
    assert (await client.replies(3))[2] == told(2, put_event(2), watch_id=3)
    client.send(PROGRESS)
    assert await client.reply() == WatchResponse(header(2), -1)


async def test_progress_comes_after_all_that_it_speaks_of(client: Client, node: FakeNode) -> None:
    client.send(create())
    await client.reply()
    node.machine.store.put(PutRequest(b"k"))
    client.send(PROGRESS)
    replies = await client.replies(2)
    assert [(reply.watch_id, reply.header.revision) for reply in replies] == [(0, 2), (-1, 2)]


async def test_a_quiet_watch_that_asked_for_it_is_told_now_and_then() -> None:
    node = FakeNode(Config(experimental_watch_progress_notify_interval="100ms"))
    client = Client(node)
    client.send(create(progress_notify=True), create(b"x"))
    await client.replies(2)
    assert await client.replies(2) == [WatchResponse(header(1))] * 2
    await write(node)
    assert await client.reply() == told(2, put_event(2))
    begin = asyncio.get_running_loop().time()
    assert await client.reply() == WatchResponse(header(2))
    assert asyncio.get_running_loop().time() - begin > 0.1, "not at the tick after an event"
    await client.close()


async def test_of_very_many_watches_each_is_notified_in_turn() -> None:
    node = FakeNode(Config(experimental_watch_progress_notify_interval="100ms"))
    client = Client(node)
    count = 2 * QUEUED_REPLIES + 1
    for _ in range(count):
        client.send(create(progress_notify=True))
        assert (await client.reply()).created
    notified = [(await client.reply()).watch_id for _ in range(count)]
    assert sorted(notified) == list(range(count))
    await client.close()


async def test_streams_do_not_all_notify_at_once() -> None:
    service = WatchService(FakeNode())  # type: ignore[arg-type]
    intervals = [service.next_interval() for _ in range(100)]
    assert all(600 <= interval <= 660 for interval in intervals)
    assert len(set(intervals)) == 100


# ---------------------------------------------------------------- slow clients


async def test_a_slow_client_costs_a_bounded_queue_and_loses_nothing(node: FakeNode) -> None:
    slow, quick = Client(node), Client(node)
    for client in (slow, quick):
        client.send(create(b"\x00", b"\x00"))
        await client.reply()
    for _ in range(1000):
        await write(node)
        assert len((await quick.reply()).events) == 1
    assert node.watches._live == 1, "the slow one fell back to history"
    replies = []
    while sum(len(reply.events) for reply in replies) < 1000:
        replies.append(await slow.reply())
    revisions = [event.kv.mod_revision for reply in replies for event in reply.events if event.kv]
    assert revisions == list(range(2, 1002))
    assert [len(reply.events) for reply in replies] == [1] * QUEUED_REPLIES + [1000 - QUEUED_REPLIES]
    await write(node)
    assert (await slow.reply()).header == header(1002)
    for client in (slow, quick):
        await client.close()
    assert node.watches._live == 0


async def test_the_queue_is_bounded_in_bytes_too_but_takes_one_large_reply(
    client: Client, node: FakeNode
) -> None:
    client.send(create())
    await client.reply()
    node.machine.store.put(PutRequest(b"k", bytes(QUEUED_BYTES + 1)))
    while node.watches.step():
        pass
    assert node.watches._live == 1
    node.machine.store.put(PutRequest(b"k"))
    while node.watches.step():
        pass
    assert node.watches._live == 0
    assert [len(reply.events) for reply in await client.replies(2)] == [1, 1]


async def test_who_takes_no_answers_is_asked_no_more(client: Client, node: FakeNode) -> None:
    client.send(create(), *[PROGRESS] * 1000)
    await client.reply()
    for _ in range(100):
        await asyncio.sleep(0)
    assert client._requests.qsize() >= 1000 - 3 * QUEUED_REPLIES
    assert len(await client.replies(1000)) == 1000


async def test_a_watch_lost_to_a_compaction_does_not_take_the_others_along(
    client: Client, node: FakeNode
) -> None:
    client.send(create(), create(b"x"))
    await client.replies(2)
    for _ in range(QUEUED_REPLIES + 2):
        await write(node)
    await compact(node, QUEUED_REPLIES + 3)
    replies = await client.replies(QUEUED_REPLIES + 1)
    assert replies[-1].compact_revision == QUEUED_REPLIES + 3
    await write(node, b"x")
    assert (await client.reply()).watch_id == 1
    client.send(PROGRESS)
    assert (await client.reply()).watch_id == -1, "a watch that is over is not waited for"


async def test_a_change_in_between_two_slices_of_history_is_not_lost(client: Client, node: FakeNode) -> None:
    for number in range(5000):
        node.machine.store.put(PutRequest(b"k" if number % 1000 == 0 else b"other"))
    client.send(create(b"j", b"l", start=1))
    await client.reply()
    taking = asyncio.create_task(client.take())
    await asyncio.sleep(0)
    await write(node)
    reply = await taking
    assert reply.changes is not None
    assert [version[MOD] for version in reply.changes.versions] == [2, 1002, 2002, 3002, 4002, 5002]


def test_a_snapshot_amid_a_large_reply_takes_no_pair_before_from_it() -> None:
    machine = Machine()
    machine.apply_configuration(1, MEMBERS)
    for number in range(1000):
        machine.store.put(PutRequest(b"%d" % number))
    machine.store.delete_range(DeleteRangeRequest(**EVERYTHING))
    versions = machine.store.table.changes.read((1002, 0), 1002, 1000)
    reply = WatchReply(WatchResponse(), Changes(1002, versions), prev_kv=True)
    events = reply.events(lambda: machine.store)
    found = [next(events)]
    loader = MachineLoader()
    cut = machine.cut()
    for block in cut.blocks():
        loader.add(block.part, block.version, block.data)
    cut.close()
    while loader.finish_step():
        pass
    machine.adopt(loader)
    while loader.discard_step():
        pass
    found += events
    assert [event.prev_kv for event in found].count(None) == 0
    assert len(found) == 1000


async def test_very_many_watches_end_in_slices_and_all_at_once_when_it_must_be(node: FakeNode) -> None:
    for impatient in (False, True):
        client = Client(node)
        for number in range(3 * CLOSED_AT_ONCE):
            client.send(create(b"%d" % number))
            await client.reply()
        closing = asyncio.create_task(client.close())
        while node.watches._live == 3 * CLOSED_AT_ONCE:
            await asyncio.sleep(0)
        assert node.watches._live == 2 * CLOSED_AT_ONCE
        if impatient:
            closing.cancel()
        await asyncio.wait({closing})
        assert (node.watches._live, len(node.tally.watch_streams)) == (0, 0)


# ---------------------------------------------------------------- what ends a stream


def test_a_stream_that_needs_a_leader_ends_after_three_election_timeouts_without_one() -> None:
    streams, ended = OpenStreams(1.0), []
    streams.add(lambda error: ended.append(("needs", type(error))), needs_leader=True)
    gone = lambda error: ended.append(("gone", type(error)))  # noqa: E731
    streams.add(gone, needs_leader=True)
    streams.add(lambda error: ended.append(("other", type(error))))
    streams.remove(gone)
    for now, leader in [(0.0, True), (1.0, False), (3.5, False), (3.6, True), (4.0, False), (6.9, False)]:
        streams.tick(now, has_leader=leader)
    assert ended == []
    streams.tick(7.0, has_leader=False)
    assert ended == [("needs", errors.NoLeader)]
    streams.tick(8.0, has_leader=False)
    streams.stop()
    assert ended == [("needs", errors.NoLeader), ("other", errors.NodeStopped)]
    assert len(streams) == 0
