"""One HTML file of a frame, a style, a script and a document: it asks for nothing and runs nothing else."""

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any


def asset(package: str, name: str) -> str:
    """Return the text of a file of a package; ASCII."""
    return files(package).joinpath(name).read_text(encoding="ascii")


def to_json(document: dict[str, Any]) -> str:
    """Return a document as JSON that is harmless inside an HTML script element, in ASCII."""
    data = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def fill(frame: str, style: str, script: str, title: str, data: str) -> str:
    """Put the parts in their places; nothing that is put in is looked through for places again."""
    values = {
        "TITLE": html.escape(title).encode("ascii", "xmlcharrefreplace").decode(),
        "STYLE": style,
        "STYLE_HASH": _hash(style),
        "SCRIPT": script,
        "SCRIPT_HASH": _hash(script),
        "DATA": data,
    }
    pieces = frame.split("@@")
    return "".join(values[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _hash(text: str) -> str:
    """Return a source of the content security policy: the page runs and draws with this text only."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
