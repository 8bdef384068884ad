"""Orders as JSON: there and back, and refusals that name the value."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.errors import InvalidRequest
from raftkv.faults.orders import (
    MOST_JUMP_MS,
    ClockFault,
    DiskFault,
    LinkFault,
    Orders,
    decode,
    encode,
)

seconds = st.none() | st.floats(0.001, 3600)
names = st.text(min_size=1, max_size=8)
disk_faults = st.builds(DiskFault, st.floats(0, 60_000), st.integers(0, 1000), st.booleans(), seconds)
delays = st.tuples(st.floats(0, 60_000), st.floats(0, 1))
link_faults = st.builds(
    lambda source, target, cut, delay, drop, double, end: LinkFault(
        source, target, cut, delay[0], delay[0] * delay[1], drop, double, end
    ),
    names,
    names,
    st.booleans(),
    delays,
    st.floats(0, 1),
    st.floats(0, 1),
    seconds,
)
clock_faults = st.builds(ClockFault, st.floats(-MOST_JUMP_MS, MOST_JUMP_MS), st.floats(-1e6, 1e6), seconds)
orders = st.builds(
    Orders,
    st.booleans(),
    st.dictionaries(st.sampled_from(["log", "snapshots"]), disk_faults),
    st.lists(link_faults, max_size=3).map(tuple),
    st.none() | clock_faults,
)


@given(orders)
def test_orders_arrive_as_they_were_given(given: Orders) -> None:
    assert decode(encode(given)) == given


def test_nothing_is_an_order_too() -> None:
    assert decode(b"") == decode(b"{}") == Orders()


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "the body: [] is not an object"),
        (None, "the body: null is not an object"),
        ({"heel": True}, "there is no such field; use heal, disk, links, clock"),
        ({"heal": 1}, "heal: 1 is not true or false"),
        ({"disk": []}, "disk: [] is not an object"),
        ({"disk": {"wal": {}}}, 'disk."wal": there is no such field; use log, snapshots'),
        ({"disk": {"log": 3}}, "disk.log: 3 is not an object"),
        ({"disk": {"log": None}}, "disk.log: null is not an object"),
        ({"disk": {"log": {"slow": 3}}}, 'disk.log."slow": there is no such field; use slow_fsync_ms'),
        (
            {"disk": {"log": {"slow_fsync_ms": -1}}},
            "disk.log.slow_fsync_ms: -1 is not a number from 0 to 60000",
        ),
        ({"disk": {"log": {"slow_fsync_ms": "5"}}}, 'disk.log.slow_fsync_ms: "5" is not a number'),
        ({"disk": {"log": {"slow_fsync_ms": True}}}, "disk.log.slow_fsync_ms: true is not a number"),
        ({"disk": {"log": {"slow_fsync_ms": 10**400}}}, "disk.log.slow_fsync_ms: 1000000000"),
        ({"disk": {"log": {"fail_fsyncs": 1.5}}}, "disk.log.fail_fsyncs: 1.5 is not a whole number"),
        ({"disk": {"log": {"full": "yes"}}}, 'disk.log.full: "yes" is not true or false'),
        ({"disk": {"log": {"seconds": 0}}}, "disk.log.seconds: use a number above 0"),
        ({"disk": {"log": {"seconds": 3601}}}, "disk.log.seconds: 3601 is not a number from 0 to 3600"),
        ({"links": {}}, "links: {} is not a list of at most 64"),
        ({"links": [{}] * 65}, "is not a list of at most 64"),
        ({"links": [{"to": "n2"}]}, "links[0].from: null is not a member's name or id"),
        ({"links": [{"from": "n1", "to": 2}]}, "links[0].to: 2 is not a member's name or id"),
        (
            {"links": [{"from": "a", "to": "b", "drop": 1.1}]},
            "links[0].drop: 1.1 is not a number from 0 to 1",
        ),
        ({"links": [{"from": "a", "to": "b", "jitter_ms": 5}]}, "links[0].jitter_ms: 5 is above delay_ms, 0"),
        ({"links": [{"source": "a"}]}, 'links[0]."source": there is no such field; use from, to, cut'),
        ({"clock": {"jump_ms": 1e15}}, "clock.jump_ms: 1000000000000000.0 is not a number from -3.1"),
        ({"clock": {"drift_ppm": None}}, "clock.drift_ppm: null is not a number"),
    ],
)
def test_what_makes_no_sense_is_named(document: object, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(json.dumps(document).encode())
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[" * 60_000,
        b'{"clock":' * 8_000,
        b'{"clock": {"jump_ms": NaN}}',
        b'{"clock": {"jump_ms": Infinity}}',
        b'{"clock": {"jump_ms": 1e999}}',
        b'{"clock": {"jump_ms": ' + b"9" * 5000 + b"}}",
        '{"\ud800": 1}'.encode("utf-8", "surrogatepass"),
        b'{"\\ud800": 1}',
        b"\x00" * 10,
        '{"heal": true}'.encode("utf-16"),
    ],
)
def test_what_is_no_json_is_refused_and_the_text_can_be_sent(body: bytes) -> None:
    try:
        assert decode(body) == Orders(heal=True)
    except InvalidRequest as error:
        assert len(str(error).encode()) < 400


@pytest.mark.parametrize("depth", [10, 300, 900, 960, 980, 990, 1000, 2000])
@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"heal":', "}"), ('{"disk":', "}")])
def test_no_depth_of_nesting_does_harm(depth: int, open_: str, close: str) -> None:
    for body in (f"{open_ * depth}1{close * depth}", f'{{"links": {open_ * depth}1{close * depth}}}'):
        with pytest.raises(InvalidRequest):
            decode(body.encode())


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(body: bytes) -> None:
    try:
        decode(body)
    except InvalidRequest as error:
        str(error).encode()
