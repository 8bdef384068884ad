"""Three judges agree: the search, the pass by revision, and all orders tried one after the other."""

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from raftkv.checkers import MvccKv, Operation, Outcome, Validity, check, parse_history, write_history
from tests.checkers.brute_force import linearizable
from tests.checkers.generated import MODELS, histories

MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", sorted(MODELS))
@given(data=st.data())
@MANY
def test_all_checkers_agree_on_small_histories(name: str, data: st.DataObject) -> None:
    history, model = data.draw(histories(name)), MODELS[name]
    wanted = Validity.VALID if linearizable(history, model) else Validity.INVALID
    event(str(wanted))
    assert check(history, model, by_revision=False).validity is wanted
    assert check(history, model).validity is wanted


@given(history=histories("mvcc-kv", most=25))
@MANY
def test_the_pass_by_revision_and_the_search_agree_on_longer_histories(history: list[Operation]) -> None:
    model = MvccKv()
    searched = check(history, model, by_revision=False, max_steps=50_000).validity
    assume(searched is not Validity.UNKNOWN)
    assert check(history, model).validity is searched


@pytest.mark.parametrize("name", sorted(MODELS))
@given(data=st.data())
@MANY
def test_a_written_history_reads_as_the_same_one(name: str, data: st.DataObject) -> None:
    history, model = data.draw(histories(name)), MODELS[name]
    read = parse_history("\n".join(write_history(history, model)), name)
    kept = [one for one in history if one.outcome is not Outcome.FAIL or one.input[0] != "cas"]
    assert sorted(map(without_times, read.operations)) == sorted(map(without_times, kept))
    assert check(read.operations, read.model).validity is check(history, model).validity


def without_times(operation: Operation) -> str:
    return repr(operation._replace(call=0, returned=None))
