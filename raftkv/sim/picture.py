"""Draws a run: collects what happens into a document of ``raftkv.viewer``, and writes the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from raftkv.raft import Entry, EntryKind, Message, make_core
from raftkv.raft.invariants import RuleViolated, Violation
from raftkv.raft.ledger import Step
from raftkv.sim.checks import TimedObserver
from raftkv.sim.lane import Lane
from raftkv.sim.members import CoreFactory
from raftkv.sim.run import Result, run_scenario
from raftkv.sim.scenario import Scenario
from raftkv.sim.watch import Link, Watcher
from raftkv.sim.wording import (
    CRASHES,
    KINDS,
    answer_text,
    entry_text,
    fault_text,
    member_name,
    message_text,
    message_weight,
    shortened,
)
from raftkv.trace import (
    Event,
    LeaderChanged,
    LogTruncated,
    PeerDown,
    PeerUp,
    RoleChanged,
    SlowStep,
    VoteCast,
    describe,
)
from raftkv.viewer import FORMAT, Document, render

CORE_EVENTS = RoleChanged | LeaderChanged | VoteCast | LogTruncated
"""Events that a core tells of within a call, so that they belong to that call's step."""

TOLD_OTHERWISE = ("crash", "kill", "start", "pause", "cut")
"""Faults of which a watcher hears in another way."""


def write_page(scenario: Scenario, path: Path, make: CoreFactory = make_core) -> Result:
    """Run a scenario and write the page that shows it; return what came of the run.

    Raises OSError when the file can't be written, ConfigError when the scenario makes no sense.
    """
    result, document = draw(scenario, make)
    path.write_text(render(document), encoding="ascii")
    return result


def draw(scenario: Scenario, make: CoreFactory = make_core) -> tuple[Result, Document]:
    """Run a scenario; return what came of it and the document that ``raftkv.viewer`` draws."""
    picture = Picture()
    result = run_scenario(scenario, make, watcher=picture)
    return result, picture.document(scenario, result)


class _Observer(TimedObserver):
    """Shows every step to the picture before the rules are checked."""

    def __init__(self, picture: "Picture", clock: Callable[[], float]) -> None:
        super().__init__()
        self._picture = picture
        self._clock = clock

    def observe(self, step: Step) -> None:
        """See ``Observer``."""
        self._picture.stepped(self._clock(), step)
        try:
            super().observe(step)
        except RuleViolated as broken:
            self._picture.violated(self._clock(), step, broken.violation)
            raise


class Picture(Watcher):
    """Collects a document; see ``Watcher`` for what each method hears of."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._entries: dict[Entry, int] = {}
        self._steps: list[dict[str, Any]] = []
        self._messages: list[dict[str, Any]] = []
        self._under_way: dict[int, Message] = {}
        self._spans: list[dict[str, Any]] = []
        self._cuts: list[dict[str, Any]] = []
        self._open_cuts: dict[Link, dict[str, Any]] = {}
        self._operations: list[dict[str, Any]] = []
        self._violations: list[tuple[int, Violation]] = []
        self._stops: list[int] = []

    # ---------------------------------------------------------------- steps of the members

    def observer(self, clock: Callable[[], float]) -> TimedObserver:
        """See ``Watcher``."""
        return _Observer(self, clock)

    def stepped(self, now: float, step: Step) -> None:
        """Take in a step of a core."""
        lane = self._lane(member_name(step.node_id))
        found = lane.taken(step, lambda entry: self._entries.setdefault(entry, len(self._entries)))
        if found is not None:
            self._steps.append({"t": _rounded(now), **found})

    def violated(self, now: float, step: Step, violation: Violation) -> None:
        """Take note that a rule was broken: a step of its own, behind the one that did it."""
        last = self._steps[-1]
        self._add(now, member_name(step.node_id), f"breaks a rule: {violation.detail}", weight=2)
        broken = self._steps[-1]
        if "message" in last and (last["t"], last["lane"]) == (broken["t"], broken["lane"]):
            broken["message"] = last["message"]
        self._violations.append((len(self._steps) - 1, violation))

    def happened(self, now: float, name: str, event: Event) -> None:
        """See ``Watcher``."""
        text = describe(event, member_name)
        if isinstance(event, CORE_EVENTS):
            self._lane(name).told.append(text)
        else:
            self._add(now, name, text, weight=1 if isinstance(event, PeerUp | PeerDown | SlowStep) else 2)

    def started(self, now: float, name: str) -> None:
        """See ``Watcher``."""
        self._add(now, name, "starts", weight=2, state="up", role="")

    def crashed(self, now: float, name: str, outcome: str) -> None:
        """See ``Watcher``."""
        self._add(now, name, CRASHES[outcome], weight=2, state="down")
        self._lane(name).ended()

    def ended(self, now: float, name: str, reasons: list[BaseException]) -> None:
        """See ``Watcher``."""
        why = "; ".join(f"{type(one).__name__}: {one}" for one in reasons) or "no reason"
        self._add(now, name, f"stops by itself: {shortened(why, 500)}", weight=2, state="down")
        self._lane(name).ended()
        self._stops.append(len(self._steps) - 1)

    def paused(self, now: float, name: str) -> None:
        """See ``Watcher``."""
        self._add(now, name, "stands still", weight=2, state="paused")

    def resumed(self, now: float, name: str) -> None:
        """See ``Watcher``."""
        if self._lane(name).known.get("state") == "paused":
            self._add(now, name, "goes on", weight=2, state="up")

    # ---------------------------------------------------------------- the network

    def sent(self, now: float, message: Message) -> int:
        """See ``Watcher``."""
        number = len(self._messages)
        self._under_way[number] = message
        found = {
            "from": self._lane(member_name(message.source)).number,
            "to": self._lane(member_name(message.target)).number,
            "kind": type(message).__name__,
            "text": message_text(message),
            "sent": _rounded(now),
        }
        if (weight := message_weight(message)) != 1:
            found["weight"] = weight
        self._messages.append(found)
        return number

    def arrived(self, now: float, number: int) -> None:
        """See ``Watcher``."""
        self._messages[number]["arrived"] = _rounded(now)
        message = self._under_way.pop(number)
        self._lane(member_name(message.target)).arrived(message, number)

    def lost(self, now: float, number: int, why: str) -> None:
        """See ``Watcher``."""
        self._messages[number] |= {"lost": _rounded(now), "why": why}
        del self._under_way[number]

    def cut(self, now: float, link: Link) -> None:
        """See ``Watcher``."""
        source, target = (self._lane(member_name(one)).number for one in link)
        self._open_cuts[link] = {"from": source, "to": target, "begin": _rounded(now), "end": None}
        self._cuts.append(self._open_cuts[link])

    def mended(self, now: float, link: Link) -> None:
        """See ``Watcher``."""
        self._open_cuts.pop(link)["end"] = _rounded(now)

    # ---------------------------------------------------------------- faults and clients

    def fault(self, now: float, kind: str, words: tuple[str, ...], seconds: float) -> None:
        """See ``Watcher``."""
        if kind in TOLD_OTHERWISE:
            if kind == "cut":
                self._add(now, "", fault_text(kind, words, seconds), weight=2)
            return
        text = fault_text(kind, words, seconds)
        name = words[0] if words and words[0] in self._lanes else ""
        self._add(now, name, text, weight=2)
        if seconds:
            span = {"lane": self._number(name), "kind": kind, "text": text}
            self._spans.append({**span, "begin": _rounded(now), "end": _rounded(now + seconds)})

    def healed(self, now: float, core: list[str]) -> None:
        """See ``Watcher``."""
        text = f"{' '.join(core)} are healed for good" if core else "nobody can be healed"
        self._add(now, "", text, weight=2)
        for span in self._spans:
            span["end"] = min(span["end"], _rounded(now))

    def asked(self, now: float, client: str, via: str, words: tuple[str, ...]) -> int:
        """See ``Watcher``."""
        found = {"client": client, "lane": self._lane(via).number, "text": " ".join(words)}
        found |= {"begin": _rounded(now), "end": None, "outcome": "", "answer": ""}
        self._operations.append(found)
        return len(self._operations) - 1

    def answered(self, now: float, number: int, outcome: str, answer: object) -> None:
        """See ``Watcher``."""
        found = {"end": _rounded(now), "outcome": outcome, "answer": answer_text(answer)}
        self._operations[number] |= found

    # ---------------------------------------------------------------- the document

    def document(self, scenario: Scenario, result: Result) -> Document:
        """Return what was collected, after the run."""
        failure = self._failure(result) if result.check else None
        end = _rounded(result.simulated)
        return {
            "format": FORMAT,
            "title": f"raftkv simulation, seed {scenario.seed}",
            "facts": _facts(scenario, result),
            "notes": [],
            "lanes": list(self._lanes),
            "begin": 0.0,
            "end": end,
            "entries": [
                [entry.index, entry.term, KINDS[EntryKind(entry.kind)], entry_text(entry)]
                for entry in self._entries
            ],
            "steps": self._steps,
            "messages": self._messages,
            "spans": [{**one, "end": min(one["end"], end)} for one in self._spans],
            "cuts": [{**one, "end": one["end"] or end} for one in self._cuts],
            "operations": self._operations,
            "failure": failure,
        }

    def _failure(self, result: Result) -> dict[str, Any]:
        """Return what failed and where it shows: at a rule, at a member that stopped, or at the end."""
        found = {"check": result.check, "rule": "", "source": "", "detail": result.detail}
        for step, violation in self._violations:
            if str(violation) in result.detail:
                rule = {"rule": violation.rule.text, "source": violation.rule.section}
                return {"step": step, **found, **rule, "detail": violation.detail}
        for step in self._stops:
            if result.detail.startswith(f"{list(self._lanes)[self._steps[step]['lane']]}: "):
                return {"step": step, **found}
        self._add(result.simulated, "", f"{result.check}: {shortened(result.detail, 500)}", weight=2)
        return {"step": len(self._steps) - 1, **found}

    def _add(self, now: float, name: str, text: str, *, weight: int, **values: str) -> None:
        step: dict[str, Any] = {"t": _rounded(now), "lane": self._number(name), "text": text}
        step["weight"] = weight
        if values and (different := self._lane(name).set(**values)):
            step["set"] = different
        self._steps.append(step)

    def _number(self, name: str) -> int | None:
        return self._lane(name).number if name else None

    def _lane(self, name: str) -> Lane:
        if name not in self._lanes:
            self._lanes[name] = Lane(len(self._lanes))
        return self._lanes[name]


def _facts(scenario: Scenario, result: Result) -> list[list[str]]:
    options = " ".join(f"{name}={value}" for name, value in sorted(scenario.options.items()))
    note = [["note", result.note]] if result.note else []
    return [
        ["members", str(scenario.nodes)],
        ["simulated", f"{result.simulated:.3f} s"],
        ["requests", f"{result.operations}, {result.completed} answered"],
        ["options", options or "none"],
        ["digest", result.digest],
        *note,
    ]


def _rounded(now: float) -> float:
    """Return a time with microseconds, which is enough to tell what was first."""
    return round(now, 6)
