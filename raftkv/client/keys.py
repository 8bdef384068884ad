"""Keys and values as callers give them, and the ranges that are made of them."""

Text = bytes | str
"""A key or a value: bytes, or a text that is taken as UTF-8."""

EVERYTHING = b"\0"
"""As the end of a range: every key from its start on."""


def as_bytes(text: Text) -> bytes:
    """Return what goes over the wire. Raises TypeError for anything else, a number for one."""
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise TypeError(f"bytes or str expected, not {type(text).__name__}")


def range_of(start: Text, end: Text | None) -> tuple[bytes, bytes]:
    """Return start and end of [start, end); an end of None: every key from ``start`` on."""
    return as_bytes(start) or b"\0", EVERYTHING if end is None else as_bytes(end)


def prefix_of(prefix: Text) -> tuple[bytes, bytes]:
    """Return start and end of all keys that begin with ``prefix``; of all keys when it is empty."""
    start = as_bytes(prefix)
    stem = start.rstrip(b"\xff")
    end = stem[:-1] + bytes([stem[-1] + 1]) if stem else EVERYTHING
    return start or b"\0", end
