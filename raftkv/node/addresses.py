"""Where the other members are: known as soon as an entry says so, not only once it is applied.

A new voter of a cluster of one must answer before its own addition can be committed (thesis §4.1), so the
leader has to reach it when the entry is appended. A removed one must hear of its removal.
"""

from collections.abc import Iterable, Mapping, Sequence

from raftkv.mvcc.membership import MemberChange, MemberInfo, decode_context
from raftkv.raft import Entry, EntryKind, Status, decode_configuration


class AddressBook:
    """Peer URLs by member id. An address outlives its member: an entry may still be rolled back."""

    def __init__(self, members: Iterable[MemberInfo], entries: Sequence[Entry]) -> None:
        """Begin with ``members`` and what ``entries`` change; raises what ``learn_from`` raises."""
        self._urls: dict[int, tuple[str, ...]] = {}
        self.learn(members)
        self.learn_from(entries)

    def learn(self, members: Iterable[MemberInfo]) -> None:
        """Take over the addresses of members."""
        self._urls.update((member.id, member.peer_urls) for member in members if member.peer_urls)

    def learn_from(self, entries: Sequence[Entry]) -> None:
        """Take over the addresses in the configuration entries among ``entries``, which may be uncommitted.

        Raises FormatTooNew, PeerProtocolError: a member that does not understand an entry can't go on.
        """
        for entry in entries:
            if entry.kind == EntryKind.CONFIGURATION:
                context = decode_context(decode_configuration(entry.data)[1])
                self.learn([context.member] if isinstance(context, MemberChange) else context)

    def peers(self, status: Status) -> Mapping[int, tuple[str, ...]]:
        """Return those that a member has to reach: the members in force, and whom it leads besides."""
        wanted = dict.fromkeys((*status.configuration.members, *status.peers))
        return {
            member: self._urls[member]
            for member in wanted
            if member != status.node_id and member in self._urls
        }
