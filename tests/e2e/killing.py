"""Real members are killed again and again under load; nothing that was acknowledged may be lost.

    python -m tests.e2e.killing [--restarts 100] [--seed 1] [--folder DIR] [--keep]

Three processes with small segments and frequent snapshots, clients on all of them, and SIGKILL for one, two
or all members: at random moments, while a snapshot is written, while one is received, and while members still
recover. At the end the members must agree with each other and with everything that the clients were told
(``tests/e2e/verdict.py``). Exit code 0 when they do.
"""

import argparse
import asyncio
import base64
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from tests.e2e.processes import MIB, Member, Processes, environment, now, post
from tests.e2e.traffic import Clients
from tests.e2e.verdict import Content, content_of, differences, shown, wrong

CLIENTS = 12
SEGMENT_BYTES = MIB
SNAPSHOT_COUNT = 400
TAIL_ENTRIES = 200
MOST_SNAPSHOTS = 3 + 4
"""Those that count, and those that followers fetched in the last half minute."""

MOST_SEGMENTS = 12
"""A bound for the log of a member: what lies above the oldest kept snapshot, the tail and a spare."""

PAGE = 5000
QUICK = ("--heartbeat-interval", "50", "--election-timeout", "400")
CALM_SECONDS = 40.0
WATCH_SECONDS = 3.0
SETTLE_SECONDS = 10.0


class Killing:
    """One run: what is killed when is drawn from the seed; what the machine makes of it is not."""

    def __init__(self, processes: Processes, seed: int) -> None:
        self.processes = processes
        self.members = processes.members
        self.clients = Clients(self.members, CLIENTS, seed)
        self.kills: Counter[str] = Counter()
        self.restarts = 0
        self._rng = Random(seed)

    async def run(self, restarts: int) -> None:
        """Start everything, kill until members were restarted ``restarts`` times, and let it calm down."""
        for member in self.members:
            self.processes.start(member)
        await self.calm()
        load = asyncio.create_task(self.clients.run())
        try:
            while self.restarts < restarts:
                assert not load.done(), "the clients are done before their time"
                await self._round()
            await self.calm()
            await asyncio.sleep(0.5)
        finally:
            self.clients.stop()
            await load

    async def calm(self) -> None:
        """Wait until every member answers a linearizable read."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            for member in self.members:
                deadline = now() + CALM_SECONDS
                while not await _reads(session, member):
                    self.processes.check_runs(member)
                    assert now() < deadline, f"no linearizable read; {member.last_words()}"
                    await asyncio.sleep(0.05)

    async def _round(self) -> None:
        moment = self._rng.choice(("random", "snapshot", "recovery", "install"))
        if moment == "install":
            targets = await self._while_installing()
        elif moment == "snapshot":
            found = await self._appears("*.draft", self._rng.sample(self.members, 3))
            targets = self._with_others(found) if found is not None else self._some()
        else:
            await asyncio.sleep(self._rng.uniform(0, 1.5))
            targets = self._some()
        self._kill(moment, targets)
        await asyncio.sleep(self._rng.uniform(0, 0.6))
        self._restart(targets)
        if moment == "recovery":
            await asyncio.sleep(self._rng.uniform(0, 1.0))
            again = [member for member in targets if member.runs]
            self._kill(moment, again)
            self._restart(again)
        if self._rng.random() < 0.7:
            await self.calm()

    async def _while_installing(self) -> list[Member]:
        """Keep one member down until it is far behind, start it, and wait until it receives a snapshot."""
        behind = self._rng.choice(self.members)
        self._kill("install", [behind])
        begin = self.clients.acknowledged()
        deadline = now() + 4 * WATCH_SECONDS
        while self.clients.acknowledged() - begin < 4 * SNAPSHOT_COUNT and now() < deadline:
            await asyncio.sleep(0.05)
        self._restart([behind])
        await self._appears("*.part", [behind])
        others = [member for member in self.members if member is not behind]
        return [behind] if self._rng.random() < 0.6 else [self._rng.choice(others)]

    async def _appears(self, pattern: str, members: list[Member]) -> Member | None:
        """Wait until a file that fits is in a member's snapshot folder; None when none came."""
        deadline = now() + WATCH_SECONDS
        while now() < deadline:
            for member in members:
                if any(member.snapshots.glob(pattern)):
                    return member
            await asyncio.sleep(0.001)
        return None

    def _some(self) -> list[Member]:
        return self._rng.sample(self.members, self._rng.choice((1, 1, 1, 2, 3)))

    def _with_others(self, first: Member) -> list[Member]:
        others = [member for member in self.members if member is not first]
        return [first, *self._rng.sample(others, self._rng.choice((0, 0, 1, 2)))]

    def _kill(self, moment: str, members: list[Member]) -> None:
        seen = {
            kind: sum(any(member.snapshots.glob(pattern)) for member in members)
            for kind, pattern in (("while writing a snapshot", "*.draft"), ("while receiving one", "*.part"))
        }
        self.processes.kill(members)
        self.kills[f"{moment}, {len(members)} at once"] += 1
        self.kills.update(seen)

    def _restart(self, members: list[Member]) -> None:
        for member in members:
            self.processes.start(member)
            self.restarts += 1

    # ------------------------------------------------------------ the end

    async def verdict(self) -> list[str]:
        """Return everything that is wrong now that nobody writes."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            contents = await self._contents(session)
            first = next(iter(contents.values()))
            return [
                *self._idle(),
                *self.clients.failures,
                *differences(contents),
                *wrong(self.clients.attempts, first[1], first[0]),
                *await self._history(session, first[0]),
                *await self._files(),
            ]

    def _idle(self) -> list[str]:
        """A run in which little was written shows nothing."""
        count = self.clients.acknowledged()
        return [f"only {count} requests were acknowledged"] if count < 10 * self.restarts else []

    async def _contents(self, session: aiohttp.ClientSession) -> dict[str, tuple[int, Content]]:
        """Read every member's own content, once all have applied the same."""
        newest = 0
        for member in self.members:
            status, answer = await post(session, member, "/v3/kv/range", {"key": "AA=="})
            assert status == 200, answer
            newest = max(newest, int(answer["header"]["revision"]))
        return {member.name: await everything(session, member, 0) for member in self.members}

    async def _history(self, session: aiohttp.ClientSession, newest: int) -> list[str]:
        """Every member has the same past down to the compacted revision, and nothing before."""
        compacted = self.clients.compacted
        if not compacted:
            return []
        found = []
        for revision in (compacted, (compacted + newest) // 2):
            past = {member.name: await everything(session, member, revision) for member in self.members}
            found += [f"at revision {revision}: {text}" for text in differences(past)]
        for member in self.members:
            body = {"key": "AA==", "range_end": "AA==", "revision": str(compacted - 1), "serializable": True}
            status, answer = await post(session, member, "/v3/kv/range", body)
            if status == 200 or "compacted" not in str(answer):
                found.append(f"{member.name} answers for revision {compacted - 1}, which was compacted")
        return found

    async def _files(self) -> list[str]:
        """Once nothing is written, a member has a bounded number of files."""
        deadline = now() + SETTLE_SECONDS
        while (found := self._too_many_files()) and now() < deadline:
            await asyncio.sleep(0.1)
        return found

    def _too_many_files(self) -> list[str]:
        found = []
        for member in self.members:
            found += [f"{member.name} left {path.name}" for path in self._unfinished(member)]
            kept, segments = (
                len(list(member.snapshots.glob("*.snap"))),
                len(list(member.segments.glob("*.wal"))),
            )
            if kept > MOST_SNAPSHOTS:
                found.append(f"{member.name} keeps {kept} snapshots")
            if segments > MOST_SEGMENTS:
                found.append(f"{member.name} keeps {segments} segments")
        return found

    def unsound_logs(self) -> list[str]:
        """End all members and let the command that checks logs look at theirs."""
        self.processes.kill(self.members)
        found = []
        for member in self.members:
            command = [sys.executable, "-m", "raftkv", "wal", "verify", str(member.data)]
            done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
            if done.returncode:
                found.append(f"{member.name}: wal verify: {done.stdout}{done.stderr}")
        return found

    def _unfinished(self, member: Member) -> list[Path]:
        return [*member.snapshots.glob("*.draft"), *member.snapshots.glob("*.part")]

    def summary(self) -> str:
        """Return what happened, in some lines."""
        outcomes = Counter(f"{attempt.kind} {attempt.outcome}" for attempt in self.clients.attempts)
        lines = [f"{self.restarts} restarts; kills: {_counts(self.kills)}", f"requests: {_counts(outcomes)}"]
        for member in self.members:
            events = {
                name: member.events(name) for name in ("SnapshotTaken", "SnapshotInstalled", "TornTailCut")
            }
            files = {
                "snapshots kept": len(list(member.snapshots.glob("*.snap"))),
                "segments": len(list(member.segments.glob("*.wal"))),
            }
            lines.append(f"{member.name}: {member.starts} starts, {_counts(events)}, {_counts(files)}")
        return "\n".join(lines)


async def everything(session: aiohttp.ClientSession, member: Member, revision: int) -> tuple[int, Content]:
    """Return the revision and the whole content of one member as it has it itself, page by page."""
    content: Content = {}
    key, at = "AA==", revision
    while True:
        body: dict[str, Any] = {"key": key, "range_end": "AA==", "limit": str(PAGE), "serializable": True}
        status, answer = await post(session, member, "/v3/kv/range", {**body, "revision": str(at)})
        assert status == 200, f"{member.name}: {answer}"
        at = at or int(answer["header"]["revision"])
        pairs = answer.get("kvs", [])
        content |= content_of(pairs)
        if not answer.get("more"):
            return at, content
        key = after(pairs[-1]["key"])


def after(key: str) -> str:
    """Return the least key above one, both as base64."""
    return base64.b64encode(base64.b64decode(key) + b"\0").decode()


async def _reads(session: aiohttp.ClientSession, member: Member) -> bool:
    try:
        status, _ = await post(session, member, "/v3/kv/range", {"key": "AA=="})
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False
    return status == 200


def _counts(counter: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def run(
    folder: Path, restarts: int, seed: int, say: Callable[[str], object], *, check_rules: bool = False
) -> list[str]:
    """Do a whole run in ``folder``; return what was wrong."""
    flags = [*QUICK, "--snapshot-count", str(SNAPSHOT_COUNT), "--check-rules", str(check_rules).lower()]
    processes = Processes(folder, flags, SEGMENT_BYTES, TAIL_ENTRIES)
    killing = Killing(processes, seed)

    async def both() -> list[str]:
        await killing.run(restarts)
        return await killing.verdict()

    try:
        found = asyncio.run(both())
        say(killing.summary())
        return [*found, *killing.unsound_logs()]
    finally:
        processes.end()


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--restarts", type=int, default=100, help="restarts of members (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what is killed when (default %(default)s)")
    parser.add_argument(
        "--folder", type=Path, help="where the members' folders are made (default: temporary)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folders when something was wrong")
    parser.add_argument("--check-rules", action="store_true", help="hold every step against Raft's rules")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="raftkv-killing-", dir=options.folder))
    processes_folder = folder / "cluster"
    processes_folder.mkdir()
    begin, found = now(), ["it did not end"]
    try:
        restarts, seed = options.restarts, options.seed
        found = run(processes_folder, restarts, seed, say, check_rules=options.check_rules)
    finally:
        if found and options.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder)
    say(f"seed {options.seed}, {now() - begin:.0f} s: {'nothing wrong' if not found else shown(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
