"""A stream of JSON values, cut at every place."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.api import json_values
from raftkv.api.json_values import CHECKED_BYTES, MAX_BRACKETS, JsonValues
from raftkv.errors import InvalidRequest
from raftkv.schema.json_syntax import stream_error

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def values_of(*pieces: bytes) -> list[bytes]:
    values, found = JsonValues(), []
    for piece in pieces:
        values.feed(piece)
        while (value := values.next()) is not None:
            found.append(value)
    return [*found, *([rest] if (rest := values.rest()) else [])]


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(VALUES, max_size=5),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    space=st.sampled_from([" ", "\n", " \r\n\t"]),
)
def test_values_come_out_as_they_went_in_wherever_they_are_cut(
    values: list[object], cuts: list[int], space: str
) -> None:
    data = "".join(json.dumps(value, ensure_ascii=False) + space for value in values).encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert [json.loads(value) for value in values_of(*pieces)] == values


@pytest.mark.parametrize("size", [1, 2, 100])
def test_values_need_no_space_between(size: int) -> None:
    data = b'{"a":"}{\\"\\\\"}{"b":[{}]}[1]"x""y"null{}12 {"c":'
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert values_of(*pieces) == [
        b'{"a":"}{\\"\\\\"}', b'{"b":[{}]}', b"[1]", b'"x"', b'"y"', b"null", b"{}", b"12", b'{"c":'
    ]  # fmt: skip


def test_what_is_no_json_comes_out_at_once() -> None:
    values = JsonValues()
    values.feed(b"}{")
    assert values.next() == b"}"
    assert values.next() is None
    values.feed(b'"a":"b"')
    assert values.next() is None
    values.feed(b";")
    assert (values.next(), values.held) == (b'{"a":"b";', 0)
    assert values_of(b"{]", b"x {") == [b"{]", b"x", b"{"]


def test_what_is_held_is_known_and_so_deep_a_value_is_refused() -> None:
    values = JsonValues()
    values.feed(b'{"a":')
    assert (values.next(), values.held) == (None, 5)
    values.feed(b"[" * MAX_BRACKETS)
    with pytest.raises(InvalidRequest):
        values.next()


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b"[\n"])
def test_looking_for_errors_costs_little_however_a_value_is_cut(
    monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    """4 KiB in pieces of a byte cost half a minute when each of them led to a look at all before it."""
    looked = 0

    def look(data: bytes) -> str | None:
        nonlocal looked
        looked += len(data)
        return stream_error(data)

    monkeypatch.setattr(json_values, "stream_error", look)
    values = JsonValues()
    for _ in range(2000):
        values.feed(piece)
        assert values.next() is None
    assert 0 < looked <= CHECKED_BYTES


def test_each_byte_is_looked_at_once() -> None:
    """A value that comes in a thousand pieces of strings and brackets must not cost a million looks."""
    values, looks = JsonValues(), 0

    class Counted(bytearray):
        def __getitem__(self, place: object) -> object:  # type: ignore[override]
            nonlocal looks
            looks += 1
            return super().__getitem__(place)  # type: ignore[index]

    values._data = Counted()
    values.feed(b"[")
    for _ in range(1000):
        values.feed(b'"x",')
        assert values.next() is None
    assert looks < 5000
