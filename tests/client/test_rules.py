"""The rules of all clients, as tables: what a failure means, and what is done about it."""

import math

import pytest

from raftkv.client import NoAnswer, OutcomeUnknown, Refused, Unreachable, WrongAnswer
from raftkv.client.endpoint import Endpoints
from raftkv.client.outcome import Compacted, KeyNotFound, LeaseNotFound, NoSpace, refused
from raftkv.client.rules import FIRST_WAIT, LONGEST_WAIT, Call, Meaning, is_passing, meaning_of
from raftkv.errors import RaftKvError

URLS = ["http://a:1", "http://b:2", "http://c:3"]
NOT_DONE, IN_DOUBT = Meaning.NOT_DONE, Meaning.IN_DOUBT
PASSING, LASTING = True, False

FAILURES: list[tuple[RaftKvError, Meaning, bool]] = [
    (Unreachable("refused"), NOT_DONE, PASSING),
    (NoAnswer("the connection is lost"), IN_DOUBT, PASSING),
    # before the proposal, on etcd and on raftkv alike
    (Refused(503, 14, "etcdserver: no leader"), NOT_DONE, PASSING),
    (Refused(500, 2, "etcdserver: too many requests"), NOT_DONE, PASSING),
    (Refused(500, 2, "raft proposal dropped"), NOT_DONE, PASSING),
    (Refused(503, 14, "etcdserver: rpc not supported for learner"), NOT_DONE, PASSING),
    # proposed, and nothing is known of it
    (Refused(503, 14, "etcdserver: request timed out"), IN_DOUBT, PASSING),
    (
        Refused(503, 14, "etcdserver: request timed out, possibly due to previous leader failure"),
        IN_DOUBT,
        PASSING,
    ),
    (
        Refused(503, 14, "etcdserver: request timed out, possibly due to connection lost"),
        IN_DOUBT,
        PASSING,
    ),
    (Refused(503, 14, "etcdserver: leader changed"), IN_DOUBT, PASSING),
    (Refused(503, 14, "etcdserver: server stopped"), IN_DOUBT, PASSING),
    (Refused(503, 14, "transport is closing"), IN_DOUBT, PASSING),
    (Refused(504, 4, "context deadline exceeded"), IN_DOUBT, PASSING),
    (Refused(500, 2, "context deadline exceeded"), IN_DOUBT, PASSING),
    (Refused(500, 2, "etcdserver: request timed out"), IN_DOUBT, PASSING),
    (Refused(500, 2, "etcdserver: server stopped"), IN_DOUBT, PASSING),
    (Refused(408, 1, "context canceled"), IN_DOUBT, PASSING),
    (Refused(408, 1, "etcdserver: request canceled"), IN_DOUBT, LASTING),
    (Refused(500, 13, "raftkv: something new"), IN_DOUBT, LASTING),
    (Refused(500, 2, "something that nobody has seen"), IN_DOUBT, LASTING),
    # turned down
    (Refused(400, 3, "etcdserver: key is not provided"), NOT_DONE, LASTING),
    (Refused(400, 11, "etcdserver: mvcc: required revision has been compacted"), NOT_DONE, LASTING),
    (Refused(404, 5, "etcdserver: requested lease not found"), NOT_DONE, LASTING),
    (Refused(500, 2, "etcdserver: requested lease not found"), NOT_DONE, LASTING),
    (Refused(429, 8, "etcdserver: mvcc: database space exceeded"), NOT_DONE, LASTING),
    (Refused(401, 16, "etcdserver: invalid auth token"), NOT_DONE, LASTING),
    (Refused(403, 7, "etcdserver: permission denied"), NOT_DONE, LASTING),
    (Refused(503, 14, "etcdserver: unhealthy cluster"), NOT_DONE, LASTING),
    (Refused(503, 14, "etcdserver: not capable"), NOT_DONE, LASTING),
    (Refused(500, 15, "etcdserver: corrupt cluster"), NOT_DONE, LASTING),
    (Refused(500, 2, "election: not leader"), NOT_DONE, LASTING),
    # no member at all, or a proxy before it
    (WrongAnswer("Not Found", 404), NOT_DONE, LASTING),
    (WrongAnswer("a proxy's time-out", 408), IN_DOUBT, LASTING),
    (WrongAnswer("bad gateway", 502), IN_DOUBT, PASSING),
    (WrongAnswer("a login page", 200), IN_DOUBT, LASTING),
]


def name_of(value: object) -> str | None:
    return f"{type(value).__name__}: {value}" if isinstance(value, RaftKvError) else None


def call(*, repeatable: bool, deadline: float = 10.0, rounds: int | None = None, count: int = 3) -> Call:
    return Call(Endpoints(URLS[:count]), deadline, repeatable=repeatable, rounds=rounds)


@pytest.mark.parametrize(("failure", "meaning", "passing"), FAILURES, ids=name_of)
def test_what_a_failure_means(failure: RaftKvError, meaning: Meaning, passing: bool) -> None:
    assert (meaning_of(failure), is_passing(failure)) == (meaning, passing)


@pytest.mark.parametrize(("failure", "meaning", "passing"), FAILURES, ids=name_of)
def test_a_write_is_sent_again_only_when_nothing_happened(
    failure: RaftKvError, meaning: Meaning, passing: bool
) -> None:
    write = call(repeatable=False)
    if meaning is IN_DOUBT:
        with pytest.raises(OutcomeUnknown, match="may have happened") as raised:
            write.after(failure, 0.0)
        assert raised.value.__cause__ is failure
    elif passing:
        assert write.after(failure, 0.0) == 0.0
        assert write.endpoint.url == URLS[1]
    else:
        with pytest.raises(type(failure), match=str(failure)):
            write.after(failure, 0.0)


@pytest.mark.parametrize(("failure", "meaning", "passing"), FAILURES, ids=name_of)
def test_a_read_is_sent_again_whenever_that_may_help(
    failure: RaftKvError, meaning: Meaning, passing: bool
) -> None:
    read = call(repeatable=True)
    if passing:
        assert read.after(failure, 0.0) == 0.0
        assert read.endpoint.url == URLS[1]
    else:
        with pytest.raises(type(failure), match=str(failure)):
            read.after(failure, 0.0)


def test_every_endpoint_is_asked_before_the_first_wait_and_waits_grow_up_to_a_cap() -> None:
    read = call(repeatable=True, deadline=math.inf, count=2)
    waits = [read.after(Unreachable("refused"), 0.0) for _ in range(20)]
    assert waits[::2] == [0.0] * 10
    assert waits[1::2] == [min(FIRST_WAIT * 2**n, LONGEST_WAIT) for n in range(10)]
    assert waits[-1] == LONGEST_WAIT


def test_a_call_ends_when_the_next_attempt_would_come_too_late() -> None:
    write = call(repeatable=False, deadline=5.0, count=1)
    assert write.after(Unreachable("one"), 4.0) == FIRST_WAIT
    with pytest.raises(Unreachable, match="two"):
        write.after(Unreachable("two"), 5.0 - FIRST_WAIT)


def test_after_the_last_round_all_unreachable_endpoints_are_named() -> None:
    write = call(repeatable=False, deadline=math.inf, rounds=1, count=2)
    write.after(Unreachable("a: refused"), 0.0)
    with pytest.raises(Unreachable, match="a: refused; b: refused"):
        write.after(Unreachable("b: refused"), 0.0)


def test_an_answer_says_more_than_a_connection_that_could_not_be_made() -> None:
    write = call(repeatable=False, deadline=math.inf, rounds=1, count=2)
    write.after(Refused(503, 14, "etcdserver: no leader"), 0.0)
    with pytest.raises(Refused, match="no leader"):
        write.after(Unreachable("b: refused"), 0.0)


def test_a_silent_member_gets_half_of_the_time_of_a_read_and_all_of_a_write() -> None:
    read, write = call(repeatable=True), call(repeatable=False)
    assert read.patience(0.0) == 5.0
    read.after(NoAnswer("silent"), 5.0)
    assert read.patience(5.0) == 2.5
    assert write.patience(2.0) == 8.0
    assert write.patience(11.0) == 0.0
    assert call(repeatable=True, count=1).patience(0.0) == 10.0


def test_later_calls_begin_at_the_endpoint_that_answered_last() -> None:
    endpoints = Endpoints(URLS)
    first = Call(endpoints, 10.0, repeatable=True)
    other = Call(endpoints, 10.0, repeatable=True)
    first.after(Unreachable("refused"), 0.0)
    other.after(Unreachable("refused"), 0.0)
    assert Call(endpoints, 10.0, repeatable=True).endpoint.url == URLS[1]


@pytest.mark.parametrize("urls", [[], "http://a:1"])
def test_endpoints_are_a_list(urls: list[str]) -> None:
    with pytest.raises(ValueError, match="list"):
        Endpoints(urls)


@pytest.mark.parametrize(
    ("text", "cls"),
    [
        ("etcdserver: mvcc: required revision has been compacted", Compacted),
        ("etcdserver: requested lease not found", LeaseNotFound),
        ("etcdserver: key not found", KeyNotFound),
        ("etcdserver: mvcc: database space exceeded", NoSpace),
        ("etcdserver: key is not provided", Refused),
    ],
)
def test_errors_that_callers_tell_apart_have_classes(text: str, cls: type[Refused]) -> None:
    error = refused(400, 3, text)
    assert type(error) is cls
    assert (error.status, error.code, str(error)) == (400, 3, text)
