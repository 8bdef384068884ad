"""One member's disk is full: it refuses clearly, still votes, loses nothing, and goes on when there is room.

    python -m tests.e2e.full_disk [leader] [follower]

The command runs the story with real processes, each on a small tmpfs of its own, in a mount namespace that
ends with it (as root, or where users may make one). The tests run the same story in one process, on disks
that refuse what does not fit.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp

from tests.e2e.processes import MIB, Processes, now
from tests.e2e.traffic import b64
from tests.e2e.verdict import Content, content_of, differences, shown

NAMES = ("n1", "n2", "n3")
VALUE_BYTES = 8192
SECONDS = 30.0
"""Longest wait for anything here."""

QUIET_SECONDS = 1.5
"""Several election time-outs: a leader that heard nothing for so long would be replaced."""

ROOMY, TIGHT = 256 * MIB, 40 * MIB
INSIDE = "--inside-the-namespace"


class FullDiskCluster(Protocol):
    """Three members whose disks can be made small. ``segment_bytes``: of their logs."""

    segment_bytes: int

    async def start(self, name: str) -> None:
        """Start a member; it need not be ready."""

    async def stop(self, name: str) -> None:
        """End a member."""

    async def limit(self, name: str) -> None:
        """Leave little room on a member's disk."""

    async def unlimit(self, name: str) -> None:
        """Make room again."""

    def url(self, name: str) -> str:
        """Return a member's client URL."""


class Answer(NamedTuple):
    """Status 0: no connection or no answer in time."""

    status: int
    fields: dict[str, Any]

    @property
    def refused_for_space(self) -> bool:
        return self.status == 429 and "space exceeded" in str(self.fields.get("message"))


class Story:
    """What happens, in order; every step asserts what it claims."""

    def __init__(
        self, cluster: FullDiskCluster, session: aiohttp.ClientSession, say: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._session = session
        self._say = say
        self._acknowledged: list[str] = []
        self._refused: list[str] = []
        self._sequence = 0

    async def tell(self, role: str) -> None:
        """Tell the whole story of a leader or a follower whose disk gets full."""
        for name in NAMES:
            await self._cluster.start(name)
        leader = await self._leader(NAMES)
        full = leader if role == "leader" else next(name for name in NAMES if name != leader)
        others = [name for name in NAMES if name != full]
        await self._cluster.limit(full)
        await self._fill(full)
        first = await self._others_go_on(full, others)
        second = next(name for name in others if name != first)
        await self._votes_and_follows(full, first, second)
        await self._starts_again(full, others)
        await self._cluster.unlimit(full)
        await self._goes_on(full)
        await self._nothing_is_lost(full)

    async def _fill(self, full: str) -> None:
        """Put at the member until it refuses, which it does at once and with a clear text."""
        while True:
            answer = await self._put(full)
            if answer.status != 200:
                break
        assert answer.refused_for_space, answer
        self._say(f"{full} was filled by {len(self._acknowledged)} puts: {answer.fields['message']}")

    async def _others_go_on(self, full: str, others: list[str]) -> str:
        """Leadership moves to a member with room; the full one goes on refusing its own clients.

        The others write so much that the full one can't keep it all: entries wait for its disk.
        """
        begin = now()
        leader = await self._leader(others)
        self._say(f"{leader} led {now() - begin:.1f} s later")
        for _ in range(2 * self._cluster.segment_bytes // VALUE_BYTES):
            await self._put_somewhere(others)
        answer = await self._put(full)
        assert answer.refused_for_space, answer
        return leader

    async def _votes_and_follows(self, full: str, leader: str, other: str) -> None:
        """Without the leader, the third member can only lead with the full one's vote, and stays leader."""
        await self._cluster.stop(leader)
        begin = now()
        await self._until(lambda: self._leads(other, voters=(other, full)), f"{other} led with {full}'s vote")
        self._say(f"{other} led with {full}'s vote {now() - begin:.1f} s after {leader} was stopped")
        await self._cluster.start(leader)
        await self._until(lambda: self._follows(leader, other), f"{leader} follows {other}")
        term = (await self._status(other))["raftTerm"]
        deadline = now() + QUIET_SECONDS
        while now() < deadline:
            await self._put_somewhere([leader, other])
        for name in NAMES:
            status = await self._status(name)
            assert status["raftTerm"] == term, (
                f"{name} is in term {status['raftTerm']}, {other} led in {term}"
            )

    async def _starts_again(self, full: str, others: list[str]) -> None:
        """A member whose disk is full can be started, follows, and is no danger to the others."""
        await self._cluster.stop(full)
        await self._put_somewhere(others)
        await self._cluster.start(full)
        leader = await self._leader(others)
        await self._until(lambda: self._follows(full, leader), f"{full} follows {leader} after a restart")
        await self._put_somewhere(others)
        self._say(f"{full} was started again on its full disk and follows {leader}")

    async def _goes_on(self, full: str) -> None:
        """With room, the member catches up and takes puts again, by itself."""
        begin = now()
        await self._until(lambda: self._takes_a_put(full), f"{full} takes puts")
        self._say(f"{full} took puts {now() - begin:.1f} s after there was room")

    async def _nothing_is_lost(self, full: str) -> None:
        """All members hold what was acknowledged, and nothing that was refused."""
        contents: dict[str, tuple[int, Content]] = {}

        async def equal() -> bool:
            for name in NAMES:
                contents[name] = await self._content(name)
            return not differences(contents)

        await self._until(equal, f"{full} has caught up")
        pairs = contents[full][1]
        lost = [key for key in self._acknowledged if key not in pairs]
        assert lost == [], shown(lost)
        entered = [key for key in self._refused if key in pairs]
        assert entered == [], shown(entered)
        self._say(
            f"{len(self._acknowledged)} acknowledged puts are on all, {len(self._refused)} refused on none"
        )

    # ------------------------------------------------------------ requests

    async def _put(self, name: str) -> Answer:
        """Put a new key at a member, once."""
        self._sequence += 1
        key = f"k/{self._sequence:05d}"
        answer = await self._post(name, "/v3/kv/put", {"key": b64(key), "value": b64("x" * VALUE_BYTES)})
        if answer.status == 200:
            self._acknowledged.append(key)
        elif answer.refused_for_space:
            self._refused.append(key)
        return answer

    async def _put_somewhere(self, names: list[str]) -> None:
        """Put at one of these members; one of them has to take it in time."""
        deadline = now() + SECONDS
        while True:
            for name in names:
                answer = await self._put(name)
                if answer.status == 200:
                    return
                assert now() < deadline, answer
            await asyncio.sleep(0.05)

    async def _takes_a_put(self, name: str) -> bool:
        return (await self._put(name)).status == 200

    async def _leader(self, names: "tuple[str, ...] | list[str]") -> str:
        """Wait until one of these leads and all of them follow it."""
        found: list[str] = []

        async def one_leads() -> bool:
            found[:] = [name for name in names if await self._leads(name, voters=tuple(names))]
            return len(found) == 1

        await self._until(one_leads, f"one of {', '.join(names)} leads")
        return found[0]

    async def _leads(self, name: str, voters: tuple[str, ...]) -> bool:
        """Whether these members agree in one term that ``name`` leads."""
        own = (await self._status(name)).get("header", {}).get("member_id")
        statuses = [await self._status(voter) for voter in voters]
        views = {(status.get("leader"), status.get("raftTerm")) for status in statuses}
        return own is not None and len(views) == 1 and views.pop()[0] == own

    async def _follows(self, name: str, leader: str) -> bool:
        return await self._leads(leader, voters=(name, leader))

    async def _status(self, name: str) -> dict[str, Any]:
        return (await self._post(name, "/v3/maintenance/status", {})).fields

    async def _content(self, name: str) -> tuple[int, Content]:
        body = {"key": "AA==", "range_end": "AA==", "serializable": True}
        fields = (await self._post(name, "/v3/kv/range", body)).fields
        return int(fields.get("header", {}).get("revision", 0)), content_of(fields.get("kvs", []))

    async def _post(self, name: str, path: str, body: dict[str, Any]) -> Answer:
        try:
            async with self._session.post(self._cluster.url(name) + path, json=body) as reply:
                return Answer(reply.status, await reply.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Answer(0, {"message": repr(error)})

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = now() + SECONDS
        while not await condition():
            statuses = [await self._status(name) for name in NAMES] if now() > deadline else []
            assert now() < deadline, f"not within {SECONDS:.0f} s: {what}; {statuses}"
            await asyncio.sleep(0.05)


async def tell(cluster: FullDiskCluster, role: str, say: Callable[[str], None]) -> None:
    """Tell the story of a leader or a follower with this cluster, which is new."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        await Story(cluster, session, say).tell(role)


# ---------------------------------------------------------------- with processes on small file systems


class MountedCluster:
    """Real processes, each with its data on a tmpfs of its own."""

    segment_bytes = 4 * MIB

    def __init__(self, folder: Path) -> None:
        flags = ("--heartbeat-interval", "50", "--election-timeout", "500")
        self.processes = Processes(folder, flags, self.segment_bytes, 5000)
        self._members = {member.name: member for member in self.processes.members}
        for member in self.processes.members:
            member.data.mkdir(parents=True)
            _run("mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "raftkv-test", str(member.data))

    async def start(self, name: str) -> None:
        self.processes.start(self._members[name])

    async def stop(self, name: str) -> None:
        self.processes.kill([self._members[name]])

    async def limit(self, name: str) -> None:
        _run("mount", "-o", f"remount,size={TIGHT}", str(self._members[name].data))

    async def unlimit(self, name: str) -> None:
        _run("mount", "-o", f"remount,size={ROOMY}", str(self._members[name].data))

    def url(self, name: str) -> str:
        return self._members[name].url


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell_inside(folder: Path, role: str) -> None:
    """Tell the story where mounting is allowed and nobody else sees it."""
    say(f"a {role} whose disk gets full:")
    cluster = MountedCluster(folder)
    try:
        asyncio.run(tell(cluster, role, lambda text: say(f"  {text}")))
    finally:
        cluster.processes.end()


def main() -> int:
    if sys.argv[1:2] == [INSIDE]:
        tell_inside(Path(sys.argv[2]), sys.argv[3])
        return 0
    return max(tell_in_a_namespace(role) for role in sys.argv[1:] or ("follower", "leader"))


def tell_in_a_namespace(role: str) -> int:
    """Run this program again where it may mount; the mounts end with it."""
    folder = Path(tempfile.mkdtemp(prefix="raftkv-full-disk-"))
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [sys.executable, "-m", "tests.e2e.full_disk", INSIDE, str(folder), role]
    try:
        return subprocess.run(["unshare", "--mount", *user, *command], check=False).returncode
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
