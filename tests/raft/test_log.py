"""The log and its frontiers against a naive model: a list, and a disk that does writes one by one."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from raftkv.raft.log import RaftLog
from raftkv.raft.types import Entry


class LogAgainstModel(RuleBasedStateMachine):
    """Appends, truncations and writes under way in any order; the model's disk lags behind its log."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = [Entry(1, 1, 0, b""), Entry(1, 2, 0, b"")]
        self.log = RaftLog(self.entries)
        self.disk = list(self.entries)
        self.writes: list[tuple[int, int, tuple[Entry, ...]]] = []
        self.number = 0
        self.term = 1

    @rule(count=st.integers(1, 3), newer=st.booleans(), size=st.integers(0, 9))
    def append(self, count: int, newer: bool, size: int) -> None:
        self.term += newer
        for _ in range(count):
            entry = Entry(self.term, len(self.entries) + 1, 0, b"x" * size)
            self.entries.append(entry)
            self.log.append(entry)

    @precondition(lambda self: len(self.entries) > 1)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(2, len(self.entries)))
        del self.entries[index - 1 :]
        self.log.truncate_from(index)

    @rule()
    def hand_over(self) -> None:
        if self.log.has_unwritten:
            self.number += 1
            self.writes.append((self.number, *self.log.hand_over(self.number)))

    @precondition(lambda self: self.writes)
    @rule(data=st.data())
    def persist(self, data: st.DataObject) -> None:
        for _ in range(data.draw(st.integers(1, len(self.writes)))):
            number, truncate_from, entries = self.writes.pop(0)
            if truncate_from:
                del self.disk[truncate_from - 1 :]
            assert not entries or entries[0].index == len(self.disk) + 1
            self.disk += entries
        self.log.persisted(number)

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        assert self.log.first_index == 1
        assert self.log.last_index == len(self.entries)
        assert self.log.last_term == self.entries[-1].term
        assert self.log.slice(1, self.log.last_index) == self.entries
        assert [self.log.term(index) for index in range(len(self.entries) + 2)] == [
            0,
            *(entry.term for entry in self.entries),
            None,
        ]

    @invariant()
    def what_counts_as_durable_is_and_stays_on_disk(self) -> None:
        """Also after each of the writes under way, whatever they cut off."""
        durable = self.entries[: self.log.durable_index]
        disk = list(self.disk)
        assert disk[: len(durable)] == durable
        for _, truncate_from, entries in self.writes:
            disk = [*(disk[: truncate_from - 1] if truncate_from else disk), *entries]
            assert disk[: len(durable)] == durable

    @invariant()
    def with_no_write_left_everything_is_durable(self) -> None:
        if not self.writes and not self.log.has_unwritten:
            assert self.disk == self.entries
            assert self.log.durable_index == self.log.last_index

    @rule(data=st.data(), limit=st.integers(0, 30))
    def slice_by_bytes(self, data: st.DataObject, limit: int) -> None:
        low = data.draw(st.integers(1, len(self.entries)))
        taken = self.log.slice(low, self.log.last_index, limit)
        assert taken == self.entries[low - 1 : low - 1 + len(taken)]
        assert len(taken) == 1 or sum(len(entry.data) for entry in taken) <= limit
        following = self.entries[low - 1 + len(taken) : low + len(taken)]
        assert not following or sum(len(entry.data) for entry in [*taken, *following]) > limit

    @rule(index=st.integers(0, 12), term=st.integers(0, 5))
    def last_index_not_above(self, index: int, term: int) -> None:
        fitting = [e.index for e in self.entries if e.index <= index and e.term <= term]
        assert self.log.last_index_not_above(index, term) == max(fitting, default=0)


LogAgainstModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, database=None, derandomize=True
)
TestLogAgainstModel = LogAgainstModel.TestCase


def test_a_compacted_log_knows_the_term_right_before_its_first_entry() -> None:
    """A peer whose entry there is of an older term must not be taken to agree."""
    log = RaftLog([Entry(4, 5, 0, b""), Entry(6, 6, 0, b"")], 4, 4)
    assert [log.term(index) for index in (3, 4, 5, 7)] == [None, 4, 4, None]
    assert [log.last_index_not_above(9, term) for term in (6, 5, 4, 3)] == [6, 5, 5, 3]
    assert log.last_index_not_above(2, 1) == 2


def test_an_empty_log_has_no_last_term() -> None:
    log = RaftLog()
    assert (log.first_index, log.last_index, log.last_term, log.durable_index) == (1, 0, 0, 0)
    assert repr(log) == "RaftLog([], durable=0)"


def test_writes_that_hold_nothing_new_are_not_remembered_one_by_one() -> None:
    """A follower whose disk is full is asked to confirm what it has with every heartbeat."""
    log = RaftLog()
    log.append(Entry(1, 1, 0, b""))
    for number in range(1, 50):
        log.hand_over(number)
    assert len(log._in_flight) == 1
    log.persisted(1)
    assert log.durable_index == 1
