"""Histories of transactions, banks, sets and counters: read, refused, and written."""

from typing import Any

import pytest

from raftkv.checkers import (
    MODELS,
    HistoryError,
    KvAppend,
    Operation,
    Outcome,
    parse_history,
    parse_records,
    write_history,
    write_records,
)
from tests.checkers.lists import txns

LINES = """\
{"process":0,"type":"invoke","value":[["append","x",1],["r","y",null]]}
{"process":"nemesis","type":"info","f":"start","value":["kill"]}
{"process":1,"type":"invoke","value":[["append","x",2]]}
{"process":0,"type":"ok","value":[["append","x",1],["r","y",[]]]}
{"process":2,"type":"invoke","value":[["append","x",3]]}
{"process":2,"type":"fail","value":[["append","x",3]]}
{"process":1,"type":"info","value":[["append","x",2]],"error":"timeout"}
{"process":3,"type":"invoke","value":[["r","x",null]]}
{"process":3,"type":"ok","value":[["r","x",[1,2]]]}
"""
HEADER = '{"format":"history/1","model":"list-append"}\n'
EDN = """\
[{:process 0, :type :invoke, :f :txn, :value [[:append "x" 1] [:r "y" nil]]}
 {:process :nemesis, :type :info, :f :start}
 {:process 1, :type :invoke, :f :txn, :value [[:append "x" 2]]}
 {:process 0, :type :ok, :f :txn, :value [[:append "x" 1] [:r "y" nil]]}
 {:process 2, :type :invoke, :f :txn, :value [[:append "x" 3]]}
 {:process 2, :type :fail, :f :txn, :value [[:append "x" 3]]}
 {:process 3, :type :invoke, :f :txn, :value [[:r "x" nil]]}
 {:process 3, :type :ok, :f :txn, :value [[:r "x" [1 2]]]}]
"""


def kinds(operations: list[Operation]) -> list[Any]:
    return [(one.process, one.input, one.output, one.outcome) for one in operations]


WANTED = kinds(txns("0 0-9 x+1 y=", "1 0-? x+2", "2 0-! x+3", "3 0-9 x=1,2"))


@pytest.mark.parametrize(
    "text",
    [LINES, HEADER + LINES, f"[{LINES.strip().replace('}' + chr(10), '},' + chr(10))}]\n", EDN],
    ids=["lines", "header", "array", "edn"],
)
def test_all_formats_read_as_the_same_history(text: str) -> None:
    assert kinds(parse_records(text, "list-append").operations) == WANTED


def test_a_bank_a_set_and_a_counter_as_jepsen_writes_them() -> None:
    bank = (
        '[{"type":"invoke","f":"read","process":0},\n'
        '{"type":"ok","f":"read","process":0,"value":{"1":5,"0":null}},\n'
        '{"type":"invoke","f":"transfer","process":0,"value":{"from":0,"to":1,"amount":3}},\n'
        '{"type":"fail","f":"transfer","process":0,"value":{"from":0,"to":1,"amount":3}},\n'
        '{"type":"invoke","f":"read","process":0},\n{"type":"ok","f":"read","process":0,"value":null}]'
    )
    assert kinds(parse_records(bank, "bank").operations) == [
        (0, ("read",), (("0", None), ("1", 5)), Outcome.OK),
        (0, ("transfer", "0", "1", 3), None, Outcome.FAIL),
        (0, ("read",), None, Outcome.FAIL),
    ]
    edn = "{:process 1 :type :invoke :f :add :value 4} {:process 1 :type :ok :f :add :value 4}\n"
    elements = edn + "{:process 1 :type :invoke :f :read} {:process 1 :type :ok :f :read :value #{4}}"
    assert kinds(parse_records(elements, "set").operations) == [
        (1, ("add", 4), None, Outcome.OK),
        (1, ("read",), (4,), Outcome.OK),
    ]
    number = edn + "{:process 1 :type :invoke :f :read} {:process 1 :type :ok :f :read :value 4}"
    assert kinds(parse_records(number, "counter").operations)[1] == (1, ("read",), 4, Outcome.OK)


INVOKE = '{"process":1,"type":"invoke",'


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        ("list-append", "", "f: the file is empty"),
        ("list-append", HEADER + "[]", "f:2: expected an event"),
        ("list-append", '{"format":"history/1","model":"bank"}', "f:1: a history in history/1 of 'bank'"),
        ("list-append", '{"format":"history/2","model":"list-append"}', "f:1: a history in history/2"),
        ("list-append", HEADER + '\n{"process":', "f:3: no JSON"),
        ("list-append", '[{"process":1,\n"type":"invoke","value":[]}', "f:1: the text ends before ']'"),
        ("list-append", '[{"process":1,"type":"invoke","value":[]}]\n x', "f:1: something follows"),
        ("list-append", '{"process":true,"type":"invoke","value":[]}', "f:1: an event needs a process"),
        ("list-append", INVOKE.replace("invoke", "begin") + '"value":[]}', "f:1: an event needs a process"),
        ("list-append", INVOKE + '"value":[["w","x",1]]}', "f:1: the value has a wrong shape: .*'w'"),
        ("list-append", INVOKE + '"value":7}', "f:1: the value has a wrong shape"),
        ("list-append", INVOKE + '"f":"add","value":[]}', "f:1: the model has no operation 'add'"),
        (
            "list-append",
            INVOKE + '"value":[["r","x",null]]}\n{"process":1,"type":"ok","value":[["r","y",[]]]}',
            "f: .* was answered by",
        ),
        (
            "list-append",
            INVOKE + '"value":[["r","x",null]]}\n{"process":1,"type":"ok","value":[["r","x",3]]}',
            "f: .* was answered by",
        ),
        ("list-append", '{"process":1,"type":"ok","value":[]}', "f:1: process 1 completes an operation"),
        ("list-append", "{:process 0", "f:1: the text ends inside a value"),
        ("list-append", "[" * 99 + '{"', "f:1: "),
        ("bank", INVOKE + '"f":"transfer","value":{"from":1}}', "f:1: the value has a wrong shape: KeyError"),
        ("bank", '{"format":"history/1","model":"bank","total":"5"}', "f:1: total is no whole number"),
        (
            "bank",
            '{"format":"history/1","model":"bank","accounts":"ab"}',
            "f:1: accounts is no list of names",
        ),
        ("counter", INVOKE + '"f":"add","value":1.5}', "f:1: .*no whole number: 1.5"),
        ("counter", '{"format":"history/1","model":"counter","initial":true}', "f:1: initial is no whole"),
        ("set", INVOKE + '"f":"read"}\n{"process":1,"type":"ok","f":"read","value":7}', "f:2: the value"),
    ],
)
def test_what_is_no_history_is_refused_with_file_and_line(model: str, text: str, message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        MODELS[model](text, "f", 1)


@pytest.mark.parametrize(
    ("model", "header", "operations"),
    [
        ("list-append", {}, txns("0 0-4 x+1 y=", "1 1-? x+2", "2 2-! x+3", "3 5-9 x=1,2")),
        (
            "bank",
            {"total": 9, "accounts": ["a", "b"], "negative_balances": True},
            [
                Operation(0, 0, 1, ("transfer", "a", "b", 3)),
                Operation(0, 2, 3, ("read",), (("a", -1), ("b", 10))),
                Operation(1, 2, None, ("read",), None, Outcome.UNKNOWN),
            ],
        ),
        ("set", {}, [Operation(0, 0, 1, ("add", 4)), Operation(0, 2, 3, ("read",), (4,))]),
        ("set", {}, [Operation(0, 0, 1, ("read",), ())]),
        ("counter", {"initial": 3}, [Operation(0, 0, 1, ("add", 4)), Operation(0, 2, 3, ("read",), 7)]),
    ],
)
def test_a_written_history_reads_as_the_same_one(
    model: str, header: dict[str, Any], operations: list[Operation]
) -> None:
    lines = list(write_records(operations, model, **header))
    read = parse_records("\n".join(lines), model)
    assert kinds(read.operations) == kinds(operations)
    assert read.header == {"format": "history/1", "model": model, **header}
    assert MODELS[model]("\n".join(lines), "f", 1).verdict.reason == ""


def test_who_goes_on_at_the_instant_of_the_last_answer_is_answered_first() -> None:
    touching = [
        Operation(0, 0, 5, ("append", "k", "a")),
        Operation(0, 5, 5, ("append", "k", "b")),
        Operation(0, 5, 7, ("append", "k", "c")),
        Operation(1, 2, 5, ("get", "k"), ""),
        Operation(2, 5, 6, ("get", "k"), "a"),
        Operation(0, 8, 9, ("get", "k"), "abc"),
    ]
    read = parse_history("\n".join(write_history(touching, KvAppend())), "kv-append").operations
    first, seen, before, second, third, after = read
    assert [one.process for one in read] == [0, 1, 2, 0, 0, 0]
    assert first.returned == second.call - 1
    assert second.returned == third.call - 1
    for one in (first, second, third):  # what touches them is concurrent with all of them
        assert ends(seen) > one.call
        assert ends(one) > before.call
    assert ends(third) < after.call


def test_of_two_that_go_on_at_one_instant_one_has_another_number_in_the_file() -> None:
    """Each touches both of the other, and no order of lines says that but for another process."""
    chains = [
        Operation(process, call, call + 5, ("append", "k", f"{process}.{call}"))
        for process in (0, 1, 2)
        for call in (0, 5)
    ]
    read = parse_history("\n".join(write_history(chains, KvAppend())), "kv-append").operations
    assert sorted(one.process for one in read) == [0, 0, 1, 2, 3, 4]
    for one in read:
        for other in read:
            if one.input[2][0] != other.input[2][0]:
                assert one.call < ends(other)


def test_who_goes_on_after_an_unknown_outcome_has_another_number_in_the_file() -> None:
    unknown = Operation(0, 0, 5, ("append", "k", "a"), None, Outcome.UNKNOWN)
    operations = [unknown, Operation(0, 5, 6, ("get", "k"), "")]
    read = parse_history("\n".join(write_history(operations, KvAppend())), "kv-append").operations
    assert [one.process for one in read] == [0, 1]


def ends(operation: Operation) -> float:
    assert operation.returned is not None
    return operation.returned
