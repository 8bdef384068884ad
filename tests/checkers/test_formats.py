"""The three formats, read and refused."""

from pathlib import Path

import pytest

from raftkv.checkers import (
    CasRegister,
    HistoryError,
    Kv,
    KvAppend,
    MvccKv,
    Operation,
    Outcome,
    examine_file,
    parse_history,
    read_history,
)

LOG = """\
12:00 INFO  jepsen.core - starting
INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - 1   :invoke :cas    [3 4]
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 0\t:ok\t:write\t3
INFO  jepsen.util - 1\t:fail\t:cas\t[3 4]
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
INFO  jepsen.util - 3\t:invoke\t:write\t5
INFO  jepsen.util - 3\t:info\t:write\t:timed-out
INFO  jepsen.util - 4\t:invoke\t:read\tnil
INFO  jepsen.util - 4\t:ok\t:read\tnil
"""


def test_the_log_of_jepsen_is_read_and_other_lines_are_noise() -> None:
    operations, model = parse_history(LOG, "cas-register")
    assert operations == [
        Operation(0, 0, 2, ("write", None, 3)),
        Operation(1, 1, 3, ("cas", None, 3, 4), False),
        Operation(2, 4, 5, ("read", None), None, Outcome.FAIL),
        Operation(3, 6, None, ("write", None, 5), None, Outcome.UNKNOWN),
        Operation(4, 8, 9, ("read", None), None),
    ]
    assert isinstance(model, CasRegister)
    assert model.initial is None


EDN = """\
; a comment
({:process 0, :type :invoke, :f :cas, :value [0 4], :time 12N}
 #jepsen.history.Op{:process 0 :type :fail :f :cas :value [0 4] :error "no \\"leader\\""}
 {:process 1, :type :invoke, :f :read, :value nil} #_ {:ignored true}
 {:process :nemesis, :type :info, :f :start, :value #{1 2}}
 {:process 1, :type :ok, :f :read, :value nil}
 {:process 1, :type :invoke, :f :read, :value nil}
 {:process 1, :type :ok, :f :read, :value 7})
"""


def test_edn_follows_knossos_a_failure_did_not_happen_and_a_read_of_nil_saw_nothing() -> None:
    operations, model = parse_history(EDN, "cas-register")
    assert operations == [
        Operation(0, 0, 1, ("cas", None, 0, 4), None, Outcome.FAIL),
        Operation(1, 2, 3, ("read", None), None, Outcome.FAIL),
        Operation(1, 4, 5, ("read", None), 7),
    ]
    assert model.initial == 0


def test_a_map_a_line_is_edn_too() -> None:
    text = (
        '{:process 0, :type :invoke, :f :append, :key "a", :value "x"}\n'
        '{:process 0, :type :ok, :f :append, :key "a", :value "x"}\n'
        '{:process 0, :type :invoke, :f :get, :key "a", :value nil}\n'
        '{:process 0, :type :ok, :f :get, :key "a", :value "x"}\n'
    )
    operations, model = parse_history(text, "kv-append")
    assert operations == [Operation(0, 0, 1, ("append", "a", "x")), Operation(0, 2, 3, ("get", "a"), "x")]
    assert isinstance(model, KvAppend)


HEADER = '{"format":"history/1","model":"mvcc-kv","initial_revision":7}\n'


def test_json_lines_of_the_store_are_read_with_answers_in_the_shape_of_the_model() -> None:
    text = HEADER + (
        '{"process":0,"type":"invoke","op":["txn","k",0,[["put","k","v"],["get","k"]],[["delete","k"]]]}\n'
        '{"process":0,"type":"ok","op":["txn","k",0,[["put","k","v"],["get","k"]],[["delete","k"]]],'
        '"result":{"rev":8,"succeeded":true,"results":[null,["v",8,8,1]]}}\n'
        "\n"
        '{"process":1,"type":"invoke","op":["txn",[["k",8],["l",0]],[],[["get","l"]]]}\n'
        '{"process":1,"type":"info","op":["txn",[["k",8],["l",0]],[],[["get","l"]]]}\n'
    )
    operations, model = parse_history(text, "mvcc-kv")
    then = (("put", "k", "v"), ("get", "k"))
    answer = (8, (True, (None, Kv("v", 8, 8, 1))))
    assert operations == [
        Operation(0, 0, 1, ("txn", (("k", 0),), then, (("delete", "k"),)), answer),
        Operation(1, 2, None, ("txn", (("k", 8), ("l", 0)), (), (("get", "l"),)), None, Outcome.UNKNOWN),
    ]
    assert isinstance(model, MvccKv)
    assert model.initial_revision == 7


def test_true_is_not_one() -> None:
    text = '{"format":"history/1","model":"cas-register","initial":true}\n'
    assert parse_history(text, "cas-register").model.initial not in (1, True)


REGISTER = '{"format":"history/1","model":"cas-register"}\n'


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        ("cas-register", " \n", "f: the file is empty"),
        ("cas-register", "hello\n", "f:1: expected an event"),
        ("cas-register", "[{:process 0,", "f:1: the text ends inside a value"),
        ("cas-register", "[\n{:process 0 :type :invoke :f :read}", "f:2: the text ends before ']'"),
        ("cas-register", "{:process 0 :type}", "f:1: a map has a key without a value"),
        ("cas-register", '{:process 0\n"open', "f:2: can't read '\"open'"),
        ("cas-register", "{:process 0 :type :begin :f :read}", "f:1: an event needs"),
        ("cas-register", "{:process 0 :type :invoke :f :cas :value 3}", r"f:1: cas takes \[from to\]"),
        (
            "cas-register",
            "{:process 0 :type :invoke :f :append :value 3}",
            "f:1: cas-register has no operation 'append'",
        ),
        ("cas-register", "]", "f:1: unexpected ']'"),
        ("cas-register", "[" * 500, "f:1: values nest deeper than 100"),
        ("cas-register", "9" * 5000, "f:1: a number of 5000 digits"),
        ("cas-register", "INFO jepsen.util - 0 :invoke ", "f:1: an event without an operation"),
        ("cas-register", "INFO jepsen.util - 0 :invoke :write [", "f:1: the text ends inside a value"),
        (
            "kv-append",
            '{:process 0 :type :invoke :f :put :key "k" :value 3}',
            "f:1: kv-append takes strings: 3",
        ),
        ("mvcc-kv", LOG, "f:1: histories of mvcc-kv are JSON lines"),
        ("mvcc-kv", REGISTER, "f:1: a history of 'cas-register', not of 'mvcc-kv'"),
        ("mvcc-kv", '{"process":1}', "f:1: the first line must be a header"),
        ("mvcc-kv", '{"format":', "f:1: no JSON"),
        ("mvcc-kv", HEADER + "[]\n", "f:2: expected a JSON object"),
        ("mvcc-kv", HEADER + '\n{"process":', "f:3: no JSON"),
        ("mvcc-kv", HEADER + '{"process":true,"type":"ok"}', "f:2: an event needs a numeric process"),
        (
            "mvcc-kv",
            HEADER + '{"process":1,"type":"invoke","op":["put","k"]}',
            "f:2: op or result has a wrong shape",
        ),
        (
            "mvcc-kv",
            HEADER + '{"process":1,"type":"invoke","op":["txn","k",0,[["txn","k"]],[]]}',
            "f:2: op or",
        ),
        ("mvcc-kv", HEADER + '{"process":1,"type":"invoke","op":["txn","k","0",[],[]]}', "f:2: op or"),
        ("mvcc-kv", HEADER + '{"process":1,"type":"ok","op":["get","k"]}', "f:2: op or result .*'result'"),
        ("mvcc-kv", HEADER + '{"process":1,"type":"ok","op":["get","k"],"result":{"rev":1}}', "f:2: .*'kv'"),
        (
            "mvcc-kv",
            HEADER + '{"process":1,"type":"ok","op":["delete","k"],"result":{"rev":1.5,"deleted":0}}',
            "f:2: .*no whole number: 1.5",
        ),
        (
            "mvcc-kv",
            '{"format":"history/1","model":"mvcc-kv","initial_revision":"1"}',
            "f:1: initial_revision",
        ),
        ("kv-append", '{"format":"history/1","model":"kv-append","initial":1}', "f:1: initial is no string"),
        (
            "cas-register",
            REGISTER + '{"process":1,"type":"invoke"}',
            "f:2: cas-register has no operation 'None'",
        ),
        (
            "cas-register",
            REGISTER + '{"process":1,"type":"invoke","f":"write","value":' + "[" * 900 + "]" * 900 + "}",
            "f",
        ),
    ],
)
def test_what_is_no_history_is_refused_with_file_and_line(model: str, text: str, message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        parse_history(text, model, "f")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_bytes(b"INFO \xff")
    with pytest.raises(HistoryError, match="no text in UTF-8: invalid start byte at byte 5"):
        read_history(path, "cas-register")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_bytes(b"\xef\xbb\xbf" + LOG.replace("\n", "\r\n").encode())
    assert read_history(path, "cas-register").operations == parse_history(LOG, "cas-register").operations


def test_a_line_separator_inside_a_value_ends_no_line() -> None:
    text = REGISTER + '{"process":1,"type":"invoke","f":"write","value":"a\u2028b"}'
    assert parse_history(text, "cas-register").operations[0].input == ("write", None, "a\u2028b")


HEAD = '{"format":"history/1","model":"%s"}\n'
NOT_JSON = {
    "cas-register": '{"process":0,"type":"invoke","f":"write","key":"x","value":NaN}',
    "counter": '{"process":0,"type":"invoke","f":"add","value":Infinity}',
    "lease": '{"process":0,"call":NaN,"returned":NaN,"outcome":"ok","op":["grant",7,5],"result":[1,5]}',
}


@pytest.mark.parametrize("model", NOT_JSON)
def test_numbers_that_compare_with_nothing_are_refused(model: str, tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_text(HEAD % model + NOT_JSON[model])
    with pytest.raises(HistoryError, match=r"history:2: no JSON: (NaN|Infinity) is not JSON"):
        examine_file(file, model)


def test_an_error_names_the_file_wherever_it_is_found(tmp_path: Path) -> None:
    file, add = tmp_path / "twice", '{"process":%d,"type":"invoke","f":"add","value":1}\n'
    file.write_text(HEAD % "set" + add % 0 + add % 1)
    with pytest.raises(HistoryError, match="twice: adds called at 0 and 1: both add 1"):
        examine_file(file, "set")
