"""How far a watch has come, without a connection."""

import pytest

from raftkv.client import Compacted, WatchCanceled, WrongAnswer
from raftkv.client.watch import Position
from raftkv.schema.kv import KeyValue, ResponseHeader
from raftkv.schema.watch import Event, WatchCreateRequest, WatchResponse


def header(revision: int, cluster: int = 7) -> ResponseHeader:
    return ResponseHeader(cluster_id=cluster, revision=revision)


def created(revision: int, cluster: int = 7) -> WatchResponse:
    return WatchResponse(header=header(revision, cluster), created=True)


def brings(*revisions: int, fragment: bool = False) -> WatchResponse:
    events = [Event(kv=KeyValue(key=b"k", mod_revision=revision)) for revision in revisions]
    return WatchResponse(header=header(99), events=events, fragment=fragment)


def begun(start: int = 0, now: int = 5) -> Position:
    position = Position(WatchCreateRequest(key=b"k", start_revision=start))
    position.request()
    assert position.take(created(now)) == []
    return position


def resumes_at(position: Position) -> int:
    create = position.request().create_request
    assert create is not None
    return create.start_revision


def taken(position: Position, *replies: WatchResponse) -> list[int]:
    return [event.revision for reply in replies for event in position.take(reply)]


def test_a_watch_from_now_on_resumes_behind_the_revision_at_which_it_began() -> None:
    assert resumes_at(Position(WatchCreateRequest(key=b"k"))) == 0
    assert resumes_at(begun(now=5)) == 6


def test_a_watch_of_history_does_not_skip_it_because_it_began() -> None:
    assert resumes_at(begun(start=2, now=5)) == 2


def test_a_watch_resumes_behind_the_last_event() -> None:
    position = begun(start=2)
    assert taken(position, brings(2, 2, 4), brings(7)) == [2, 2, 4, 7]
    assert resumes_at(position) == 8


def test_progress_moves_the_position_so_that_a_quiet_range_is_not_compacted_away() -> None:
    position = begun()
    assert taken(position, WatchResponse(header=header(50))) == []
    assert resumes_at(position) == 51
    position.take(created(60))
    assert resumes_at(position) == 51


def test_progress_does_not_pull_back_a_watch_of_the_future() -> None:
    position = begun(start=100, now=5)
    position.take(WatchResponse(header=header(50)))
    assert resumes_at(position) == 100


def test_progress_of_the_whole_stream_is_not_believed() -> None:
    """Etcd before 3.5.8 answers it although history is still to come."""
    position = begun(start=2)
    position.take(WatchResponse(header=header(50), watch_id=-1))
    assert resumes_at(position) == 2


def test_fragments_are_held_back_until_the_last_one() -> None:
    position = begun(start=2)
    assert taken(position, brings(2, 3, fragment=True), brings(3, fragment=True)) == []
    assert taken(position, brings(3, 4)) == [2, 3, 3, 3, 4]
    assert resumes_at(position) == 5


def test_fragments_without_their_end_are_forgotten() -> None:
    position = begun(start=2)
    assert taken(position, brings(2, 3, fragment=True)) == []
    assert resumes_at(position) == 2
    assert taken(position, created(5), brings(2, 3)) == [2, 3]


@pytest.mark.parametrize("revisions", [(4,), (3, 4), (6, 5)])
def test_what_was_given_out_or_is_out_of_order_is_no_event(revisions: tuple[int, ...]) -> None:
    position = begun(start=2)
    position.take(brings(2, 4))
    with pytest.raises(WrongAnswer, match="behind those before it"):
        position.take(brings(*revisions))


def test_another_cluster_is_noticed() -> None:
    position = begun()
    position.request()
    with pytest.raises(WrongAnswer, match="began in cluster 7, and this is 8"):
        position.take(created(5, cluster=8))


@pytest.mark.parametrize("revision", [0, 30])
def test_history_that_is_compacted_ends_the_watch(revision: int) -> None:
    reason = "" if revision else "etcdserver: mvcc: required revision has been compacted"
    reply = WatchResponse(header=header(0), canceled=True, compact_revision=revision, cancel_reason=reason)
    with pytest.raises(Compacted) as raised:
        begun(start=2).take(reply)
    assert raised.value.revision == revision


def test_a_watch_that_the_server_ends_says_why() -> None:
    refused = WatchResponse(
        header=header(5), created=True, canceled=True, watch_id=-1, cancel_reason="no permission"
    )
    with pytest.raises(WatchCanceled, match="no permission"):
        Position(WatchCreateRequest(key=b"k")).take(refused)


def test_an_event_of_a_type_that_does_not_exist_is_a_wrong_answer() -> None:
    with pytest.raises(WrongAnswer, match="unknown type 7"):
        begun().take(WatchResponse(header=header(9), events=[Event(type=7)]))
