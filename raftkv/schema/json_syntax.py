"""What is wrong with a piece of JSON, in the words of Go's parser, which etcd's clients know.

Only asked after a fast parser has refused the text. Strings are skipped as a whole, and after
``MAX_TOKENS`` tokens the search ends with a general sentence, so that a hostile body costs little.
"""

import re
from enum import Enum

MAX_TOKENS = 20_000
MAX_DEPTH_TEXT = "invalid character '[' exceeded max depth"
END_OF_STREAM = "unexpected EOF"
END_OF_TEXT = "unexpected end of JSON input"

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]+|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')
_HEX = re.compile(r"[0-9a-fA-F]*")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DIGITS = re.compile(r"[0-9]+")
_LITERALS = {"t": "true", "f": "false", "n": "null"}


class _State(Enum):
    """What may come next; the value is Go's phrase for what may not."""

    VALUE = "looking for beginning of value"
    FIRST_ELEMENT = "looking for beginning of value "
    FIRST_KEY = "looking for beginning of object key string "
    KEY = "looking for beginning of object key string"
    COLON = "after object key"
    AFTER_VALUE = "after object key:value pair"
    AFTER_ELEMENT = "after array element"
    AFTER_ALL = "after top-level value"


_AFTER = {"{": _State.AFTER_VALUE, "[": _State.AFTER_ELEMENT}
_CLOSES = {
    (_State.FIRST_KEY, "}"),
    (_State.AFTER_VALUE, "}"),
    (_State.FIRST_ELEMENT, "]"),
    (_State.AFTER_ELEMENT, "]"),
}
_STEPS = {
    (_State.COLON, ":"): _State.VALUE,
    (_State.AFTER_VALUE, ","): _State.KEY,
    (_State.AFTER_ELEMENT, ","): _State.VALUE,
}


class _Fault(Exception):
    """The text breaks the grammar at ``position``, where ``phrase`` was being read."""

    def __init__(self, position: int, phrase: str, *, inside: bool = True) -> None:
        super().__init__(position, phrase)
        self.position = position
        self.phrase = phrase
        self.inside = inside


def stream_error(data: bytes) -> str | None:
    """Return the error in the first JSON value of ``data``, or None; what follows it is not read."""
    return _error(data, whole=False)


def text_error(data: bytes) -> str | None:
    """Return the error in ``data`` taken as exactly one JSON value, or None."""
    return _error(data, whole=True)


def _error(data: bytes, *, whole: bool) -> str | None:
    # one character a byte, because Go's parser names the offending byte
    text = data.decode("latin-1")
    try:
        _scan(text, whole=whole)
    except _Fault as fault:
        if fault.position < len(text):
            return f"invalid character {_quote(text[fault.position])} {fault.phrase.rstrip()}"
        if not whole:
            return END_OF_STREAM
        return f"invalid character ' ' {fault.phrase}" if fault.inside else END_OF_TEXT
    return None


def _scan(text: str, *, whole: bool) -> None:
    state, position = _State.VALUE, 0
    stack: list[str] = []
    for _ in range(MAX_TOKENS):
        position = _end(_SPACE, text, position)
        if state is _State.AFTER_ALL and (not whole or position == len(text)):
            return
        if position == len(text):
            raise _Fault(position, state.value, inside=False)
        char = text[position]
        if (state, char) in _CLOSES:
            stack.pop()
            state, position = _after(stack), position + 1
        elif (state, char) in _STEPS:
            state, position = _STEPS[state, char], position + 1
        elif state in (_State.VALUE, _State.FIRST_ELEMENT):
            state, position = _value(text, position, stack, state)
        elif state in (_State.KEY, _State.FIRST_KEY) and char == '"':
            state, position = _State.COLON, _string(text, position)
        else:
            raise _Fault(position, state.value)
    raise _Fault(position, "in a value with too many parts")


def _after(stack: list[str]) -> _State:
    return _AFTER[stack[-1]] if stack else _State.AFTER_ALL


def _value(text: str, position: int, stack: list[str], state: _State) -> tuple[_State, int]:
    char = text[position]
    if char in "{[":
        stack.append(char)
        return (_State.FIRST_KEY if char == "{" else _State.FIRST_ELEMENT), position + 1
    if char == '"':
        return _after(stack), _string(text, position)
    if char in _LITERALS:
        return _after(stack), _literal(text, position, _LITERALS[char])
    if char == "-" or char in "0123456789":
        return _after(stack), _number(text, position)
    raise _Fault(position, state.value)


def _string(text: str, position: int) -> int:
    end = _end(_STRING, text, position)
    if end == len(text):
        raise _Fault(end, "", inside=False)
    if text[end] == '"':
        return end + 1
    if text[end] != "\\":
        raise _Fault(end, "in string literal")
    if text[end + 1 : end + 2] != "u":
        raise _Fault(end + 1, "in string escape code")
    raise _Fault(_end(_HEX, text, end + 2), "in \\u hexadecimal character escape")


def _literal(text: str, position: int, word: str) -> int:
    for offset, expected in enumerate(word):
        if text[position + offset : position + offset + 1] != expected:
            raise _Fault(position + offset, f"in literal {word} (expecting '{expected}')")
    return position + len(word)


def _number(text: str, position: int) -> int:
    match = _INTEGER.match(text, position)
    if match is None:
        raise _Fault(position + 1, "in numeric literal")
    end = match.end()
    if text[end : end + 1] == ".":
        end = _digits(text, end + 1, "after decimal point in numeric literal")
    if text[end : end + 1] in ("e", "E"):
        sign = 1 if text[end + 1 : end + 2] in ("+", "-") else 0
        end = _digits(text, end + 1 + sign, "in exponent of numeric literal")
    return end


def _digits(text: str, position: int, phrase: str) -> int:
    match = _DIGITS.match(text, position)
    if match is None:
        raise _Fault(position, phrase)
    return match.end()


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return position if match is None else match.end()


_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}


def _quote(char: str) -> str:
    """Quote one byte as Go's parser does."""
    if char == "'":
        return "'\\''"
    if char in _ESCAPES:
        return f"'{_ESCAPES[char]}'"
    if char < " ":
        return f"'\\x{ord(char):02x}'"
    if "\x7f" <= char <= "\xa0" or char == "\xad":
        return f"'\\u{ord(char):04x}'"
    return f"'{char}'"
