"""Who may talk to whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv import __version__
from raftkv.net.handshake import PROTOCOL, Hello, Refused, check_hello, read_hello

HELLO = Hello(cluster_id=0xAB, source=0x1, target=0x2)


def refusal(hello: Hello) -> Refused:
    with pytest.raises(Refused) as caught:
        check_hello(hello, cluster_id=0xAB, member_id=0x2)
    return caught.value


def test_a_hello_comes_out_of_its_headers_as_it_went_in() -> None:
    assert read_hello(HELLO.headers()) == HELLO
    largest = Hello(2**64 - 1, 2**64 - 1, 2**64 - 2, 3, "0.9.1", ("http://a:1", "http://[::1]:2380"), 9)
    assert read_hello(largest.headers()) == largest


@pytest.mark.parametrize(
    "urls", ["nonsense", "http://a:1/x", "http://a:1,ftp://b:2", "file:///etc", ",", "http://" + "a" * 9999]
)
def test_urls_that_can_not_be_used_are_no_urls(urls: str) -> None:
    assert read_hello({**HELLO.headers(), "Raftkv-Peer-Urls": urls}) == HELLO


def test_who_announces_no_level_is_of_the_first_version() -> None:
    headers = HELLO.headers()
    del headers["Raftkv-Level"]
    assert read_hello(headers).level == 1
    for wrong in ("0", "x"):
        with pytest.raises(Refused):
            read_hello({**headers, "Raftkv-Level": wrong})


def test_a_fitting_peer_is_taken() -> None:
    check_hello(HELLO, cluster_id=0xAB, member_id=0x2)


def test_another_cluster_is_refused_with_both_ids() -> None:
    refused = refusal(HELLO._replace(cluster_id=0xCD))
    assert (refused.status, refused.peer) == (412, 1)
    assert refused.reason == "peer 1 belongs to cluster cd, this member 2 to cluster ab"


def test_a_stream_meant_for_another_member_is_refused() -> None:
    refused = refusal(HELLO._replace(target=3))
    assert (refused.status, refused.reason) == (412, "peer 1 means member 3, this is member 2")


def test_an_incompatible_protocol_is_refused_first_and_names_both_versions() -> None:
    refused = refusal(HELLO._replace(cluster_id=0xCD, protocol=PROTOCOL + 1, version="9.9"))
    assert refused.status == 412
    assert refused.reason == (
        f"peer 1 (raftkv 9.9) speaks version {PROTOCOL + 1} of the peer protocol, "
        f"this member (raftkv {__version__}) speaks version {PROTOCOL}"
    )


def test_a_second_process_with_this_members_id_is_refused() -> None:
    assert refusal(HELLO._replace(source=2)).reason == "another process says to be member 2 too"


@pytest.mark.parametrize(
    "name", ["Raftkv-Cluster-Id", "Raftkv-Source-Id", "Raftkv-Target-Id", "Raftkv-Protocol"]
)
@pytest.mark.parametrize("value", ["", "0", "-1", "zz", "1" * 21, "1" * 5000, "18446744073709551616f", None])
def test_a_header_that_is_missing_or_no_number_is_refused(name: str, value: str | None) -> None:
    headers = HELLO.headers()
    del headers[name]
    if value is not None:
        headers[name] = value
    with pytest.raises(Refused, match=name) as caught:
        read_hello(headers)
    assert caught.value.status == 400
    assert len(caught.value.reason) < 200


@given(st.text(max_size=60))
def test_what_a_stranger_says_reaches_the_log_as_plain_ascii(text: str) -> None:
    """A reason goes to a log line: no line break or escape sequence may come through."""
    with pytest.raises(Refused) as caught:
        read_hello({**HELLO.headers(), "Raftkv-Cluster-Id": "x" + text})
    assert caught.value.reason.isascii()
    assert caught.value.reason.isprintable()
    version = read_hello({**HELLO.headers(), "Raftkv-Version": text}).version
    assert version.isascii()
    assert version == "" or version.isprintable()
