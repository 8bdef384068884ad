"""Requests in JSON, as etcd 3.5.1's gateway takes and refuses them (every text was seen there)."""

import pytest

from raftkv.errors import InvalidRequest, TooManyOps
from raftkv.schema.json_codec import decode
from raftkv.schema.kv import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    SortOrder,
    TxnRequest,
)

MAX_INT64 = (1 << 63) - 1


def error_of(cls: type, body: bytes | str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        decode(cls, body.encode() if isinstance(body, str) else body)
    return str(caught.value)


def put(body: str) -> PutRequest:
    return decode(PutRequest, body.encode())


def test_a_put_is_decoded_field_by_field() -> None:
    body = b'{"key":"Zm9v","value":"YmFy","lease":"7","prev_kv":true,"ignore_value":true,"ignore_lease":true}'
    assert decode(PutRequest, body) == PutRequest(
        b"foo", b"bar", 7, prev_kv=True, ignore_value=True, ignore_lease=True
    )


@pytest.mark.parametrize(
    "body", ["", " \n\t ", "null", "{}", '{"key":null}', '{"Key":"Zm9v","zzz":[1,{"a":1e9}]}']
)
def test_nothing_null_and_unknown_names_leave_the_zero_message(body: str) -> None:
    assert put(body) == PutRequest()


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ('{"prevKv":true}', True),
        ('{"prev_kv":false,"prevKv":true}', True),
        ('{"prevKv":true,"prev_kv":false}', True),
        ('{"prev_kv":true,"prevKv":false}', False),
        ('{"prev_kv":true,"prevKv":null}', False),
        ('{"prev_kv":false,"prev_kv":true}', True),
    ],
)
def test_the_camel_case_name_wins_and_else_the_last(body: str, wanted: bool) -> None:
    assert put(body).prev_kv is wanted


@pytest.mark.parametrize("text", ['"5"', "5", '" 5"', '"5 "', '"\\u0035"'])
def test_an_integer_comes_as_a_number_or_a_string(text: str) -> None:
    assert put(f'{{"lease":{text}}}').lease == 5


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("-0", 0),
        ('"-0"', 0),
        ('"null"', 0),
        (str(MAX_INT64), MAX_INT64),
        (f'"{MAX_INT64}"', MAX_INT64),
        (str(-MAX_INT64 - 1), -MAX_INT64 - 1),
    ],
)
def test_the_whole_range_of_integers_is_taken(text: str, wanted: int) -> None:
    assert put(f'{{"lease":{text}}}').lease == wanted


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1.0", "json: cannot unmarshal number 1.0 into Go value of type int64"),
        ("1e0", "json: cannot unmarshal number 1e0 into Go value of type int64"),
        ('"1.5"', "json: cannot unmarshal number 1.5 into Go value of type int64"),
        ("true", "json: cannot unmarshal bool into Go value of type int64"),
        ('"true"', "json: cannot unmarshal bool into Go value of type int64"),
        ("[]", "json: cannot unmarshal array into Go value of type int64"),
        ('"{}"', "json: cannot unmarshal object into Go value of type int64"),
        (str(MAX_INT64 + 1), f"json: cannot unmarshal number {MAX_INT64 + 1} into Go value of type int64"),
        (f'"{MAX_INT64 + 1}"', f"json: cannot unmarshal number {MAX_INT64 + 1} into Go value of type int64"),
        ("9" * 5000, f"json: cannot unmarshal number {'9' * 5000} into Go value of type int64"),
        ('""', "unexpected end of JSON input"),
        ('"[1"', "unexpected end of JSON input"),
        ('"x"', "invalid character 'x' looking for beginning of value"),
        ('"+0"', "invalid character '+' looking for beginning of value"),
        ('"00"', "invalid character '0' after top-level value"),
        ('"1_0"', "invalid character '_' after top-level value"),
        ('"-"', "invalid character ' ' in numeric literal"),
        ('"1."', "invalid character ' ' after decimal point in numeric literal"),
        ('"nul"', "invalid character ' ' in literal null (expecting 'l')"),
        ('"\u0661"', "invalid character 'Ù' looking for beginning of value"),
    ],
)
def test_what_is_no_integer_is_refused(text: str, error: str) -> None:
    assert error_of(PutRequest, f'{{"key":"Zm9v","lease":{text}}}') == error


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", b""),
        ("Zm==", b"f"),
        ("Zn==", b"f"),
        ("+/+/", b"\xfb\xff\xbf"),
        ("\\u005am9v", b"foo"),
        ("Y\\r\\nQ==\\n", b"a"),
        ("YQ=\\n=", b"a"),
    ],
)
def test_bytes_are_standard_base64(text: str, value: bytes) -> None:
    assert put(f'{{"key":"{text}"}}').key == value


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("Zm9", 0),
        ("Z", 0),
        ("Zm", 0),
        ("Zm=", 3),
        ("Zm 9v", 2),
        ("Zm==Zm9v", 4),
        ("====", 0),
        ("Zm9vZm=", 7),
        ("Zm9vZg=a", 6),
        ("Zm9vZ===", 5),
        ("-_-_", 0),
        ("Zm9v-_-_", 4),
        ("Zm9vZm9vZm9vZm9v!m9v", 16),
        ("é", 0),
    ],
)
def test_bad_base64_names_the_offset(text: str, offset: int) -> None:
    assert error_of(PutRequest, f'{{"key":"{text}"}}') == f"illegal base64 data at input byte {offset}"


def test_bytes_may_be_a_list_of_numbers_as_in_go() -> None:
    assert put('{"key":[102,null,255]}').key == b"f\x00\xff"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("5", "json: cannot unmarshal number into Go value of type []uint8"),
        ("{}", "json: cannot unmarshal object into Go value of type []uint8"),
        ('["a"]', "json: cannot unmarshal string into Go value of type uint8"),
        ("[256]", "json: cannot unmarshal number 256 into Go value of type uint8"),
        ("[-1]", "json: cannot unmarshal number -1 into Go value of type uint8"),
        ("[1.5]", "json: cannot unmarshal number 1.5 into Go value of type uint8"),
    ],
)
def test_bytes_of_another_type_are_refused(text: str, error: str) -> None:
    assert error_of(PutRequest, f'{{"key":{text}}}') == error


@pytest.mark.parametrize(
    ("text", "found"), [('"true"', "string"), ("1", "number"), ("[]", "array"), ("{}", "object")]
)
def test_a_bool_is_true_or_false_only(text: str, found: str) -> None:
    wanted = f"json: cannot unmarshal {found} into Go value of type bool"
    assert error_of(PutRequest, f'{{"prev_kv":{text}}}') == wanted


@pytest.mark.parametrize(
    ("text", "wanted"), [('"DESCEND"', SortOrder.DESCEND), ("2", 2), ("7", 7), ("-1", -1), ("null", 0)]
)
def test_an_enum_is_a_name_or_any_number(text: str, wanted: int) -> None:
    assert decode(RangeRequest, f'{{"sort_order":{text}}}'.encode()).sort_order == wanted


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('"ascend"', r'unknown value "\"ascend\"" for enum etcdserverpb.RangeRequest.SortOrder'),
        ('"1"', r'unknown value "\"1\"" for enum etcdserverpb.RangeRequest.SortOrder'),
        ("1.0", "json: cannot unmarshal number 1.0 into Go value of type protoreflect.EnumNumber"),
        (
            "2147483648",
            "json: cannot unmarshal number 2147483648 into Go value of type protoreflect.EnumNumber",
        ),
        ("true", "json: cannot unmarshal bool into Go value of type protoreflect.EnumNumber"),
    ],
)
def test_what_is_no_enum_is_refused(text: str, error: str) -> None:
    assert error_of(RangeRequest, f'{{"sort_order":{text}}}') == error


def test_a_txn_is_decoded_with_everything_inside_it() -> None:
    body = b"""{"compare":[{"key":"YQ==","target":"MOD","result":"GREATER","modRevision":"3"}, null],
        "success":[{"requestPut":{"key":"YQ=="}}, {"request_txn":{"failure":[{}]}}],
        "failure":[{"request_delete_range":{"key":"Yg==","range_end":"AA=="}}]}"""
    assert decode(TxnRequest, body) == TxnRequest(
        compare=[Compare(key=b"a", target=2, result=1, mod_revision=3), Compare()],
        success=[
            RequestOp(request_put=PutRequest(b"a")),
            RequestOp(request_txn=TxnRequest(failure=[RequestOp()])),
        ],
        failure=[RequestOp(request_delete_range=DeleteRangeRequest(b"b", b"\x00"))],
    )


@pytest.mark.parametrize(
    "op",
    [
        '{"request_put":null,"request_range":{}}',
        '{"request_range":{},"request_put":null}',
        '{"request_put":{},"request_range":{}}',
    ],
)
def test_one_member_of_a_oneof_is_left(op: str) -> None:
    txn = decode(TxnRequest, f'{{"success":[{op}]}}'.encode())
    assert txn.success == [RequestOp(request_range=RangeRequest())]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"compare":{}}', "json: cannot unmarshal object into Go value of type []json.RawMessage"),
        ('{"compare":[5]}', "json: cannot unmarshal number into Go value of type map[string]json.RawMessage"),
        (
            '{"success":[{"request_put":[]}]}',
            "json: cannot unmarshal array into Go value of type map[string]json.RawMessage",
        ),
        ("[]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
        ('"x"', "json: cannot unmarshal string into Go value of type map[string]json.RawMessage"),
        ("5", "json: cannot unmarshal number into Go value of type map[string]json.RawMessage"),
        ("true", "json: cannot unmarshal bool into Go value of type map[string]json.RawMessage"),
    ],
)
def test_messages_and_lists_of_another_type_are_refused(body: str, error: str) -> None:
    assert error_of(TxnRequest, body) == error


@pytest.mark.parametrize("tail", ["garbage", ' {"key":"YQ=="}', "}", "]"])
def test_text_after_the_first_value_is_ignored(tail: str) -> None:
    assert put('{"key":"Zm9v"}' + tail) == PutRequest(b"foo")


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert decode(PutRequest, b'{"key":"Zm9v","zzz":"\xff\xfe\\ud800"}') == PutRequest(b"foo")


def test_nesting_is_limited_in_known_and_unknown_fields() -> None:
    deep = '{"success":[{"request_txn":' * 40 + "{}" + "}]}" * 40
    assert decode(TxnRequest, deep.encode()).success
    deep = '{"success":[{"request_txn":' * 60 + "{}" + "}]}" * 60
    assert error_of(TxnRequest, deep) == "invalid character '{' exceeded max depth"
    deep = '{"zzz":' + "[" * 15_000 + "]" * 15_000 + "}"
    assert error_of(PutRequest, deep) == "invalid character '[' exceeded max depth"


def test_a_body_of_very_many_parts_is_not_decoded() -> None:
    with pytest.raises(TooManyOps):
        decode(TxnRequest, b'{"compare":[' + b"{}," * 10_001 + b"{}]}")
    assert len(decode(TxnRequest, b'{"compare":[' + b"{}," * 9_000 + b"{}]}").compare) == 9_001
