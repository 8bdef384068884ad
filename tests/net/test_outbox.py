"""What waits for one stream: in order, in few writes, bounded."""

import asyncio

from raftkv.net.frames import SIGN_OF_LIFE, FrameReader
from raftkv.net.outbox import WRITE_BYTES, Outbox


async def taken(outbox: Outbox) -> bytes:
    async with asyncio.timeout(10):
        return await anext(aiter(outbox))


async def test_a_stream_begins_with_a_sign_of_life_so_that_its_headers_leave_at_once() -> None:
    outbox = Outbox()
    assert await taken(outbox) == SIGN_OF_LIFE
    assert outbox.waiting_bytes == 0


async def test_messages_that_wait_go_out_in_order_and_in_one_write() -> None:
    outbox = Outbox()
    payloads = [b"one", b"two", b"three"]
    assert all(outbox.put(payload) for payload in payloads)
    assert list(FrameReader().feed(await taken(outbox))) == payloads
    assert (outbox.waiting_bytes, outbox.takes) == (0, 1)


async def test_a_write_is_limited_but_for_a_single_larger_message() -> None:
    outbox = Outbox()
    payloads = [bytes(WRITE_BYTES // 2), bytes(WRITE_BYTES // 2), bytes(WRITE_BYTES * 2), b"x"]
    for payload in payloads:
        outbox.put(payload)
    writes = [await taken(outbox) for _ in range(4)]
    reader = FrameReader()
    assert [len(list(reader.feed(write))) for write in writes] == [1, 1, 1, 1]
    assert outbox.waiting_bytes == 0


async def test_what_would_exceed_the_limit_is_not_taken_and_the_rest_stays() -> None:
    outbox = Outbox(limit_bytes=20)
    assert outbox.put(bytes(12))  # 4 bytes of the sign of life wait too, and 4 of its header
    assert not outbox.put(b"")
    assert outbox.waiting_bytes == 20
    assert list(FrameReader().feed(await taken(outbox))) == [bytes(12)]
    assert outbox.put(bytes(16))
    assert not outbox.put(bytes(1))


async def test_an_empty_outbox_waits_for_the_next_message() -> None:
    outbox = Outbox()
    await taken(outbox)
    waiting = asyncio.create_task(taken(outbox))
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put(b"late")
    assert list(FrameReader().feed(await waiting)) == [b"late"]


async def test_a_sign_of_life_is_counted_as_waiting_until_it_is_taken() -> None:
    outbox = Outbox()
    await taken(outbox)
    outbox.put_sign_of_life()
    assert outbox.waiting_bytes == len(SIGN_OF_LIFE)
    assert await taken(outbox) == SIGN_OF_LIFE
    assert (outbox.waiting_bytes, outbox.takes) == (0, 2)
