"""Base64 as Go's standard encoding takes it, with Go's errors."""

import re
from binascii import a2b_base64

_WHOLE_QUANTA = re.compile(rb"(?:[A-Za-z0-9+/]{4})*")
_ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


class IllegalBase64(ValueError):
    """Bad text; the message is Go's, with the offset of the fault."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"illegal base64 data at input byte {offset}")


def decode(text: str) -> bytes:
    """Decode ``text``: standard alphabet, padding required, line ends ignored. Raises IllegalBase64."""
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        return _decode_without_line_ends(text)


def _decode_without_line_ends(text: str) -> bytes:
    data = text.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
    try:
        return a2b_base64(data, strict_mode=True)
    except ValueError:
        raise IllegalBase64(_fault_offset(data)) from None


def _fault_offset(data: bytes) -> int:
    """Find the offset Go reports: the odd character, or the start of an unfinished group of four."""
    match = _WHOLE_QUANTA.match(data)
    start = match.end() if match else 0
    for position in range(start, min(start + 4, len(data))):
        if data[position] == ord("="):
            return _padding_fault(data, start, position)
        if data[position] not in _ALPHABET:
            return position
    return start


def _padding_fault(data: bytes, start: int, position: int) -> int:
    if position - start < 2:
        return position
    if position - start == 3:
        return position + 1
    if position + 1 == len(data):
        return len(data)
    return position if data[position + 1] != ord("=") else position + 2
