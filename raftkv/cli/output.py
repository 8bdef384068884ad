"""How answers look: tables for people, JSON for programs."""

import base64
import json
import os
import sys
from collections.abc import Sequence
from typing import Any


def say(text: str) -> None:
    """Tell progress, on stderr so that stdout stays clean."""
    print(text, file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Print a verdict, whose exit code has to stand also when the reader (`| head`) has enough."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        silence()


def silence() -> None:
    """Let nothing more go to a reader that is gone: Python would complain at exit when it flushes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: object) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header, columns aligned with spaces."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def duration(seconds: float | None) -> str:
    """Write a duration shortly: 8s, 4m12s, 2h05m, 3d04h."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    for unit, below, small, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= below:
            return f"{whole // below}{unit}{whole % below // part:02d}{small}"
    return f"{whole}s"


def size(count: int) -> str:
    """Write a number of bytes shortly, in powers of 1000: 512 B, 2.1 kB, 20 kB, 1.5 GB."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        del units[0]
    return f"{value:.1f} {units[0]}" if value < 10 and units[0] != "B" else f"{value:.0f} {units[0]}"


def as_text(data: bytes) -> dict[str, Any]:
    """Return bytes for JSON: ``{"text": ...}`` if they are UTF-8, else ``{"base64": ...}``."""
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}
