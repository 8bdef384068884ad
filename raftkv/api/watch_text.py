"""Replies of watch streams as JSON: what many watchers are told is written once, what is large in pieces."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from raftkv.mvcc.store import Store
from raftkv.schema import json_codec
from raftkv.schema.watch import Event, WatchResponse
from raftkv.service.watch_replies import FragmentSizes, WatchReply

SMALL = 64
"""A reply of so many events is written in one go, and kept for the next watcher who is told the same."""

KEPT_BYTES = 16 * 1024
"""A longer text is not kept."""

PIECE_EVENTS = 200
"""Events written before others run: a millisecond."""

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
            elif len(reply.changes.versions) <= SMALL:
                yield self._small(reply)
            else:
                yield from self._large(reply)

    def _small(self, reply: WatchReply) -> bytes:
        changes = reply.changes
        assert changes is not None, "a reply without events"
        text = changes.texts.get(reply.prev_kv)
        if text is None:
            text = b",".join(map(json_codec.encode, reply.events(self._store)))
            if len(text) <= KEPT_BYTES:
                changes.texts[reply.prev_kv] = text
        return b'%s,"events":[%s]}}\n' % (_head(reply.response), text)

    def _large(self, reply: WatchReply) -> Iterator[bytes]:
        yield b'%s,"events":[' % _head(reply.response)
        comma = b""
        for part in _parts(reply.events(self._store)):
            yield comma + b",".join(map(json_codec.encode, part))
            yield _NEXT
            comma = b","
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
    while part := [event for _, event in zip(range(PIECE_EVENTS), events, strict=False)]:
        yield part


def _head(response: WatchResponse) -> bytes:
    """Return the beginning of a line: all but the events, which are the last field."""
    return b'{"result":%s' % json_codec.encode(response)[:-1]


def _line(response: WatchResponse, texts: list[bytes], *, more: bool) -> bytes:
    response.fragment = more
    return b'%s,"events":[%s]}}\n' % (_head(response), b",".join(texts))
