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

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

from raftkv.viewer.thin import thinned

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
    parts = {name: _asset(name) for name in ("style.css", "app.js")}
    frame = _asset("index.html")
    room = max_bytes - len(_fill(frame, parts, document["title"], ""))
    for smaller in thinned(document):
        data = to_json(smaller)
        if len(data) <= room:
            return _fill(frame, parts, document["title"], data)
    raise ValueError(f"the document does not fit into a page of {max_bytes} bytes")


def to_json(document: Document) -> str:
    """Return a document as JSON that is harmless inside an HTML script element, in ASCII."""
    data = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _fill(frame: str, parts: dict[str, str], title: str, data: str) -> str:
    """Put the parts in their places; nothing that is put in is looked through for places again."""
    values = {
        "TITLE": html.escape(title).encode("ascii", "xmlcharrefreplace").decode(),
        "STYLE": parts["style.css"],
        "STYLE_HASH": _hash(parts["style.css"]),
        "SCRIPT": parts["app.js"],
        "SCRIPT_HASH": _hash(parts["app.js"]),
        "DATA": data,
    }
    pieces = frame.split("@@")
    return "".join(values[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _asset(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="ascii")


def _hash(text: str) -> str:
    """Return a source of the content security policy: the page runs and draws with this text only."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
