"""Sequences that Hypothesis makes up, sent to a real etcd and to raftkv; it shrinks the first difference."""

import re
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.differential.calls import ALL, call, coded
from tests.differential.cases.watch import create, watching
from tests.differential.report import differences
from tests.differential.steps import Drop, Open, ReadUntil, Step, case
from tests.differential.systems import Pair, Run, Seen

pytestmark = pytest.mark.e2e

LINES = "4.2.forms 4.4.nested 4.5.compact 4.6.start 4.7.revoke"
EXAMPLES, STEPS = 50, 20
LONG_FACTOR = 20

KEYS = st.sampled_from(["a", "a", "ab", "b", "c"])
ENDS = st.sampled_from([None, None, ALL, "b", "c", "d", "a"])
VALUES = st.sampled_from(["", "1", "2", "10"])
BOOLS = st.booleans()
RARELY = st.sampled_from([False] * 7 + [True])
REVISIONS = st.integers(0, 12).map(lambda n: f"@{{r{n:+}}}")
USUALLY_NONE = st.sampled_from([0, 0, 0]) | REVISIONS


def message(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A message in JSON; zero values are left out."""

    def written(found: dict[str, Any]) -> dict[str, Any]:
        return coded({name: value for name, value in found.items() if value})

    return st.fixed_dictionaries(fields).map(written)


LEASES = st.sampled_from([0, 0, 0, 7, 8])
PUTS = message(key=KEYS, value=VALUES, lease=LEASES, prev_kv=BOOLS) | message(
    key=KEYS, prev_kv=BOOLS, ignore_value=RARELY, ignore_lease=RARELY
)
DELETES = message(key=KEYS, range_end=ENDS, prev_kv=BOOLS)
RANGES = message(
    key=KEYS,
    range_end=ENDS,
    limit=st.integers(0, 3),
    revision=USUALLY_NONE,
    sort_order=st.integers(0, 2),
    sort_target=st.integers(0, 4),
    keys_only=RARELY,
    count_only=RARELY,
    serializable=BOOLS,
    min_mod_revision=USUALLY_NONE,
    max_mod_revision=USUALLY_NONE,
    min_create_revision=USUALLY_NONE,
    max_create_revision=USUALLY_NONE,
)
RESULTS = st.integers(0, 3)
COMPARES = st.one_of(
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(4), lease=LEASES),
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(0), version=st.integers(0, 3)),
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(1), create_revision=REVISIONS),
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(2), mod_revision=REVISIONS),
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(3), value=VALUES),
)
WATCH_ENDS = st.sampled_from([None, ALL, "d", "e"])
OPS = (
    st.builds(lambda put: {"request_put": put}, PUTS)
    | st.builds(lambda delete: {"request_delete_range": delete}, DELETES)
    | st.builds(lambda read: {"request_range": read}, RANGES)
)


def txns_of(operations: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    lists = st.lists(operations, max_size=3)
    return st.fixed_dictionaries(
        {"compare": st.lists(COMPARES, max_size=2), "success": lists, "failure": lists}
    )


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return OPS | st.builds(lambda txn: {"request_txn": txn}, txns_of(inner))


TXNS = txns_of(st.recursive(OPS, nested, max_leaves=5))


class BothAlike(RuleBasedStateMachine):
    """Every request is answered alike by both."""

    pair: ClassVar[Pair]

    def __init__(self) -> None:
        super().__init__()
        self.runs = [Run(system, fresh=False) for system in self.pair]
        self.compacted = -1
        """The last compact revision, counted from where the example began."""
        self.watched: str | None = None
        """The first key of the watch that is open."""

    def same(self, step: Step) -> Seen | None:
        etcd, raftkv = (run.take(step) for run in self.runs)
        found = differences(case("a sequence", step), [etcd], [raftkv])
        assert not found, found
        return raftkv

    def send(self, path: str, body: dict[str, Any]) -> Seen | None:
        return self.same(call(path, body))

    @rule(body=PUTS)
    def put(self, body: dict[str, Any]) -> None:
        self.send("kv/put", body)

    @rule(body=DELETES)
    def delete(self, body: dict[str, Any]) -> None:
        self.send("kv/deleterange", body)

    @rule(body=RANGES)
    def range(self, body: dict[str, Any]) -> None:
        self.send("kv/range", body)

    @rule(body=TXNS)
    def txn(self, body: dict[str, Any]) -> None:
        self.send("kv/txn", body)

    @rule(revision=REVISIONS, physical=BOOLS)
    def compact(self, revision: str, physical: bool) -> None:
        answer = self.send("kv/compaction", {"revision": revision, "physical": physical})
        if answer is not None and answer.status == 200:
            self.compacted = int(revision.strip("@{r+}"))

    @rule(lease=st.sampled_from([7, 8]), seconds=st.integers(50, 100))
    def grant(self, lease: int, seconds: int) -> None:
        self.send("lease/grant", {"ID": lease, "TTL": seconds})

    @rule(lease=st.sampled_from([7, 8]))
    def revoke(self, lease: int) -> None:
        self.send("lease/revoke", {"ID": lease})

    @rule(lease=st.sampled_from([7, 8]))
    def time_to_live(self, lease: int) -> None:
        self.send("lease/timetolive", {"ID": lease, "keys": True})

    @precondition(lambda self: self.watched is None)
    @rule(key=KEYS, range_end=WATCH_ENDS, prev_kv=BOOLS)
    def watch(self, key: str, range_end: str | None, prev_kv: bool) -> None:
        """Watch from now on."""
        self.same(Open("live", watching(create(key, range_end, prev_kv=prev_kv)), 1))
        self.watched = key

    @precondition(lambda self: self.watched is not None)
    @rule()
    def look(self) -> None:
        """Read all events up to one that is made now."""
        assert self.watched is not None
        self.same(ReadUntil("live", f'"mod_revision":"r+{self.put_one(self.watched)}"'))

    @rule(key=KEYS, range_end=WATCH_ENDS, start=st.integers(1, 12), prev_kv=BOOLS)
    def watch_history(self, key: str, range_end: str | None, start: int, prev_kv: bool) -> None:
        """Watch from a revision of the past on, up to an event that is made now."""
        newest = self.put_one(key)
        # whether a deletion at the compact revision itself is still there is a matter of time in etcd
        start = min(start + (start == self.compacted), newest)
        request = create(key, range_end, prev_kv=prev_kv, start_revision=f"@{{r+{start}}}")
        self.same(Open("history", watching(request), 2))
        self.same(Drop("history"))

    def put_one(self, key: str) -> int:
        """Write a key; return the revision, counted from where the example began."""
        answer = self.send("kv/put", coded({"key": key}))
        assert answer is not None
        found = re.search(r'"revision":"r\+(\d+)"', answer.body)
        assert found is not None, answer
        return int(found[1])

    @rule(revision=REVISIONS)
    def read_all(self, revision: str) -> None:
        self.send("kv/range", coded({"key": ALL, "range_end": ALL, "revision": revision}))

    def teardown(self) -> None:
        for run in self.runs:
            run.close(leases=True)


def test_made_up_sequences_are_answered_alike(shared: Pair, long: bool) -> None:
    BothAlike.pair = shared
    run_state_machine_as_test(
        BothAlike,
        settings=settings(
            max_examples=EXAMPLES * (LONG_FACTOR if long else 1),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=not long,
            suppress_health_check=list(HealthCheck),
        ),
    )
