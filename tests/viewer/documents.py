"""Small documents for the page, made by hand."""

from typing import Any

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;<!--"


def small() -> dict[str, Any]:
    """Return two members, one of which hears of an entry, crashes and breaks a rule."""
    return {
        "format": 1,
        "title": "a small run",
        "facts": [["members", "2"]],
        "notes": [],
        "lanes": ["n1", "n2"],
        "begin": 0.0,
        "end": 4.0,
        "entries": [[1, 1, "configuration", "voters n1 n2"], [2, 2, "command", "put k v"]],
        "steps": [
            {
                "t": 0.0,
                "lane": 0,
                "text": "starts",
                "weight": 2,
                "set": {"state": "up", "role": "follower", "term": 1, "last": 1},
                "add": [0],
            },
            {
                "t": 1.0,
                "lane": 0,
                "text": "becomes leader",
                "weight": 2,
                "set": {"role": "leader", "term": 2, "last": 2},
                "add": [1],
            },
            {
                "t": 2.0,
                "lane": 1,
                "text": "a heartbeat",
                "weight": 0,
                "message": 1,
                "set": {"state": "up"},
            },
            {"t": 2.5, "lane": 1, "text": "takes an entry", "message": 2, "set": {"last": 2}, "add": [0, 1]},
            {"t": 3.0, "lane": None, "text": "weather", "weight": 2},
            {"t": 3.5, "lane": 1, "text": "breaks a rule", "weight": 2, "set": {"state": "down"}},
        ],
        "messages": [
            {
                "from": 0,
                "to": 1,
                "kind": "RequestVote",
                "text": "",
                "sent": 0.5,
                "lost": 0.6,
                "why": "lost",
                "weight": 2,
            },
            {"from": 0, "to": 1, "kind": "Heartbeat", "text": "", "sent": 1.5, "arrived": 2.0, "weight": 0},
            {"from": 0, "to": 1, "kind": "AppendEntries", "text": "entry 2", "sent": 2.2, "arrived": 2.5},
            {"from": 1, "to": 0, "kind": "AppendEntriesReply", "text": "equal up to 2", "sent": 3.4},
        ],
        "spans": [{"lane": None, "kind": "weather", "text": "weather loss 30%", "begin": 3.0, "end": 4.0}],
        "cuts": [
            {"from": 0, "to": 1, "begin": 0.5, "end": 0.9},
            {"from": 1, "to": 0, "begin": 0.5, "end": 0.9},
        ],
        "operations": [
            {
                "client": "c1",
                "lane": 0,
                "text": "put k v",
                "begin": 0.9,
                "end": 2.6,
                "outcome": "ok",
                "answer": "revision 2",
            },
            {
                "client": "c1",
                "lane": 1,
                "text": "get k",
                "begin": 3.0,
                "end": None,
                "outcome": "",
                "answer": "",
            },
        ],
        "failure": {
            "step": 5,
            "check": "member stopped",
            "rule": "A vote once given stays.",
            "source": "\u00a73.4",
            "detail": "voted twice",
        },
    }


def evil() -> dict[str, Any]:
    """Return a document in which every text tries to be markup."""
    return _poisoned(small())


def _poisoned(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _poisoned(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_poisoned(one, key) for one in value]
    return EVIL + value if isinstance(value, str) and key != "outcome" else value


def long(seconds: int, steps_a_second: int = 200) -> dict[str, Any]:
    """Return a run in which a leader appends all the time, and changes its term each second."""
    found = {
        **small(),
        "end": float(seconds) + 0.01,
        "failure": None,
        "spans": [],
        "cuts": [],
        "operations": [],
    }
    entries, steps, messages = [], [], []
    for number in range(seconds * steps_a_second):
        t = number / steps_a_second
        index, term = number + 1, 1 + int(t)
        entries.append([index, term, "command", f"put k{number} v"])
        news = {"last": index, "commit": index, "term": term}
        step = {"t": t, "lane": 0, "text": f"appends {index}", "set": news, "add": [number]}
        if number % steps_a_second == 0:
            step["weight"] = 2
            step["set"] = {**news, "state": "up", "role": "leader"}
        steps.append(step)
        messages.append(
            {"from": 0, "to": 1, "kind": "AppendEntries", "text": "x" * 40, "sent": t, "arrived": t + 0.01}
        )
        steps.append(
            {"t": t + 0.01, "lane": 1, "text": f"takes {index}", "message": number, "set": {"commit": index}}
        )
    steps.sort(key=lambda step: step["t"])
    return {**found, "entries": entries, "steps": steps, "messages": messages}
