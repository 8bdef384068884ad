"""Watches: every change of a range, in order, without a gap and without a double."""

from dataclasses import dataclass

from raftkv.client.http import Http
from raftkv.client.outcome import Compacted, WatchCanceled, WrongAnswer
from raftkv.client.subscription import Subscription
from raftkv.schema import watch as wire
from raftkv.schema.kv import KeyValue
from raftkv.schema.watch import EventType, WatchCreateRequest, WatchRequest, WatchResponse

COMPACTED = "etcdserver: mvcc: required revision has been compacted"


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one key. ``kv`` of a deletion has only the key and the revision.

    ``prev_kv``: the pair before, if the watch asked for it, there was one and it is not compacted away.
    """

    type: EventType
    kv: KeyValue
    prev_kv: KeyValue | None

    @property
    def key(self) -> bytes:
        """The key that changed."""
        return self.kv.key

    @property
    def value(self) -> bytes:
        """The value it was given; empty for a deletion."""
        return self.kv.value

    @property
    def revision(self) -> int:
        """The revision of the change; changes of one txn share it."""
        return self.kv.mod_revision

    @property
    def is_delete(self) -> bool:
        """Whether the key was deleted."""
        return self.type is EventType.DELETE


class Position:
    """How far a watch has come, and what its replies mean. No input or output.

    A stream is only ever left at the end of a revision: etcd never splits one over two replies but for
    fragments, and the fragments of a reply are held back until the last one is there.
    """

    def __init__(self, request: WatchCreateRequest) -> None:
        self._wanted = request
        self._held: list[wire.Event] = []
        self._cluster = 0
        self.started = False
        self.next_revision = max(request.start_revision, 0)
        """Everything before it was given out; 0 = from when the watch begins."""

    def request(self) -> WatchRequest:
        """Begin a stream; return the request that goes on where the last one ended."""
        self._held = []
        self.started = False
        wanted = self._wanted
        create = WatchCreateRequest(
            key=wanted.key,
            range_end=wanted.range_end,
            start_revision=self.next_revision,
            progress_notify=True,
            filters=wanted.filters,
            prev_kv=wanted.prev_kv,
            fragment=True,
        )
        return WatchRequest(create_request=create)

    def take(self, reply: WatchResponse) -> list[Event]:
        """Return the events that are complete with this reply.

        Raises Compacted (with the oldest revision left), WatchCanceled, and WrongAnswer for a reply of
        another cluster or of a revision that was given out.
        """
        self._check_cluster(reply)
        if reply.canceled:
            raise _end_of(reply)
        self._held.extend(reply.events)
        if reply.fragment:
            return []
        events = [_event(event) for event in self._held]
        self._held = []
        if events:
            self._move_past(events)
        elif reply.header is not None and reply.watch_id >= 0:
            self._note_progress(reply.header.revision)
        self.started = True
        return events

    def _check_cluster(self, reply: WatchResponse) -> None:
        cluster = reply.header.cluster_id if reply.header is not None else 0
        if cluster and self._cluster not in (0, cluster):
            raise WrongAnswer(f"the watch began in cluster {self._cluster:x}, and this is {cluster:x}")
        self._cluster = cluster or self._cluster

    def _move_past(self, events: list[Event]) -> None:
        revisions = [event.revision for event in events]
        if revisions != sorted(revisions) or revisions[0] < self.next_revision:
            raise WrongAnswer(f"an event of revision {min(revisions)} behind those before it")
        self.next_revision = revisions[-1] + 1

    def _note_progress(self, revision: int) -> None:
        """Note that no event up to ``revision`` is still to come: the watch began, or is in step."""
        begins_here = self.next_revision == 0
        if self.started or begins_here:
            self.next_revision = max(self.next_revision, revision + 1)


def _event(event: wire.Event) -> Event:
    if event.type not in (EventType.PUT, EventType.DELETE):
        raise WrongAnswer(f"an event of the unknown type {event.type}")
    return Event(EventType(event.type), event.kv or KeyValue(), event.prev_kv)


def _end_of(reply: WatchResponse) -> Exception:
    if reply.compact_revision or reply.cancel_reason == COMPACTED:
        return Compacted(400, 11, COMPACTED, reply.compact_revision)
    return WatchCanceled(reply.cancel_reason or "the server ended the watch")


class Watch(Subscription[WatchResponse, Event]):
    """The events of a watch, one by one: ``async for event in watch``."""

    def __init__(self, http: Http, request: WatchCreateRequest) -> None:
        self._position = Position(request)
        super().__init__(http, "/v3/watch", WatchResponse, self._position)

    @property
    def next_revision(self) -> int:
        """The ``start_revision`` with which another watch would miss nothing of what was not taken yet.

        In the middle of a txn's events it is still the txn's revision: what was taken of it comes again.
        """
        return self._items[0].revision if self._items else self._position.next_revision
