"""A stream cut anywhere gives the same payloads; a frame too long is refused before it is held."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.errors import PeerProtocolError
from raftkv.net.frames import SIGN_OF_LIFE, FrameReader, frame_header

PAYLOADS = [b"a", b"", b"bcd", b"\x00\x00\x00\x01", bytes(300)]
STREAM = b"".join(frame_header(len(payload)) + payload for payload in PAYLOADS)
EXPECTED = [payload for payload in PAYLOADS if payload]


def read_all(pieces: list[bytes], reader: FrameReader | None = None) -> list[bytes]:
    reader = reader or FrameReader()
    return [payload for piece in pieces for payload in reader.feed(piece)]


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_cut_in_two_at_any_byte_gives_the_same_payloads(cut: int) -> None:
    assert read_all([STREAM[:cut], STREAM[cut:]]) == EXPECTED


def test_a_stream_byte_by_byte_gives_the_same_payloads() -> None:
    assert read_all([STREAM[i : i + 1] for i in range(len(STREAM))]) == EXPECTED


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.data())
def test_any_payloads_in_any_pieces_come_out_in_order(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame_header(len(payload)) + payload for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    bounds = [0, *cuts, len(stream)]
    reader = FrameReader()
    pieces = [stream[a:b] for a, b in itertools.pairwise(bounds)]
    assert read_all(pieces, reader) == payloads
    assert reader.unfinished_bytes == 0


def test_a_payload_is_given_as_soon_as_its_last_byte_is_there() -> None:
    reader = FrameReader()
    assert read_all([frame_header(2) + b"a"], reader) == []
    assert read_all([b"b" + frame_header(9)], reader) == [b"ab"]
    assert reader.unfinished_bytes == 4


def test_a_sign_of_life_is_no_payload() -> None:
    assert read_all([SIGN_OF_LIFE * 3]) == []


def test_the_longest_frame_passes_and_a_longer_one_is_refused_at_its_header() -> None:
    assert read_all([frame_header(10) + bytes(10)], FrameReader(max_frame_bytes=10)) == [bytes(10)]
    with pytest.raises(PeerProtocolError, match="a frame of 11 bytes, more than 10"):
        read_all([frame_header(11)], FrameReader(max_frame_bytes=10))


def test_payloads_before_a_refused_frame_are_still_given() -> None:
    taken = []
    with pytest.raises(PeerProtocolError):
        taken.extend(FrameReader(max_frame_bytes=10).feed(frame_header(1) + b"a"))
        for payload in FrameReader(max_frame_bytes=10).feed(frame_header(1) + b"b" + b"\xff\xff\xff\xff"):
            taken.append(payload)
    assert taken == [b"a", b"b"]
