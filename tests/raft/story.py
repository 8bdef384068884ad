"""Stories as text: a prose comment, a command, ``----``, and all that the command made happen.

::

    # A follower that hears nobody stands for election.
    cluster 3

    timeout n1
    ----
    n1 becomes pre-candidate in term 1

A file is read block by block (blocks are parted by empty lines): lines of prose, then commands, and what
follows ``----`` is their full output. Commands:

==================================  =========================================================================
cluster 3 [slow disks] [chance 7]   three members; with slow disks a write waits for ``persist``
cluster 3 lease reads               three members that read under the leader's lease
start n4                            a new member with an empty disk; ``change`` adds it to the cluster
set n1 1 1 4 [term 6 vote n2]       n1 starts anew with a log of entries of these terms
tick n1 [n2 ...] 10                 ten heartbeat intervals pass there (``tick all 10``)
wake n1 20                          n1 was paused for twenty intervals, and ticks once
timeout n1                          time passes at n1 until its election timer fires
propose n1 x                        a client proposes x at n1 (``x*1000``: a thousand of them)
read n1                             a client asks n1 for a linearizable read
change n1 add-learner n4            n1 is asked to change the members (add-voter, promote, remove, update)
transfer n1 n2                      n1 is asked to let n2 lead
snapshot n1 [keeping 2]             n1 takes a snapshot; its log keeps two of the entries it stands for
snapshot n1 begins, ... ends        the same in two steps: taken, and on disk
unreachable n1 n2, connected n1 n2  the transport of n1 tells something about n2
failed n1 n2                        the transport of n1 could not bring its snapshot to n2
persist n1 [2]                      the oldest (two) writes of n1 become durable (all)
deliver [4]                         all that is under way arrives, link by link (and the answers, four times)
deliver n1->n2 [2|all]              the first (second, each) message of a link arrives
drop n1->n2 [2|all], drop n1        it is lost; all from and to n1 is lost
duplicate n1->n2 [2]                a copy of it goes to the end of the link
crash n1 [keeping 1]                n1 dies; one of the writes under way had reached the disk
restart n1                          it comes back with what its disk held
partition n1 | n2 n3, cut n1->n2    links lose everything, also what is under way
heal                                all links are whole
stabilize                           persist and deliver until nothing is under way
status, log n1, members n1          look
messages, peers n1                  look at what is under way, and at what a leader knows of its peers
quietly COMMAND                     do it without telling
==================================  =========================================================================

The election time-out is 10 to 19 ticks and always drawn as 19, so that stories say who is first; with
``chance 7`` it is drawn by a Random of that seed.
"""

from collections.abc import Callable
from random import Random

from raftkv.errors import ProposalDropped
from raftkv.raft import Change, ChangeKind, HardState, PeerEvent, make_core
from tests.raft.describe import (
    describe_configuration,
    describe_entry,
    describe_message,
    describe_status,
    describe_write,
    name,
)
from tests.raft.group import CoreMaker, Group, Link


def member(word: str) -> int:
    """Return 1 for ``n1`` and 0 for ``nobody``."""
    return 0 if word == "nobody" else int(word.removeprefix("n"))


def link(word: str) -> Link:
    """Return (1, 2) for ``n1->n2``."""
    source, _, target = word.partition("->")
    return member(source), member(target)


class Story:
    """Carries out commands on one group and collects what they made happen."""

    def __init__(self, make: CoreMaker = make_core, *, silent: bool = False) -> None:
        self._make = make
        self._narrate = None if silent else self._tell
        self._lines: list[str] = []
        self.group = Group(0)
        self._verbs: dict[str, Callable[[list[str]], None]] = {
            "cluster": self._cluster,
            "set": self._set,
            "start": lambda words: self.group.start(member(words[0])),
            "tick": self._tick,
            "wake": lambda words: self.group.wake(member(words[0]), int(words[1])),
            "timeout": lambda words: self.group.timeout(member(words[0])),
            "propose": self._propose,
            "read": self._read,
            "unreachable": lambda words: self._report(words, PeerEvent.UNREACHABLE),
            "connected": lambda words: self._report(words, PeerEvent.CONNECTED),
            "failed": lambda words: self._report(words, PeerEvent.SNAPSHOT_FAILED),
            "change": self._change,
            "transfer": lambda words: self.group.transfer(*map(member, words)),
            "snapshot": self._snapshot,
            "persist": lambda words: self.group.persist(member(words[0]), *map(int, words[1:])),
            "deliver": self._deliver,
            "drop": self._drop,
            "duplicate": lambda words: self._on_link(words, self.group.duplicate),
            "crash": lambda words: self.group.crash(member(words[0]), *map(int, words[2:])),
            "restart": lambda words: self.group.restart(member(words[0])),
            "partition": self._partition,
            "cut": lambda words: self.group.cut_link(*link(words[0])),
            "heal": lambda words: self.group.heal(),
            "stabilize": lambda words: self.group.stabilize(),
            "status": self._status,
            "log": self._log,
            "members": self._members,
            "peers": self._peers,
            "messages": self._messages,
            "quietly": self._quietly,
        }

    def run(self, command: str) -> list[str]:
        """Carry out one command and return the lines it made."""
        self._lines.clear()
        verb, *words = command.split()
        self._verbs[verb](words)
        return list(self._lines)

    def tell(self, command: str) -> list[str]:
        """Do the same; a proposal or read that is refused is part of the story."""
        try:
            return self.run(command)
        except ProposalDropped as error:
            return [f"refused: {error}"]

    def _tell(self, line: str) -> None:
        self._lines.append(line)

    def _cluster(self, words: list[str]) -> None:
        chance = Random(int(words[words.index("chance") + 1])) if "chance" in words else None
        self.group = Group(
            int(words[0]),
            make=self._make,
            rng=chance,
            instant_disks="slow" not in words,
            narrate=self._narrate,
            lease_reads="lease" in words,
        )
        self._lines.clear()

    def _set(self, words: list[str]) -> None:
        row, _, state = " ".join(words[1:]).partition(" term ")
        terms = [int(term) for term in row.split()]
        term, _, vote = state.partition(" vote ")
        hard_state = HardState(int(term), member(vote or "nobody"), 1) if state else None
        self.group.set_log(member(words[0]), terms, hard_state)
        self._lines.clear()

    def _tick(self, words: list[str]) -> None:
        nodes = self.group.running() if words[0] == "all" else [member(word) for word in words[:-1]]
        for _ in range(int(words[-1])):
            for node in nodes:
                self.group.tick(node)

    def _propose(self, words: list[str]) -> None:
        data, _, repeat = words[1].partition("*")
        self.group.propose(member(words[0]), data.encode() * int(repeat or 1))

    def _read(self, words: list[str]) -> None:
        context = self.group.read(member(words[0]))
        self._lines.insert(0, f"read {context} is asked at {words[0]}")

    def _change(self, words: list[str]) -> None:
        self.group.change(member(words[0]), Change(ChangeKind(words[1]), member(words[2])))

    def _snapshot(self, words: list[str]) -> None:
        node = member(words[0])
        match words[1:]:
            case ["begins"]:
                self.group.begin_snapshot(node)
            case ["ends", *keeping]:
                self.group.end_snapshot(node, *map(int, keeping[1:]))
            case keeping:
                self.group.snapshot(node, *map(int, keeping[1:]))

    def _report(self, words: list[str], event: PeerEvent) -> None:
        self.group.report(member(words[0]), member(words[1]), event)

    def _deliver(self, words: list[str]) -> None:
        if words and "->" in words[0]:
            self._on_link(words, self.group.deliver)
            return
        for _ in range(int(words[0]) if words else 1):
            self.group.deliver_round()

    def _drop(self, words: list[str]) -> None:
        if "->" in words[0]:
            self._on_link(words, self.group.drop)
            return
        for source, target in self.group.under_way():
            if member(words[0]) in (source, target):
                self._on_link([f"n{source}->n{target}", "all"], self.group.drop)

    def _on_link(self, words: list[str], act: Callable[[int, int, int], None]) -> None:
        source, target = link(words[0])
        if words[1:] == ["all"]:
            for _ in range(len(self.group.links[source, target])):
                act(source, target, 0)
        else:
            act(source, target, int(words[1]) - 1 if words[1:] else 0)

    def _partition(self, words: list[str]) -> None:
        self.group.partition(
            *([member(word) for word in side.split()] for side in " ".join(words).split("|"))
        )

    def _status(self, words: list[str]) -> None:
        for node, one in self.group.members.items():
            self._tell(describe_status(one.status) if one.core is not None else f"{name(node)} is down")

    def _log(self, words: list[str]) -> None:
        log = self.group.members[member(words[0])].status.log
        for entry in log.slice(log.first_index, log.last_index):
            self._tell(describe_entry(entry))

    def _members(self, words: list[str]) -> None:
        self._tell(describe_configuration(self.group.members[member(words[0])].status.configuration))

    def _peers(self, words: list[str]) -> None:
        for peer, progress in sorted(self.group.members[member(words[0])].status.peers.items()):
            frontiers = f"holds {progress.match_index}, next {progress.next_index}"
            self._tell(f"{name(peer)} {progress.state}: {frontiers}")

    def _messages(self, words: list[str]) -> None:
        for queue in self.group.links.values():
            self._lines += map(describe_message, queue)
        for node, one in self.group.members.items():
            self._lines += [f"{describe_write(node, write)} (under way)" for write in one.writes]

    def _quietly(self, words: list[str]) -> None:
        self.run(" ".join(words))
        self._lines.clear()


def perform(text: str, make: CoreMaker = make_core) -> str:
    """Return the story ``text`` with the output its commands have now."""
    story = Story(make)
    return "\n\n".join(_perform_block(story, block) for block in text.strip().split("\n\n")) + "\n"


def _perform_block(story: Story, block: str) -> str:
    lines = block.partition("\n----")[0].splitlines()
    commands = [line for line in lines if not line.startswith("#")]
    output = [line for command in commands for line in story.tell(command)]
    return "\n".join([*lines, "----", *output] if output else lines)
