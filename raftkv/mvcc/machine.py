"""The state machine: applies committed entries, one at a time, the same on every member."""

from typing import NamedTuple, TypeAlias

from raftkv.errors import RequestError
from raftkv.mvcc.commands import (
    CheckpointLeases,
    CommandRequest,
    ExpireLease,
    PublishMember,
    RaiseLevel,
    RequestId,
    decode_command,
)
from raftkv.mvcc.content import Content
from raftkv.mvcc.cut import MachineCut
from raftkv.mvcc.digest import digest_of
from raftkv.mvcc.level import check_known
from raftkv.mvcc.loading import MachineLoader
from raftkv.mvcc.membership import MemberInfo, level_in
from raftkv.schema.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    ResponseHeader,
    TxnRequest,
    TxnResponse,
)
from raftkv.schema.lease import (
    LeaseCheckpointResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
)
from raftkv.schema.maintenance import AlarmRequest, AlarmResponse

CommandResponse: TypeAlias = (
    PutResponse
    | DeleteRangeResponse
    | TxnResponse
    | CompactionResponse
    | LeaseGrantResponse
    | LeaseRevokeResponse
    | LeaseCheckpointResponse
    | AlarmResponse
    | list[MemberInfo]
)


LeaseRequest: TypeAlias = LeaseGrantRequest | LeaseRevokeRequest | ExpireLease | CheckpointLeases


class Applied(NamedTuple):
    """What came of a command: a response, or the same error on every member, or a duplicate's nothing.

    ``response`` is None too for a command that has none (publishing a member), and for a leader's own
    command that is void: in an entry of another term than the one it was made for, or about a lease that was
    granted later.
    """

    request_id: RequestId
    response: CommandResponse | None
    error: RequestError | None
    duplicate: bool


class Machine(Content):
    """The replicated content, and what an entry does to it."""

    def apply_command(self, index: int, data: bytes, term: int = 0) -> Applied:
        """Apply the command of the entry at ``index``, which must be above all applied before.

        ``term`` is the entry's; only a leader's own commands look at it, and are void in any other than
        theirs: who leads in a later term counts from another moment on.

        Raises FormatTooNew or PeerProtocolError, before anything is changed, when the command can't be
        understood: the node stops then, it never skips an entry. A client's error is a result.
        """
        assert index > self.applied_index, f"entry {index} applied after {self.applied_index}"
        command = decode_command(data)
        self.applied_index = index
        if not self.sessions.admit(command.request_id):
            return Applied(command.request_id, None, None, duplicate=True)
        try:
            response = self._run(command.request, term)
        except RequestError as error:
            return Applied(command.request_id, None, error, duplicate=False)
        return Applied(command.request_id, response, None, duplicate=False)

    def _run(self, request: CommandRequest, term: int) -> CommandResponse | None:
        self.alarms.check(request)
        if isinstance(request, LeaseRequest):
            return self._run_lease(request, term)
        match request:
            case PutRequest():
                return self.store.put(request)
            case TxnRequest():
                return self.store.txn(request)
            case DeleteRangeRequest():
                return self.store.delete_range(request)
            case CompactionRequest():
                return self.store.compact(request)
            case AlarmRequest():
                alarms = self.alarms.apply(request)
                return AlarmResponse(self._header(), alarms)
            case PublishMember():
                self.membership.publish(request)
            case RaiseLevel() if request.term == term:
                self.level.raise_to(request.level)
        return None

    def _run_lease(self, request: LeaseRequest, term: int) -> CommandResponse | None:
        match request:
            case LeaseGrantRequest():
                self.leases.grant(request.ID, request.TTL, self.applied_index)
                return LeaseGrantResponse(self._header(), request.ID, request.TTL)
            case LeaseRevokeRequest():
                return self._revoke(request.ID)
            case ExpireLease() if request.term == term and not self.leases.is_newer(request.id, request.seen):
                response = self._revoke(request.id)
                self.leases.expiries += 1
                return response
            case CheckpointLeases() if request.term == term:
                for checkpoint in request.checkpoints:
                    self.leases.checkpoint(checkpoint, request.seen)
                return LeaseCheckpointResponse(self._header())
        return None

    def _revoke(self, lease: int) -> LeaseRevokeResponse:
        self.leases.revoke(lease)
        self.store.delete_attached(lease)
        return LeaseRevokeResponse(self._header())

    def _header(self) -> ResponseHeader:
        return ResponseHeader(revision=self.store.revision)

    def apply_configuration(self, index: int, data: bytes) -> Applied | None:
        """Apply the configuration entry at ``index``; the response to a change is the members' new list.

        Raises FormatTooNew, PeerProtocolError.
        """
        assert index > self.applied_index, f"entry {index} applied after {self.applied_index}"
        level = level_in(data)
        check_known(level)
        request_id = self.membership.apply(data)
        self.level.raise_to(level)
        self.applied_index = index
        if request_id is None:
            return None
        return Applied(request_id, self.membership.members(), None, duplicate=False)

    def digest(self) -> bytes:
        """Return a SHA-256 over the whole content; equal on all members at one applied index.

        Walks every version at once (seconds for a million keys): for tests and checks only.
        """
        return digest_of(self.parts())

    def cut(self) -> MachineCut:
        """Hold on to the content as it is now, to be written out in slices; the caller closes it.

        One step of well under a millisecond, whatever the store holds.
        """
        return MachineCut(self)

    def adopt(self, loader: MachineLoader) -> None:
        """Go on with what was loaded, in one short step; the loader has the old content then.

        What read that goes on reading it. ``MachineLoader.discard_step`` frees it.
        """
        self.exchange(loader.take_loaded())
