"""A reader of EDN, the notation of Clojure's data, as far as recorded histories use it.

nil, true, false, numbers, strings and characters become Python's; a keyword a string with its colon, a
symbol a string; vectors, lists and sets tuples (a set is sorted by its text); maps dicts. Of a tagged value
the tag is dropped.
"""

import re
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(
    r"""(?P<space>(?:[\s,]+|;[^\n]*)+)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<open>\#\{|\#\(|[(\[{])
    |(?P<close>[)\]}])
    |(?P<discard>\#_)
    |(?P<tag>\#[A-Za-z][\w.*+!?$%&=<>/-]*)
    |(?P<char>\\(?:newline|space|tab|return|u[0-9a-fA-F]{4}|\S))
    |(?P<atom>[^\s,;"()\[\]{}\\]+)""",
    re.VERBOSE | re.DOTALL,
)
_CLOSING = {"(": ")", "[": "]", "{": "}", "#{": "}", "#(": ")"}
_NAMED = {"nil": None, "true": True, "false": False}
_CHARACTERS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_NUMBER = re.compile(r"[+-]?(\d+N?|\d+(\.\d*)?([eE][+-]?\d+)?M?)")
_MAX_DEPTH = 100


class EdnError(ValueError):
    """The text is no EDN; ``line`` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class Reader:
    """Reads the values of a text one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    @property
    def line(self) -> int:
        """The line, from 1, of what was read last."""
        return self._line

    def values(self, outer: str | None = None) -> Iterator[tuple[int, Any]]:
        """Yield each value with the line where it starts. Raises ``EdnError``."""
        while (token := self._next()) is not None:
            if token == ("close", outer):
                outer = None
            elif token[0] == "discard":
                self._read(self._expect(), 0)
            else:
                yield self._line, self._read(token, 0)
        if outer is not None:
            raise EdnError(self._line, f"the text ends before {outer!r}")

    def items(self) -> Iterator[tuple[int, Any]]:
        """Yield the values, or the members of the one vector or list that the text is, as ``values`` does."""
        start = self._at, self._line
        token = self._next()
        if token in (("open", "["), ("open", "(")):
            return self.values(_CLOSING[token[1]])
        self._at, self._line = start
        return self.values()

    def _next(self) -> tuple[str, str] | None:
        """Return the next token and move behind it; None at the end."""
        while self._at < len(self._text):
            found = _TOKEN.match(self._text, self._at)
            if found is None:
                raise EdnError(self._line, f"can't read {self._text[self._at : self._at + 20]!r}")
            kind, text = str(found.lastgroup), found[0]
            self._at = found.end()
            self._line += text.count("\n") if kind in ("space", "string") else 0
            if kind != "space":
                return kind, text
        return None

    def _expect(self) -> tuple[str, str]:
        token = self._next()
        if token is None:
            raise EdnError(self._line, "the text ends inside a value")
        return token

    def _read(self, token: tuple[str, str], depth: int) -> Any:
        """Read the value that starts with ``token``."""
        kind, text = token
        if kind == "tag":
            return self._read(self._expect(), depth)
        if kind == "open":
            if depth >= _MAX_DEPTH:
                raise EdnError(self._line, f"values nest deeper than {_MAX_DEPTH}")
            return self._collection(text, self._members(_CLOSING[text], depth + 1))
        if kind == "string":
            return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescape, text[1:-1], flags=re.DOTALL)
        if kind == "atom":
            return self._atom(text)
        if kind == "char":
            return _CHARACTERS.get(text[1:], text[1:] if len(text) == 2 else chr(int(text[2:], 16)))
        raise EdnError(self._line, f"unexpected {text!r}")

    def _atom(self, text: str) -> Any:
        if text in _NAMED:
            return _NAMED[text]
        if not _NUMBER.fullmatch(text):
            return text
        digits = text.rstrip("NM")
        try:
            return int(digits) if digits.lstrip("+-").isdigit() else float(digits)
        except ValueError:
            raise EdnError(self._line, f"a number of {len(digits)} digits") from None

    def _members(self, closing: str, depth: int) -> list[Any]:
        members = []
        while (token := self._expect()) != ("close", closing):
            if token[0] == "discard":
                self._read(self._expect(), depth)
            else:
                members.append(self._read(token, depth))
        return members

    def _collection(self, opening: str, members: list[Any]) -> Any:
        if opening == "#{":
            return tuple(sorted(members, key=repr))
        if opening != "{":
            return tuple(members)
        if len(members) % 2:
            raise EdnError(self._line, "a map has a key without a value")
        try:
            return dict(zip(members[::2], members[1::2], strict=True))
        except TypeError:
            raise EdnError(self._line, "a map is the key of a map") from None


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)
