"""Three judges agree: the search, the pass by revision, and all orders tried one after the other."""

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from raftkv.checkers import Validity, check
from tests.checkers.brute_force import linearizable
from tests.checkers.histories import MODELS, histories

MANY = settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", sorted(MODELS))
@given(data=st.data())
@MANY
def test_all_checkers_agree_on_small_histories(name: str, data: st.DataObject) -> None:
    history, model = data.draw(histories(name)), MODELS[name]
    wanted = Validity.VALID if linearizable(history, model) else Validity.INVALID
    event(str(wanted))
    assert check(history, model, by_revision=False).validity is wanted
    assert check(history, model).validity is wanted
