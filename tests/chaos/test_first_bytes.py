"""Who opened a connection between members, by its first bytes."""

import pytest

from raftkv.chaos.first_bytes import MAX_HEAD_BYTES, is_whole, source_of
from raftkv.net.handshake import Hello

ETCD_STREAM = (
    b"GET /raft/stream/msgappv2/91bc3c398fb3c146 HTTP/1.1\r\nHost: 127.0.0.1:2380\r\n"
    b"User-Agent: Go-http-client/1.1\r\nX-Etcd-Cluster-Id: ef37ad9dc622a7c4\r\n"
    b"X-Min-Cluster-Version: 3.0.0\r\nX-Raft-To: 8211f1d0f64f3269\r\nX-Server-From: 91bc3c398fb3c146\r\n"
    b"X-Server-Version: 3.5.1\r\nAccept-Encoding: gzip\r\n\r\n"
)
ETCD_POST = (
    b"POST /raft HTTP/1.1\r\nHost: 127.0.0.1:2380\r\nContent-Length: 23\r\n"
    b"Content-Type: application/protobuf\r\nX-Server-From: fd422379fda50e48\r\n\r\n\r\nX-Server-From: 1\r\n"
)
RAFTKV_HEAD = "".join(
    f"{name}: {value}\r\n" for name, value in Hello(1, 0x8E9E05C52164694D, 2).headers().items()
)


@pytest.mark.parametrize(
    ("first", "source"),
    [
        (ETCD_STREAM, 0x91BC3C398FB3C146),
        (ETCD_STREAM.replace(b"X-Server-From", b"x-server-from"), 0x91BC3C398FB3C146),
        (ETCD_POST, 0xFD422379FDA50E48),
        (f"POST /raftkv/peer/stream/v1 HTTP/1.1\r\n{RAFTKV_HEAD}\r\n".encode(), 0x8E9E05C52164694D),
        (b"GET /raft/probing HTTP/1.1\r\nHost: x\r\n\r\n", 0),
        (b"GET / HTTP/1.1\r\nX-Server-From: not hex\r\n\r\n", 0),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nx\r\nX-Server-From: 1\r\n", 0),  # in the body
        (b"\x16\x03\x01" + bytes(MAX_HEAD_BYTES), 0),
    ],
)
def test_the_source_is_the_member_that_the_first_request_names(first: bytes, source: int) -> None:
    assert is_whole(first)
    assert source_of(first) == source


def test_a_head_is_waited_for() -> None:
    assert not any(is_whole(ETCD_STREAM[:length]) for length in range(len(ETCD_STREAM)))
