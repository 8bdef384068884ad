"""The page's replay of a document, once more: what each member is after a step."""

from typing import Any


def states_after(document: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Return for each lane its values and its ``log`` (index -> entry) after step ``number``."""
    states: list[dict[str, Any]] = [{"first": 1, "last": 0, "log": {}} for _ in document["lanes"]]
    for step in document["steps"][: number + 1]:
        if step["lane"] is None:
            continue
        state, log = states[step["lane"]], states[step["lane"]]["log"]
        last = state["last"]
        state.update(step.get("set", {}))
        log |= {document["entries"][one][0]: document["entries"][one] for one in step.get("add", ())}
        for index in range(state["last"] + 1, last + 1):
            log.pop(index, None)
    for state in states:
        state["log"] = {i: one for i, one in state["log"].items() if i >= state["first"]}
    return states
