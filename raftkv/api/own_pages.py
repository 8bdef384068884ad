"""raftkv's own pages: what a member holds and does, to read and to draw. They change nothing."""

import asyncio
from typing import Any

from aiohttp import web

from raftkv.api import replies, streams
from raftkv.api.health import Page, Query
from raftkv.api.own_json import configuration_json, entry_json, member_json, page, refused
from raftkv.node.node import Node
from raftkv.storage.snapshot_format import SnapshotRef

PREFIX = "/raftkv/v1/"

DEFAULT_ENTRIES = 100
MAX_ENTRIES = 1000
MAX_ENTRY_BYTES = 256 * 1024
"""Data of the entries in one answer; the first one is always there."""

ENTRIES_AT_ONCE = 50
"""Entries decoded between two turns of the event loop: one or two milliseconds, unless they are large."""

READ_BYTES = 256 * 1024

MAX_DOWNLOADS = 4
"""Snapshots sent at once."""


class OwnPages:
    """The pages about one member."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._downloads = 0
        self.routes: dict[str, Page] = {
            f"{PREFIX}counters": self.counters,
            f"{PREFIX}status": self.status,
            f"{PREFIX}log": self.log,
            f"{PREFIX}snapshots": self.snapshots,
            f"{PREFIX}snapshot": self.snapshot,
        }

    async def counters(self, request: web.BaseRequest, query: Query) -> web.Response:
        """Tell what this member did since it started: batches and fsyncs of its log, indexes, step times."""
        return page(self._node.counters())

    async def status(self, request: web.BaseRequest, query: Query) -> web.Response:
        """Tell what this member is to the others, and what it knows of them."""
        status, store = self._node.status(), self._node.machine.store
        return page(
            {
                "member_id": f"{status.node_id:x}",
                "cluster_id": f"{self._node.cluster_id:x}",
                "name": self._node.config.name,
                "role": status.role.value,
                "term": status.term,
                "vote": f"{status.vote:x}",
                "leader": f"{status.leader:x}",
                "transferee": f"{status.transferee:x}",
                "durable": {
                    "term": status.durable_term,
                    "vote": f"{status.durable_vote:x}",
                    "index": status.durable_index,
                },
                **self._places(),
                "configuration": {
                    "index": status.configuration_index,
                    **configuration_json(status.configuration),
                },
                "members": [member_json(member) for member in self._node.machine.membership.members()],
                "peers": {f"{peer:x}": known._asdict() for peer, known in status.peers.items()},
                "store": {
                    "revision": store.revision,
                    "compact_revision": store.compact_revision,
                    "keys": store.live_keys,
                    "bytes": store.size_bytes,
                    "bytes_in_use": store.size_in_use_bytes,
                },
            }
        )

    def _places(self) -> dict[str, int]:
        """Return how far the log reaches, and how far what became of it."""
        status = self._node.status()
        return {
            "snapshot_index": status.snapshot.index if status.snapshot is not None else 0,
            "first_index": status.log.first_index,
            "applied_index": self._node.applied_index,
            "commit_index": status.commit_index,
            "durable_index": status.durable_index,
            "last_index": status.log.last_index,
        }

    async def log(self, request: web.BaseRequest, query: Query) -> web.Response:
        """Show entries of the log in memory: ``?from=`` and ``?to=`` are indexes, both included.

        At most ``?limit=`` of them and some 256 KiB of data; by default the newest 100. ``next`` is the
        index to go on from, 0 at the end of what was asked for.
        """
        try:
            low, high, limit = (_number(query, name) for name in ("from", "to", "limit"))
        except ValueError as error:
            return refused(400, str(error))
        places = self._places()
        limit = min(limit or DEFAULT_ENTRIES, MAX_ENTRIES)
        high = min(high or places["last_index"], places["last_index"])
        low = max(low or high - limit + 1, places["first_index"])
        entries = self._node.status().log.slice(low, min(high, low + limit - 1), MAX_ENTRY_BYTES)
        shown = []
        for number, entry in enumerate(entries, 1):
            shown.append({**entry_json(entry), **_reached(entry.index, places)})
            if number % ENTRIES_AT_ONCE == 0:
                await asyncio.sleep(0)
        following = entries[-1].index + 1 if entries else 0
        return page({**places, "entries": shown, "next": following if following <= high else 0})

    async def snapshots(self, request: web.BaseRequest, query: Query) -> web.Response:
        """List the snapshots that the log goes on from, oldest first."""
        return page({"snapshots": [_snapshot_json(ref) for ref in self._node.snapshots()]})

    async def snapshot(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        """Send the file of the snapshot at ``?index=``, by default the newest one."""
        try:
            index = _number(query, "index")
        except ValueError as error:
            return refused(400, str(error))
        found = [ref for ref in self._node.snapshots() if index in (0, ref.snapshot.index)]
        if not found:
            return refused(404, "this member has no such snapshot")
        if self._downloads >= MAX_DOWNLOADS:
            return refused(429, f"{MAX_DOWNLOADS} snapshots are being sent")
        self._downloads += 1
        try:
            return await self._send(request, found[-1])
        finally:
            self._downloads -= 1

    async def _send(self, request: web.BaseRequest, ref: SnapshotRef) -> web.StreamResponse:
        async with self._node.open_snapshot(ref) as file:
            index, term, _ = ref.snapshot
            reply = replies.download(ref.size, f"{index:016x}-{term:016x}.snap")
            await reply.prepare(request)
            sent = 0
            try:
                while sent < ref.size:
                    piece = await file.read(sent, READ_BYTES)
                    if not piece:  # shorter than it was: the client must not take it for whole
                        raise streams.ClientGone
                    await streams.write_chunk(reply, piece)
                    sent += len(piece)
            except streams.ClientGone:
                streams.drop(request)
            return reply


def _number(query: Query, name: str) -> int:
    """Return a parameter as a number, 0 without one. Raises ValueError."""
    text = query.get(name, ("",))[-1]
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{name}: {text[:40]!r} is not a number")
    return int(text)


def _reached(index: int, places: dict[str, int]) -> dict[str, bool]:
    """Return what has become of an entry here."""
    return {
        "durable": index <= places["durable_index"],
        "committed": index <= places["commit_index"],
        "applied": index <= places["applied_index"],
    }


def _snapshot_json(ref: SnapshotRef) -> dict[str, Any]:
    index, term, configuration = ref.snapshot
    return {
        "index": index,
        "term": term,
        "bytes": ref.size,
        "checksum": ref.checksum.hex(),
        "configuration": configuration_json(configuration),
    }
