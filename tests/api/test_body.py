"""Unfinished bodies are bounded over all connections together, and given back whatever happens."""

import asyncio
from types import SimpleNamespace

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from raftkv.api.body import BodyBudget, BodyTooSlow, _read_pieces, body_values
from raftkv.errors import MessageTooLarge, TooManyRequests


def stream(*pieces: bytes, ends: bool = True) -> StreamReader:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    reader = StreamReader(protocol, 2**16, loop=loop)
    for piece in pieces:
        reader.feed_data(piece)
    if ends:
        reader.feed_eof()
    return reader


async def test_a_body_is_the_join_of_its_pieces_and_gives_its_share_back() -> None:
    budget = BodyBudget(100)
    assert await _read_pieces(stream(b"abc", b"def"), 10, 10, budget) == b"abcdef"
    assert budget.held == 0


async def test_bodies_that_are_too_much_together_are_refused() -> None:
    budget = BodyBudget(100)
    budget.take(95)
    with pytest.raises(TooManyRequests):
        await _read_pieces(stream(b"abcdef"), 10, 10, budget)
    assert budget.held == 95


async def test_a_body_over_its_own_limit_gives_its_share_back() -> None:
    budget = BodyBudget(100)
    with pytest.raises(MessageTooLarge):
        await _read_pieces(stream(b"abcdef"), 5, 5, budget)
    assert budget.held == 0


async def test_a_client_that_goes_away_gives_its_share_back() -> None:
    budget = BodyBudget(100)
    reading = asyncio.create_task(_read_pieces(stream(b"abc", ends=False), 10, 10, budget))
    await asyncio.sleep(0)
    assert budget.held == 3
    reading.cancel()
    await asyncio.wait({reading})
    assert budget.held == 0


async def test_a_value_that_comes_byte_by_byte_must_come_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a few clients could hold for ever all that may be held of unfinished bodies."""
    monkeypatch.setattr("raftkv.api.body.BODY_SECONDS", 0.05)
    budget = BodyBudget(1000)
    content = stream(b'{"a":1}{"a":"', ends=False)
    request = SimpleNamespace(content=content, headers={})
    values = body_values(request, 500, 500, budget)  # type: ignore[arg-type]
    assert await anext(values) == b'{"a":1}'
    rest = asyncio.ensure_future(anext(values))
    for _ in range(200):
        if not rest.done():
            content.feed_data(b"a")
            await asyncio.sleep(0.005)
    with pytest.raises(BodyTooSlow):
        await rest
    assert budget.held == 0
