"""Changes of the members at their node: what is in force, what is refused, what is answered early."""

from collections.abc import Awaitable, Callable, Mapping

from raftkv.errors import (
    ChangeRefused,
    MemberNotEnoughStarted,
    MemberNotFound,
    NotLeader,
    PeerProtocolError,
    RequestError,
)
from raftkv.mvcc.machine import Applied, Machine
from raftkv.mvcc.membership import ChangeOf, MemberChange, MemberInfo, check_change, decode_context
from raftkv.node.waiters import Waiters
from raftkv.raft import ChangeKind, EntryKind, Role, Status, decode_configuration

CHANGE_OF: Mapping[ChangeKind, ChangeOf] = {
    ChangeKind.ADD_VOTER: ChangeOf.ADD,
    ChangeKind.ADD_LEARNER: ChangeOf.ADD,
    ChangeKind.PROMOTE: ChangeOf.PROMOTE,
    ChangeKind.REMOVE: ChangeOf.REMOVE,
    ChangeKind.UPDATE: ChangeOf.UPDATE,
}
"""What the members' list makes of a change of the configuration."""


class Changes:
    """The changes of one node; ``waiting`` counts its clients' that have no answer yet."""

    def __init__(
        self,
        machine: Machine,
        waiters: Waiters,
        *,
        status: Callable[[], Status],
        applied_index: Callable[[], int],
        read_barrier: Callable[[], Awaitable[None]],
        max_learners: int,
    ) -> None:
        self.waiting = 0
        self._machine = machine
        self._waiters = waiters
        self._status = status
        self._applied_index = applied_index
        self._read_barrier = read_barrier
        self._max_learners = max_learners

    def members(self) -> list[MemberInfo]:
        """Return the members as the log has them: a change counts as soon as it is in force."""
        return self._machine.membership.after(self._not_applied(self._status()))

    async def check(self, change: ChangeKind, member: int, context: bytes) -> None:
        """Refuse a change that the leader can't make; ``context`` is what the log will say of it.

        The core has the last word: it lets one change wait for the other. Raises NotLeader, RequestError,
        ChangeRefused where another change that may be rolled back is what it does not fit, PeerProtocolError,
        and what ``Node.read_barrier`` raises.
        """
        told = decode_context(context)  # in the log, what nobody understands would stop every member
        if not isinstance(told, MemberChange) or (CHANGE_OF[change], member) != (told.kind, told.member.id):
            raise PeerProtocolError(f"a change of the members that contradicts itself: {told!r:.80}")
        try:
            self._check(told)
        except (RequestError, ChangeRefused):
            # then by the members as they are now, and not as a leader has them that was deposed, or
            # that has not applied everything yet
            await self._read_barrier()
            self._check(told)

    def _check(self, told: MemberChange) -> None:
        status = self._status()
        if status.role is not Role.LEADER:
            raise NotLeader(status.leader)
        try:
            self._check_fits(status, told)
        except RequestError:
            if status.configuration_index > self._applied_index():
                raise ChangeRefused("another change of the members is under way") from None
            raise

    def _check_fits(self, status: Status, told: MemberChange) -> None:
        if told.member.id in status.configuration.removed:
            raise MemberNotFound(f"member {told.member.id:x} was removed; its id is never used again")
        if told.kind is ChangeOf.REMOVE and status.configuration.voters == (told.member.id,):
            raise MemberNotEnoughStarted(f"member {told.member.id:x} is the only voter")
        check_change(self.members(), told.kind, told.member, self._max_learners)

    def settle_second_voter(self) -> None:
        """Answer the addition of a second voter once the first one has it on its disk.

        Nothing can undo it then. To commit it takes the new member, which is started after the answer.
        """
        status = self._status()
        contexts = self._not_applied(status)
        change = decode_context(contexts[-1]) if contexts else None
        if status.role is not Role.LEADER or not isinstance(change, MemberChange):
            return
        second = change.kind is ChangeOf.ADD and set(status.configuration.voters) == {
            status.node_id,
            change.member.id,
        }
        if second and status.configuration_index <= status.durable_index:
            self._waiters.resolve(Applied(change.request_id, self.members(), None, duplicate=False))

    def _not_applied(self, status: Status) -> list[bytes]:
        """Return the contexts of the changes that are in force and not applied yet: one, but for a start."""
        low = max(self._applied_index() + 1, status.log.first_index)
        if status.configuration_index < low:
            return []
        entries = status.log.slice(low, status.configuration_index)
        return [decode_configuration(one.data)[1] for one in entries if one.kind == EntryKind.CONFIGURATION]
