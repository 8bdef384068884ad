"""What a history says about an operation that was not answered, and what it does not say."""

from pathlib import Path

from raftkv.checkers import CasRegister, MvccKv, Operation, Outcome, Validity, check, parse_history

WRITE_1 = Operation(0, 0, 1, ("write", "x", 1))
LOG = """\
INFO  jepsen.util - 0\t:invoke\t:write\t1
INFO  jepsen.util - 0\t:info\t:write\t:timed-out
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:read\t1
"""


def unanswered(process: int, call: float, request: tuple[object, ...]) -> Operation:
    return Operation(process, call, None, request, None, Outcome.UNKNOWN)


def read(process: int, call: float, value: object) -> Operation:
    return Operation(process, call, call + 1, ("read", "x"), value)


def verdict_of(*history: Operation) -> Validity:
    return check(history, CasRegister()).validity


def test_an_unanswered_write_may_take_effect_at_any_later_time() -> None:
    lost = unanswered(0, 0, ("write", "x", 2))
    assert verdict_of(lost, read(1, 10, None), read(1, 20, 2)) is Validity.VALID


def test_an_unanswered_write_may_never_take_effect() -> None:
    lost = unanswered(0, 0, ("write", "x", 2))
    assert verdict_of(lost, read(1, 10, None), read(1, 20, None)) is Validity.VALID


def test_an_unanswered_write_takes_effect_once() -> None:
    lost = unanswered(0, 0, ("write", "x", 2))
    overwritten = Operation(1, 20, 21, ("write", "x", 1))
    assert verdict_of(lost, read(1, 10, 2), overwritten, read(1, 30, 1)) is Validity.VALID
    assert verdict_of(lost, read(1, 10, 2), overwritten, read(1, 30, 1), read(1, 40, 2)) is Validity.INVALID


def test_an_unanswered_write_takes_no_effect_before_its_call() -> None:
    assert verdict_of(read(1, 0, 2), unanswered(0, 5, ("write", "x", 2))) is Validity.INVALID


def test_a_definite_failure_has_no_effect() -> None:
    failed = Operation(0, 0, 1, ("write", "x", 2), None, Outcome.FAIL)
    assert verdict_of(failed, read(1, 10, 2)) is Validity.INVALID
    assert verdict_of(failed, read(1, 10, None)) is Validity.VALID


def test_an_unanswered_cas_takes_effect_only_where_it_compares_equal() -> None:
    cas = unanswered(0, 0, ("cas", "x", 1, 2))
    assert verdict_of(WRITE_1, cas, read(1, 10, 2)) is Validity.VALID
    assert verdict_of(cas, read(1, 10, 2)) is Validity.INVALID


def test_an_unanswered_read_says_nothing() -> None:
    assert verdict_of(unanswered(0, 0, ("read", "x")), read(1, 10, None)) is Validity.VALID


def test_two_equal_unanswered_writes_can_both_take_effect() -> None:
    lost = [unanswered(number, 0, ("write", "x", 2)) for number in range(2)]
    overwrite = Operation(5, 20, 21, ("write", "x", 1))
    again = [read(6, 10, 2), overwrite, read(6, 30, 1), read(6, 40, 2)]
    assert verdict_of(*lost, *again) is Validity.VALID
    assert verdict_of(lost[0], *again) is Validity.INVALID


def test_a_time_out_in_a_log_is_an_unknown_outcome() -> None:
    operations, model = parse_history(LOG, "cas-register", str(Path("log")))
    assert check(operations, model).validity is Validity.VALID


def test_a_missing_revision_was_made_by_the_operation_that_was_not_answered() -> None:
    lost = unanswered(0, 0, ("put", "k", "v"))
    seen = Operation(1, 5, 6, ("get", "k"), (2, ("v", 2, 2, 1)))
    assert check([lost, seen], MvccKv()).validity is Validity.VALID
    assert check([seen], MvccKv()).validity is Validity.INVALID
