"""Taking a stream of bytes apart into JSON values, one after another with or without space between.

Only brackets and strings are looked at, and each byte once, however the stream is cut; whether a value is
proper JSON is for its decoder to say. Only the short beginning of one that has not come whole is checked, so
that a client who waits for an answer hears of its mistake.
"""

import re

from raftkv.errors import InvalidRequest
from raftkv.schema.json_syntax import END_OF_STREAM, stream_error

MAX_BRACKETS = 20_000
"""Brackets and strings in one value; no request of a stream has that many."""

CHECKED_BYTES = 4096
"""So much of an unfinished value is looked at for errors, all looks at its pieces together (a look takes up
to 4 microseconds a byte); those of a longer one, or one that comes byte by byte, show at its end."""

LONGEST_WORD = 1024
"""A number or word outside of a string that is longer is cut here: it is none."""

_SPACE = re.compile(rb"[ \t\r\n]*")
_NEXT = re.compile(rb'[{}\[\]"]')
_IN_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_BARE = re.compile(rb'[^ \t\r\n{}\[\]"]+')


class JsonValues:
    """Feed it pieces, ask for values until there is none, and at the end for the rest."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._restart()

    def _restart(self) -> None:
        self._place = 0
        self._depth = 0
        self._tokens = 0
        self._checked = 0
        self._in_string = False

    @property
    def held(self) -> int:
        """Bytes held of values that were not asked for, or are not complete."""
        return len(self._data)

    def feed(self, piece: bytes) -> None:
        """Take in the next bytes."""
        self._data += piece

    def next(self) -> bytes | None:
        """Return the next complete value, None if there is none yet. Raises InvalidRequest."""
        if self._place == 0:
            space = _SPACE.match(self._data)
            assert space is not None
            del self._data[: space.end()]
        while self._place < len(self._data):
            if self._in_string:
                if not self._end_string():
                    return self._unless_broken()
            elif not self._step():
                return self._unless_broken()
            if self._depth <= 0 and not self._in_string:
                return self._cut()
        return self._unless_broken()

    def _unless_broken(self) -> bytes | None:
        """Return what there is of an unfinished value if it can't become a proper one, and is short."""
        self._checked += len(self._data)
        if not self._data or self._checked > CHECKED_BYTES:
            return None
        if stream_error(bytes(self._data)) in (None, END_OF_STREAM):
            return None
        self._place = len(self._data)
        return self._cut()

    def rest(self) -> bytes:
        """Return what is left when nothing more will come: an unfinished value, or a number, or nothing."""
        return bytes(self._data).strip()

    def _step(self) -> bool:
        """Go to the next bracket or string; return False if it has not come yet."""
        if self._depth == 0 and (bare := _BARE.match(self._data, self._place)):
            # a number or a word ends with what follows it
            if bare.end() == len(self._data) and len(bare[0]) < LONGEST_WORD:
                return False
            self._place = bare.end()
            return True
        found = _NEXT.search(self._data, self._place)
        if found is None:
            self._place = len(self._data)
            return False
        self._tokens += 1
        if self._tokens > MAX_BRACKETS:
            raise InvalidRequest("a value with too many parts")
        self._place = found.end()
        match found[0]:
            case b"{" | b"[":
                self._depth += 1
            case b'"':
                self._in_string = True
            case _:
                self._depth -= 1
        return True

    def _end_string(self) -> bool:
        """Go on in a string; return False if its end has not come yet."""
        inside = _IN_STRING.match(self._data, self._place)
        assert inside is not None
        self._place = inside.end()
        if self._data[self._place : self._place + 1] != b'"':
            return False
        self._place += 1
        self._in_string = False
        return True

    def _cut(self) -> bytes:
        value = bytes(self._data[: self._place])
        del self._data[: self._place]
        self._restart()
        return value
