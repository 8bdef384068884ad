"""Sequences that Hypothesis makes up, sent to a real etcd and to raftkv; it shrinks the first difference."""

from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.differential.calls import ALL, call, coded
from tests.differential.report import differences
from tests.differential.steps import Step, case
from tests.differential.systems import Pair, Run, Seen

pytestmark = pytest.mark.e2e

LINES = "4.2.forms 4.4.nested 4.5.compact"
EXAMPLES, STEPS = 60, 25
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


PUTS = message(key=KEYS, value=VALUES, prev_kv=BOOLS) | message(
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
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(0), version=st.integers(0, 3)),
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(1), create_revision=REVISIONS),
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(2), mod_revision=REVISIONS),
    message(key=KEYS, range_end=ENDS, result=RESULTS, target=st.just(3), value=VALUES),
)
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
        self.send("kv/compaction", {"revision": revision, "physical": physical})

    @rule(revision=REVISIONS)
    def read_all(self, revision: str) -> None:
        self.send("kv/range", coded({"key": ALL, "range_end": ALL, "revision": revision}))

    def teardown(self) -> None:
        for run in self.runs:
            run.close()


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
