"""``/raftkv/v1/trace``: what happens in this member, as it happens, as server-sent events."""

import asyncio
import json
from typing import Any

from aiohttp import web

from raftkv.api import replies, streams
from raftkv.api.health import Query
from raftkv.api.own_json import refused
from raftkv.listeners import Heard, Listener, Listeners
from raftkv.node.node import Node
from raftkv.trace import describe

CAPACITY = 1000
"""Events kept for a client that reads slowly."""

MAX_CLIENTS = 16

QUIET_SECONDS = 10.0
"""After so long without an event a comment is sent, so that a client that is gone is noticed."""

IDS = frozenset({"candidate", "cluster_id", "leader", "member_id", "peer", "source"})
"""Fields of events that are ids, and so text in hexadecimal."""


class TracePage:
    """Sends the events of one member to everybody who asks."""

    def __init__(self, node: Node, events: Listeners) -> None:
        self._node = node
        self._events = events

    async def __call__(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        """Send events until the client goes away.

        A client that reads too slowly loses the oldest of those that wait, and is told how many.
        """
        if self._events.count >= MAX_CLIENTS:
            return refused(429, f"{MAX_CLIENTS} clients are being told of events")
        woken = asyncio.Event()
        with self._events.listening(CAPACITY, woken.set) as listener:
            reply = replies.event_stream()
            await reply.prepare(request)
            try:
                await streams.write_chunk(reply, b": events of %s\n\n" % self._node.config.name.encode())
                while True:
                    await streams.write_chunk(reply, await self._next(listener, woken))
            except streams.ClientGone:
                streams.drop(request)
            return reply

    async def _next(self, listener: Listener, woken: asyncio.Event) -> bytes:
        """Return what there is to be sent, after a wait at most ``QUIET_SECONDS`` long."""
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                await woken.wait()
        except TimeoutError:
            return b":\n\n"
        woken.clear()
        lost, heard = listener.take()
        told = [_event("Lost", {"lost": lost})] if lost else []
        names = {member.id: member.name for member in self._node.machine.membership.members()}
        return b"".join([*told, *(_event(*_json_of(one, names)) for one in heard)])


def _json_of(heard: Heard, names: dict[int, str]) -> tuple[str, dict[str, Any]]:
    """Return an event's kind, and its fields with when it was and a line of text for people."""
    fields = {name: f"{value:x}" if name in IDS else value for name, value in heard.event._asdict().items()}
    text = describe(heard.event, lambda member: names.get(member) or f"{member:x}")
    kind = type(heard.event).__name__
    at = heard.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return kind, {"at": at, "event": kind, "text": text, **fields}


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
