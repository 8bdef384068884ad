"""The cluster as its members tell it: who leads, who lags, who is ill."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from raftkv.client import SyncClient
from raftkv.errors import RaftKvError
from raftkv.local.layout import MemberPlace


class MemberView(NamedTuple):
    """One member's own view. ``leader`` is a member id, 0 = knows none; ``reason`` is "" when healthy."""

    name: str
    client_url: str
    member_id: int
    leader: int
    term: int
    commit: int
    applied: int
    reason: str

    @property
    def healthy(self) -> bool:
        """Tell whether the member serves reads and writes."""
        return not self.reason

    @property
    def role(self) -> str:
        """What the member says it is: leader, follower, or "-" when it knows no leader."""
        if not self.leader:
            return "-"
        return "leader" if self.leader == self.member_id else "follower"


class ClusterView(NamedTuple):
    """All members' views, in the order of the layout."""

    members: tuple[MemberView, ...]

    @property
    def leader(self) -> str:
        """Name of the member that leads in the newest term, "" when there is none."""
        leaders = [member for member in self.members if member.role == "leader"]
        return max(leaders, key=lambda member: member.term).name if leaders else ""

    @property
    def healthy(self) -> bool:
        """Tell whether there is one leader that every member follows and all members are well."""
        followed = {member.leader for member in self.members}
        return bool(self.leader) and len(followed) == 1 and all(member.healthy for member in self.members)

    def lag(self, member: MemberView) -> int | None:
        """Entries that the member has not applied yet of what any member knows as committed."""
        if not member.member_id:
            return None
        return max(other.commit for other in self.members) - member.applied


def look(members: Sequence[MemberPlace], timeout: float) -> ClusterView:
    """Ask all members at once; one that hangs costs ``timeout`` seconds and hides no other."""
    with ThreadPoolExecutor(max_workers=len(members)) as pool:
        return ClusterView(tuple(pool.map(lambda member: look_at(member, timeout), members)))


def look_at(member: MemberPlace, timeout: float) -> MemberView:
    """Ask one member for its state and its health."""
    client = SyncClient([member.client_url], timeout)
    try:
        status = client.status()
        view = _view(member, status, "")
    except RaftKvError as error:
        return MemberView(member.name, member.client_url, 0, 0, 0, 0, 0, _short(error, member))
    except (TypeError, ValueError, AttributeError) as error:
        return MemberView(member.name, member.client_url, 0, 0, 0, 0, 0, f"odd status: {error}")
    errors = status.get("errors") or []
    if errors:
        return view._replace(reason=", ".join(str(text).strip() for text in errors))
    try:
        healthy, reason = client.health()
    except RaftKvError as error:
        return view._replace(reason=_short(error, member))
    return view if healthy else view._replace(reason=reason or "not healthy")


def _view(member: MemberPlace, status: dict[str, Any], reason: str) -> MemberView:
    return MemberView(
        name=member.name,
        client_url=member.client_url,
        member_id=int(status.get("header", {}).get("member_id", 0)),
        leader=int(status.get("leader", 0)),
        term=int(status.get("raftTerm", 0)),
        commit=int(status.get("raftIndex", 0)),
        applied=int(status.get("raftAppliedIndex", 0)),
        reason=reason,
    )


def _short(error: RaftKvError, member: MemberPlace) -> str:
    return str(error).removeprefix(f"{member.client_url}: ")
