"""Exhaustive exploration of a small group: every order of events, breadth first, symmetry reduced.

    python -m tests.raft.explore [--scope deep|whole|wide] [--consequences]
                                 [--core FILE.py:CLASS | --mutant NAME] [--nodes N] [--proposals N]
                                 [--crashes N] [--timeouts N] [--link N] [--states N]

From a fresh cluster, every reachable state within the scope is visited once: an election time-out at any
member, any message under way delivered (in any order; one that is never delivered is lost), the next
Write of a member durable, a command proposed to a leader, a crash that loses what is not durable. States
that differ only in the names of the members count as one. The rules are checked at every step, and the
first one broken is shown with a shortest way there. The exit status is 1 then.

The scope bounds time-outs, proposals and crashes of a run, and the messages under way on a link (a full
link loses the oldest term's, heartbeats first); ``--states`` bounds the visit itself. Beyond that: equal
messages under way count as one, a message is delivered once, and one that its target can only ignore from
now on is forgotten. When no crash can come any more, only a leader's Writes take time: that of another
member could just as well be a message that is late.

``--consequences`` leaves out the rules about single members, so that a bug shows by what it does to the
group.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from time import perf_counter
from typing import Any, NamedTuple

from raftkv.raft import Consensus, Entry, Message, make_core
from raftkv.raft.codec import TAGS
from raftkv.raft.messages import Heartbeat, HeartbeatReply
from raftkv.raft.quorum import majority
from tests.raft.conftest import load_core
from tests.raft.describe import describe_message, name
from tests.raft.explore_hosts import CRASH, PERSIST, PROPOSE, TICK, Code, Hosts, Renaming, RuleBroken
from tests.raft.mutants import CATALOGUE, FURTHER


class Scope(NamedTuple):
    """What may happen in a run at most, and how many states are visited."""

    nodes: int = 3
    proposals: int = 2
    crashes: int = 1
    timeouts: int = 3
    link: int = 2
    states: int = 250_000


SCOPES = {
    "deep": Scope(proposals=0, crashes=0, link=1, states=500_000),
    "whole": Scope(proposals=1, crashes=0, timeouts=2, link=1),
    "wide": Scope(),
}
"""What is explored by default. The first two are explored to their end: three elections, and two with a
command. The third has all that may happen, and is cut off at a number of states."""


class State(NamedTuple):
    """The whole group. Members, messages and committed logs are numbers of tables."""

    members: tuple[int, ...]
    network: tuple[int, ...]
    leaders: tuple[tuple[int, int], ...]  # (term, member), all that ever were
    committed: int  # the longest log that anybody ever committed
    timeouts: int  # how many may still come, as the two below
    proposals: int
    crashes: int


class Action(NamedTuple):
    """One input of one member."""

    node: int
    code: Code


class Found(NamedTuple):
    """A broken rule, and a shortest way to it, a line a step."""

    rule: str
    trace: list[str]


class Report(NamedTuple):
    """What an exploration saw."""

    states: int
    members: int
    steps: int
    depth: int
    finished: bool
    seconds: float
    found: Found | None

    def __str__(self) -> str:
        end = "all there are" if self.finished else "bounded by --states"
        rate = self.states / max(self.seconds, 1e-9)
        lines = [
            f"{self.states:,} distinct states ({end}), {self.steps:,} steps, depth {self.depth}",
            f"{self.seconds:.1f} s, {rate:,.0f} states/s, {self.members:,} states of single members",
        ]
        if self.found:
            lines += [f"broken: {self.found.rule}", *self.found.trace]
        return "\n".join(lines)


class Explorer:
    """A breadth-first visit of all states within a scope."""

    def __init__(self, make: Callable[..., Consensus], scope: Scope, *, local_rules: bool = True) -> None:
        self.scope = scope
        self.hosts = Hosts(make, scope.nodes, local_rules=local_rules)
        self.logs: list[tuple[tuple[Entry, int], ...]] = []  # committed entries, each with a term
        self._log_numbers: dict[tuple[tuple[Entry, int], ...], int] = {}
        self._matching: set[tuple[int, int]] = set()
        self._agreements: dict[tuple[int, int], int] = {}
        first = self.hosts.views[self.hosts.start[0]].log
        committed = self._log_number(tuple((entry, 1) for entry in first))
        start = tuple(self.hosts.start)
        self.start = State(start, (), (), committed, scope.timeouts, scope.proposals, scope.crashes)
        self._seen: dict[State, int] = {}
        self._origins: list[tuple[int, Action, Renaming]] = []

    def _log_number(self, log: tuple[tuple[Entry, int], ...]) -> int:
        number = self._log_numbers.get(log)
        if number is None:
            number = self._log_numbers[log] = len(self.logs)
            self.logs.append(log)
        return number

    # ---------------------------------------------------------------- the visit

    def run(self) -> Report:
        """Visit states until there are no more, the bound is reached, or a rule is broken."""
        began, steps, depth = perf_counter(), 0, 0
        identity = self.hosts.renamings[0]
        self._seen, self._origins = {self.start: 0}, [(-1, Action(0, 0), identity)]
        level, found = [self.start], None
        while level and len(self._seen) < self.scope.states and found is None:
            following: list[State] = []
            for state in level:
                number = self._seen[state]
                for action in self.actions(state):
                    steps += 1
                    try:
                        new, renaming = self.canonical(self.advance(state, action))
                    except AssertionError:
                        found = self._show(number, action)
                        break
                    if new not in self._seen:
                        self._seen[new] = len(self._origins)
                        self._origins.append((number, action, renaming))
                        following.append(new)
                if found or len(self._seen) >= self.scope.states:
                    break
            level, depth = following, depth + 1
        seconds = perf_counter() - began
        return Report(len(self._seen), len(self.hosts), steps, depth, not level, seconds, found)

    def actions(self, state: State) -> Iterator[Action]:
        """Yield what may happen next."""
        for message in state.network:
            yield Action(self.hosts.messages[message].target, message)
        for node, member in enumerate(state.members, 1):
            view = self.hosts.views[member]
            if view.writing:
                yield Action(node, PERSIST)
            if state.timeouts:
                yield Action(node, TICK)
            if state.proposals and view.leads:
                yield Action(node, PROPOSE - (self.scope.proposals - state.proposals))
            if state.crashes:
                yield Action(node, CRASH)

    def advance(self, state: State, action: Action) -> State:
        """Return the state after an action; raises RuleBroken, or the core's own assertion."""
        node, code = action
        old = state.members[node - 1]
        new, sent = self.hosts.step(old, code)
        crashes = state.crashes - (code == CRASH)
        while not crashes and self.hosts.views[new].writing and not self.hosts.views[new].leads:
            new, released = self.hosts.step(new, PERSIST)
            sent += released
        members = (*state.members[: node - 1], new, *state.members[node:])
        network = self._network(state.network, members, node, code, sent)
        leaders, committed = state.leaders, state.committed
        if new != old:
            leaders = self._leaders(leaders, committed, node, new)
            committed = self._committed(committed, members, node)
            self._check_matching(members, node)
        return State(
            members,
            network,
            leaders,
            committed,
            state.timeouts - (code == TICK),
            state.proposals - (code <= PROPOSE),
            crashes,
        )

    def _network(
        self,
        network: tuple[int, ...],
        members: tuple[int, ...],
        node: int,
        code: Code,
        sent: tuple[int, ...],
    ) -> tuple[int, ...]:
        messages = self.hosts.messages
        kept = set(sent)
        for message in network:
            if message != code and (messages[message].target != node or not self._void(message, members)):
                kept.add(message)
        for message in sent:
            if self._void(message, members):
                kept.discard(message)
            else:
                self._lose_overflow(kept, messages[message].source, messages[message].target)
        return tuple(sorted(kept))

    def _lose_overflow(self, kept: set[int], source: int, target: int) -> None:
        messages = self.hosts.messages
        link = [
            number
            for number in kept
            if messages[number].source == source and messages[number].target == target
        ]
        if len(link) > self.scope.link:
            link.sort(key=lambda number: worth(messages[number]))
            kept.difference_update(link[: -self.scope.link])

    def _void(self, number: int, members: tuple[int, ...]) -> bool:
        """Whether a message is of a term that its target's disk is beyond, and without effect there."""
        message = self.hosts.messages[number]
        target = members[message.target - 1]
        if message.term >= self.hosts.views[target].disk_term:
            return False
        try:
            return self.hosts.step(target, number) == (target, ())
        except AssertionError:
            return False  # to be met when it is delivered

    # ---------------------------------------------------------------- rules about the group

    def _leaders(
        self, leaders: tuple[tuple[int, int], ...], committed: int, node: int, member: int
    ) -> tuple[tuple[int, int], ...]:
        view = self.hosts.views[member]
        if not view.leads or (view.leads, node) in leaders:
            return leaders
        for term, other in leaders:
            if term == view.leads:
                raise RuleBroken(f"§3.4: {name(other)} and {name(node)} both lead term {term}")
        for entry, term in self.logs[committed]:
            if term < view.leads and entry not in view.log:
                raise RuleBroken(
                    f"§3.6.1: {name(node)} leads term {view.leads} without entry {entry.index} of term "
                    f"{entry.term}, committed in term {term}"
                )
        return tuple(sorted((*leaders, (view.leads, node))))

    def _committed(self, committed: int, members: tuple[int, ...], node: int) -> int:
        log, view = self.logs[committed], self.hosts.views[members[node - 1]]
        for (entry, _), own in zip(log, view.log[: view.commit], strict=False):
            if entry != own:
                raise RuleBroken(
                    f"§3.6.3: {name(node)} committed entry {own.index} of term {own.term}, where one of "
                    f"term {entry.term} was committed"
                )
        if view.commit > len(log):
            grown = tuple((entry, view.term) for entry in view.log[len(log) : view.commit])
            committed = self._log_number(log + grown)
        held = sorted((self._agreement(member, committed) for member in members), reverse=True)
        if (safe := held[majority(members) - 1]) < len(self.logs[committed]):
            raise RuleBroken(f"§3.6: entry {safe + 1} is committed, and on no majority of the disks")
        return committed

    def _agreement(self, member: int, committed: int) -> int:
        """Return up to where a member's disk holds the committed log."""
        known = self._agreements.get((member, committed))
        if known is None:
            disk, known = self.hosts.views[member].disk, 0
            for own, (entry, _) in zip(disk, self.logs[committed], strict=False):
                if own != entry:
                    break
                known += 1
            self._agreements[member, committed] = known
        return known

    def _check_matching(self, members: tuple[int, ...], node: int) -> None:
        for one, other in combinations(range(len(members)), 2):
            pair = members[one], members[other]
            if node - 1 not in (one, other) or pair in self._matching:
                continue
            self._matching.add(pair)
            logs = [self.hosts.views[member].log for member in pair]
            equal = [a.term == b.term for a, b in zip(*logs, strict=False)]
            last = max((index for index, same in enumerate(equal, 1) if same), default=0)
            if logs[0][:last] != logs[1][:last]:
                raise RuleBroken(
                    f"§3.5: {name(one + 1)} and {name(other + 1)} agree at entry {last}, not before"
                )

    # ---------------------------------------------------------------- symmetry

    def canonical(self, state: State) -> tuple[State, Renaming]:
        """Return the one state that stands for all its renamings, and the renaming to it."""
        orbits = [self.hosts.orbit(member) for member in state.members]
        ordered = sorted(orbits)
        choices = [
            renaming
            for renaming in self.hosts.renamings
            if all(ordered[new - 1] == orbit for new, orbit in zip(renaming, orbits, strict=True))
        ]
        renamed = [(self._rename(state, renaming), renaming) for renaming in choices]
        return min(renamed) if len(renamed) > 1 else renamed[0]

    def _rename(self, state: State, renaming: Renaming) -> State:
        hosts = self.hosts
        members = [0] * len(renaming)
        for member, new in zip(state.members, renaming, strict=True):
            members[new - 1] = hosts.renamed(member, renaming)
        network = tuple(sorted([hosts.renamed_code(message, renaming) for message in state.network]))
        leaders = tuple([(term, renaming[node - 1]) for term, node in state.leaders])
        return State(tuple(members), network, leaders, *state[3:])

    # ---------------------------------------------------------------- the way there

    def _show(self, number: int, last: Action) -> Found:
        """Tell the way to state ``number`` and the action there, with each member's name kept."""
        way: list[tuple[Action, Renaming]] = [(last, self.hosts.renamings[0])]
        while number:
            number, action, renaming = self._origins[number]
            way.append((action, renaming))
        state, names, trace = self.start, self.hosts.renamings[0], list[str]()
        for action, renaming in reversed(way):
            told = Action(names[action.node - 1], self.hosts.renamed_code(action.code, names))
            trace.append(f"{len(trace) + 1:3} {self._describe(told)}")
            try:
                state = self.advance(state, told)
            except AssertionError as broken:
                return Found(str(broken), trace)
            names = tuple(names[renaming.index(new)] for new in range(1, len(names) + 1))
        raise AssertionError("a broken rule does not show again")

    def _describe(self, action: Action) -> str:
        node, code = action
        match code:
            case _ if code >= 0:
                return describe_message(self.hosts.messages[code])
            case _ if code <= PROPOSE:
                return f"{name(node)} is asked for command {PROPOSE - code}"
            case _:
                what = {
                    TICK: "lets a time-out pass",
                    PERSIST: "writes to its disk",
                    CRASH: "crashes, restarts",
                }
                return f"{name(node)} {what[code]}"


def worth(message: Message) -> tuple[Any, ...]:
    """Return the key by which a full link loses messages: old terms first, then heartbeats."""
    beats = isinstance(message, Heartbeat | HeartbeatReply)
    return message.term, not beats, TAGS[type(message)], message


def main(arguments: list[str]) -> int:
    """Explore as asked; return 1 if a rule is broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.raft.explore", description="Explore a small group."
    )
    parser.add_argument("--scope", choices=list(SCOPES), help="explore this one only; the options change it")
    for field in Scope._fields:
        parser.add_argument(f"--{field}", type=int, metavar="N", help=f"default {default_of(field)}")
    parser.add_argument("--consequences", action="store_true", help="leave out rules about one member")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--core", metavar="FILE.py:CLASS", help="explore this class")
    which.add_argument("--mutant", choices=[*CATALOGUE, *FURTHER], help="explore a bug put in")
    options = parser.parse_args(arguments)
    make: Callable[..., Consensus] = make_core
    if options.mutant:
        make = {**CATALOGUE, **FURTHER}[options.mutant]
    elif options.core:
        make = load_core(options.core)
    given = {field: value for field in Scope._fields if (value := getattr(options, field)) is not None}
    for title in [options.scope] if options.scope else SCOPES:
        scope = SCOPES[title]._replace(**given)
        report = Explorer(make, scope, local_rules=not options.consequences).run()
        sys.stdout.write(f"{title}: {scope}\n{report}\n")
        if report.found:
            return 1
    return 0


def default_of(field: str) -> str:
    """Return the values of a field in the scopes, for the help."""
    return ", ".join(f"{getattr(scope, field)} ({title})" for title, scope in SCOPES.items())


if __name__ == "__main__":
    gc.disable()  # everything made is kept: to look through it again and again takes half the time
    sys.exit(main(sys.argv[1:]))
