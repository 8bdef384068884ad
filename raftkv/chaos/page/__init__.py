"""The report's page: one HTML file that holds its document and asks for nothing.

The document is plain JSON; times are seconds from when the clients begin, latencies are milliseconds::

    {
      "format": 1, "title": "kv on raftkv 0.1.0", "verdict": "passed|failed|weak|error",
      "sentence": "what that means", "facts": [[label, text], ...],
      "reasons": ["why it is weak, and what else to know", ...],
      "commands": [[label, text], ...],                 how to run and to check it again
      "work": 60.0, "end": 65.2,                        when clients stopped, when the run ended
      "findings": [{"model", "verdict", "operations", "text"}, ...],
      "faults": [{"kind", "targets", "detail", "begun", "ended", "effects", "error"}, ...],
      "series": [{"name", "ok", "fail", "unknown", "p50", "p99", "max"}, ...],   a value a second or null
      "lanes": [{"name", "stretches": [[begin, end, role, term], ...]}, ...],    role "down": it does not run
      "unavailable": [[begin, end], ...],
      "wrong": {...} or null, "cycle": {...} or null
    }

``wrong`` is what happened around the first wrong operation: ``title``, ``text``, ``begin``, ``end``, ``rows``
(names, one a process) and ``operations``: ``row``, ``call``, ``returned`` (null: never), ``text``,
``outcome``, ``wrong`` (whether it is one of those that are named). ``cycle`` is a cycle of transactions:
``name``, ``text``, ``nodes`` (a text each, each one before the next one, and the last before the first).
"""

from typing import Any

from raftkv.viewer.frame import asset, fill, to_json

FORMAT = 1


def render(document: dict[str, Any]) -> str:
    """Return the page for a document, in ASCII."""
    frame, style, script = (asset(__name__, name) for name in ("page.html", "page.css", "page.js"))
    return fill(frame, style, script, document["title"], to_json(document))
