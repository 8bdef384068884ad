"""Replies of watch streams as JSON: what many watchers are told is written once, what is large in pieces."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from raftkv.mvcc.store import Store
from raftkv.mvcc.watch import Changes
from raftkv.schema import json_codec
from raftkv.schema.watch import Event, WatchResponse
from raftkv.service.watch_replies import FragmentSizes, WatchReply

KEPT_BYTES = 16 * 1024
"""The text of a reply of at most so many bytes is kept for the next watcher who is told the same."""

PIECE_EVENTS = 200
"""Events written before others run: a millisecond."""

PIECE_BYTES = 256 * 1024
"""A piece with so many bytes of keys and values ends, be the events ever so few. Pairs before count too."""

_NEXT: Final = b""
"""A piece that lets others run."""


class WatchText:
    """Writes replies; a piece of one that is cut stays below ``limit`` bytes in protobuf."""

    def __init__(self, store: Callable[[], Store], limit: int) -> None:
        self._store = store
        self._limit = limit

    def lines(self, replies: list[WatchReply]) -> Iterable[bytes]:
        """Yield the text of ``replies``, as ``DuplexRoute.encode`` does."""
        for reply in replies:
            if reply.changes is None:
                yield b'{"result":%s}\n' % json_codec.encode(reply.response)
            elif reply.fragment:
                yield from self._fragments(reply)
            elif (text := reply.changes.texts.get(reply.prev_kv)) is not None:
                yield b'%s,"events":[%s]}}\n' % (_head(reply.response), text)
            else:
                yield from self._whole(reply, reply.changes)

    def _whole(self, reply: WatchReply, changes: Changes) -> Iterator[bytes]:
        parts = _parts(reply.events(self._store))
        text = _encode(next(parts))
        part = next(parts, None)
        if part is None and len(text) <= KEPT_BYTES:
            changes.texts[reply.prev_kv] = text
        yield b'%s,"events":[%s' % (_head(reply.response), text)
        while part is not None:
            yield _NEXT
            yield b"," + _encode(part)
            part = next(parts, None)
        yield b"]}}\n"

    def _fragments(self, reply: WatchReply) -> Iterator[bytes]:
        """Yield as many lines as are needed, all but the last saying that more follow."""
        sizes = FragmentSizes(reply.response, self._limit)
        texts: list[bytes] = []
        for part in _parts(reply.events(self._store)):
            for event in part:
                if not sizes.fits(event):
                    yield _line(reply.response, texts, more=True)
                    texts = []
                texts.append(json_codec.encode(event))
            yield _NEXT
        yield _line(reply.response, texts, more=False)


def _parts(events: Iterator[Event]) -> Iterator[list[Event]]:
    part: list[Event] = []
    size = 0
    for event in events:
        part.append(event)
        size += sum(len(pair.key) + len(pair.value) for pair in (event.kv, event.prev_kv) if pair is not None)
        if len(part) == PIECE_EVENTS or size >= PIECE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _encode(events: list[Event]) -> bytes:
    return b",".join(map(json_codec.encode, events))


def _head(response: WatchResponse) -> bytes:
    """Return the beginning of a line: all but the events, which are the last field."""
    return b'{"result":%s' % json_codec.encode(response)[:-1]


def _line(response: WatchResponse, texts: list[bytes], *, more: bool) -> bytes:
    response.fragment = more
    return b'%s,"events":[%s]}}\n' % (_head(response), b",".join(texts))
