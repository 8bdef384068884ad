"""Who listens hears every event in order, or how many it missed."""

from datetime import UTC, datetime, timedelta

from raftkv.listeners import Heard, Listeners
from raftkv.trace import Event, PeerUp

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def made() -> tuple[Listeners, list[Event]]:
    first: list[Event] = []
    moments = (BEGIN + timedelta(seconds=number) for number in range(1000))
    return Listeners(first.append, lambda: next(moments)), first


def heard(*numbers: int, begin: int = 1) -> list[Heard]:
    times = (BEGIN + timedelta(seconds=number - begin) for number in numbers)
    return [Heard(at, PeerUp(number)) for at, number in zip(times, numbers, strict=True)]


def test_everybody_hears_what_happens_while_they_listen() -> None:
    events, first = made()
    woken: list[int] = []
    events.emit(PeerUp(0))
    with events.listening(10, lambda: woken.append(1)) as one:
        events.emit(PeerUp(1))
        with events.listening(10, lambda: woken.append(2)) as other:
            events.emit(PeerUp(2))
            assert other.take() == (0, heard(2))
            assert other.take() == (0, [])
        events.emit(PeerUp(3))
        assert other.take() == (0, [])
        assert one.take() == (0, heard(1, 2, 3))
        assert events.count == 1
    events.emit(PeerUp(4))
    assert events.count == 0
    assert woken == [1, 1, 2, 1]
    assert first == [PeerUp(number) for number in range(5)]


def test_who_is_slow_loses_the_oldest_and_is_told_how_many() -> None:
    events, _ = made()
    with events.listening(3, lambda: None) as listener:
        for number in range(1, 8):
            events.emit(PeerUp(number))
        assert listener.take() == (4, heard(5, 6, 7))
        events.emit(PeerUp(8))
        assert listener.take() == (0, heard(8))
