"""A page that shows a run: what each member did and when, who sent what to whom, and every log.

``render(document)`` returns one self-contained HTML page. It needs nothing but a browser: no server, no
network. It knows nothing of where the document comes from. The document is plain JSON::

    {
      "format": 1,
      "title": "seed 42",
      "facts": [["nodes", "3"], ...],              what to print below the title, label and text
      "notes": ["..."],                            what a reader has to know, as what was left out
      "lanes": ["n1", "n2", ...],                  the members, one lane each
      "begin": 0.0, "end": 24.0,                   seconds
      "entries": [[index, term, kind, text], ...]  of all logs, each distinct one once
      "steps": [...], "messages": [...], "spans": [...], "cuts": [...], "operations": [...],
      "failure": {...} or null
    }

Times are seconds from the begin of the run. A *lane* is a position in ``lanes``, an *entry* one in
``entries``, and so on. Keys that are marked "?" may be missing.

step
    ``t``, ``lane`` (null: of no member), ``text``; ``weight``? (2: matters by itself, as a change of roles
    or a crash; 1: usual, and what holds when it is missing; 0: heartbeats); ``message``? (the one that
    it takes); ``set``? (what is different after it, of ``state`` (up, paused, down), ``role``, ``term``,
    ``vote`` and ``leader`` (names, "" = nobody), ``commit``, ``applied``, ``durable``, ``first`` (the log
    begins here), ``snapshot``, ``last`` (indexes)); ``add``? (entries that the log has now, each at its own
    index, in the place of what was there). Entries below ``first`` and above ``last`` are gone. In order
    of ``t``, and of what came first within one instant.
message
    ``from``, ``to`` (lanes), ``kind``, ``text``, ``sent``, ``weight``? as a step's, ``arrived``? or
    ``lost``? (when; neither: on its way at the end), ``why``? (it was lost). In order of ``sent``.
span
    ``lane`` (null: all), ``kind``, ``text``, ``begin``, ``end``: a fault that lasts, but for those that a
    step's ``state`` tells.
cut
    ``from``, ``to``, ``begin``, ``end``: nothing passes from one lane to the other.
operation
    ``client`` (a name), ``lane`` (who is asked), ``text``, ``begin``, ``end`` (null: never answered),
    ``outcome`` (ok, fail, unknown, or "" while it is open), ``answer`` (text).
failure
    ``step`` (where), ``check`` (what failed), ``rule`` (a sentence, "" = there is none), ``source`` (of the
    rule, as a section of the thesis), ``detail`` (what was seen).

A page is at most ``MAX_PAGE_BYTES``. What is too much for that is thinned out, and a note says so.
"""

from typing import Any

from raftkv.viewer.frame import asset, fill, to_json
from raftkv.viewer.thin import thinned

__all__ = ["FORMAT", "MAX_PAGE_BYTES", "Document", "render", "to_json"]

FORMAT = 1

MAX_PAGE_BYTES = 2_000_000

Document = dict[str, Any]
"""A document as the module's text has it."""


def render(document: Document, max_bytes: int = MAX_PAGE_BYTES) -> str:
    """Return the page for a document, with at most ``max_bytes`` characters, all of them ASCII.

    Raises ValueError for a document of another format, and when nothing is left to be thinned out.
    """
    if document.get("format") != FORMAT:
        raise ValueError(f"the page draws documents of format {FORMAT}, not {document.get('format')!r}")
    frame, style, script = (asset(__name__, name) for name in ("index.html", "style.css", "app.js"))
    room = max_bytes - len(fill(frame, style, script, document["title"], ""))
    for smaller in thinned(document):
        data = to_json(smaller)
        if len(data) <= room:
            return fill(frame, style, script, document["title"], data)
    raise ValueError(f"the document does not fit into a page of {max_bytes} bytes")
