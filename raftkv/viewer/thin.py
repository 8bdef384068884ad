"""Makes a document smaller: the time around the failure, or the end, in full; less of the rest."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

Document = dict[str, Any]
Item = dict[str, Any]

LAST_SECONDS = (20.0, 10.0, 5.0, 3.0, 2.0, 1.0, 0.5, 0.2)
"""How much is kept in full, before the failure and behind it, tried one after the other."""

FEW_ENTRIES = 200
"""How many entries of a log are kept from before the full part, when all would be too much."""


class Full(NamedTuple):
    """The time that is kept in full, in seconds."""

    since: float
    until: float

    def touches(self, begin: float, end: float) -> bool:
        """Whether some of a stretch of time lies in it."""
        return begin <= self.until and end >= self.since


def thinned(document: Document) -> Iterator[Document]:
    """Return the document itself and then ever smaller ones, each with a note that says what it lacks."""
    yield document
    for least_weight in (2, 3):
        for seconds in LAST_SECONDS:
            middle, begin, end = _looked_at(document), document["begin"], document["end"]
            full = Full(max(begin, middle - seconds), min(end, middle + seconds))
            if full != (begin, end):
                yield _thin(document, full, least_weight)


def _looked_at(document: Document) -> float:
    """Return the time that a reader wants to see: that of the failure, or the end."""
    failure = document["failure"]
    when: float = document["steps"][failure["step"]]["t"] if failure else document["end"]
    return when


def _thin(document: Document, full: Full, least_weight: int) -> Document:
    """Keep the time ``full``; of the rest steps and messages of ``least_weight`` (3: nothing)."""
    messages, places = _choose(
        document["messages"],
        [
            full.touches(one["sent"], _ends(one)) or one.get("weight", 1) >= least_weight
            for one in document["messages"]
        ],
    )
    steps, failure = _steps(document, full, least_weight, places)
    smaller = {**document, "messages": messages, "steps": steps, "failure": failure}
    smaller["operations"] = [
        one for one in document["operations"] if full.touches(one["begin"], _or_never(one["end"]))
    ]
    if least_weight > 2:
        for kind in ("cuts", "spans"):
            smaller[kind] = [one for one in document[kind] if full.touches(one["begin"], one["end"])]
        smaller["begin"], smaller["end"] = full
    smaller["notes"] = [*document["notes"], _note(full, least_weight)]
    return _without_lost_entries(smaller)


def _note(full: Full, least_weight: int) -> str:
    what = "only changes of roles, crashes, elections and faults" if least_weight == 2 else "nothing"
    note = (
        f"The run is too long for one page. It is shown in full from {full.since:.3f} s to "
        f"{full.until:.3f} s; of the rest, {what}."
    )
    if least_weight > 2:
        note += f" Of the logs, the last {FEW_ENTRIES} entries of the time before are there."
    return note


def _ends(message: Item) -> float:
    when: Any = message.get("arrived", message.get("lost"))
    return _or_never(when)


def _or_never(end: float | None) -> float:
    return math.inf if end is None else end


def _choose(items: list[Item], keep: list[bool]) -> tuple[list[Item], dict[int, int]]:
    """Return what is kept, and for each old position the new one."""
    chosen = [number for number, kept in enumerate(keep) if kept]
    return [items[number] for number in chosen], {number: place for place, number in enumerate(chosen)}


def _steps(
    document: Document, full: Full, least_weight: int, messages: dict[int, int]
) -> tuple[list[Item], Item | None]:
    """Return the steps that are kept and the failure; what others changed goes to the next that is kept."""
    kept: list[Item] = []
    pending: dict[int | None, Item] = {}
    place, arrived = 0, False
    for number, step in enumerate(document["steps"]):
        if not arrived and step["t"] >= full.since:
            arrived = True
            kept += _summaries(pending, full.since, least_weight)
        if not full.touches(step["t"], step["t"]) and step.get("weight", 1) < least_weight:
            _collect(pending, step)
            continue
        if document["failure"] and document["failure"]["step"] == number:
            place = len(kept)
        kept.append(_renumbered(_after(pending.pop(step["lane"], None), step), messages))
    failure = {**document["failure"], "step": place} if document["failure"] else None
    return kept, failure


def _collect(pending: dict[int | None, Item], step: Item) -> None:
    lane = step["lane"]
    pending[lane] = _after(pending.get(lane), step)


def _after(before: Item | None, step: Item) -> Item:
    """Return the step with what an earlier one of its lane changed."""
    if before is None:
        return step
    joined = dict(step)
    for key, empty in (("set", {}), ("add", [])):
        if key in before or key in step:
            old, new = before.get(key, empty), step.get(key, empty)
            joined[key] = {**old, **new} if key == "set" else [*old, *new]
    return joined


def _summaries(pending: dict[int | None, Item], since: float, least_weight: int) -> Iterator[Item]:
    """Yield a step for each lane in which something had changed."""
    for lane, step in list(pending.items()):
        if lane is not None and ("set" in step or "add" in step):
            summary: Item = {"t": since, "lane": lane, "text": "what the steps left out had changed"}
            summary |= {key: step[key] for key in ("set", "add") if key in step}
            if least_weight > 2 and "add" in summary:
                summary["add"] = summary["add"][-FEW_ENTRIES:]
            yield summary
    pending.clear()


def _renumbered(step: Item, messages: dict[int, int]) -> Item:
    if "message" not in step:
        return step
    renumbered = {key: value for key, value in step.items() if key != "message"}
    if step["message"] in messages:
        renumbered["message"] = messages[step["message"]]
    return renumbered


def _without_lost_entries(document: Document) -> Document:
    """Drop the entries that no step names any more."""
    named = sorted({number for step in document["steps"] for number in step.get("add", ())})
    place = {number: position for position, number in enumerate(named)}
    document["entries"] = [document["entries"][number] for number in named]
    document["steps"] = [
        {**step, "add": [place[number] for number in step["add"]]} if "add" in step else step
        for step in document["steps"]
    ]
    return document
