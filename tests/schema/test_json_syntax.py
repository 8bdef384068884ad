"""Broken JSON is described in the words of Go's parser (every text was seen on etcd 3.5.1)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.errors import InvalidRequest
from raftkv.schema.json_codec import decode
from raftkv.schema.json_syntax import MAX_TOKENS, stream_error, text_error
from raftkv.schema.kv import PutRequest

CASES = {
    '{"key":"Zm9v"': "unexpected EOF",
    '{"key":"Zm9v",': "unexpected EOF",
    '{"key":': "unexpected EOF",
    "{": "unexpected EOF",
    '{"key":"Zm9v}': "unexpected EOF",
    '{"a":"\\': "unexpected EOF",
    "nul": "unexpected EOF",
    "-": "unexpected EOF",
    "1.": "unexpected EOF",
    "1e": "unexpected EOF",
    '"abc': "unexpected EOF",
    "garbage": "invalid character 'g' looking for beginning of value",
    '{"key":g}': "invalid character 'g' looking for beginning of value",
    "<": "invalid character '<' looking for beginning of value",
    "\ufeff{}": "invalid character 'ï' looking for beginning of value",
    '{"a":\x00}': "invalid character '\\x00' looking for beginning of value",
    '{"a":\x7f}': "invalid character '\\u007f' looking for beginning of value",
    "\x0c{}": "invalid character '\\f' looking for beginning of value",
    "[1,]": "invalid character ']' looking for beginning of value",
    "[,]": "invalid character ',' looking for beginning of value",
    "[}": "invalid character '}' looking for beginning of value",
    '{"a":.5}': "invalid character '.' looking for beginning of value",
    '{"a":NaN}': "invalid character 'N' looking for beginning of value",
    '{"a":Infinity}': "invalid character 'I' looking for beginning of value",
    '{"a":-Infinity}': "invalid character 'I' in numeric literal",
    '{"a":-}': "invalid character '}' in numeric literal",
    '{"a":1.}': "invalid character '}' after decimal point in numeric literal",
    '{"a":1ex}': "invalid character 'x' in exponent of numeric literal",
    '{"a":00}': "invalid character '0' after object key:value pair",
    '{"a":0x1}': "invalid character 'x' after object key:value pair",
    '{"a":1]': "invalid character ']' after object key:value pair",
    '{"a":"b" "c":1}': "invalid character '\"' after object key:value pair",
    '{"a" "b"}': "invalid character '\"' after object key",
    "{a:1}": "invalid character 'a' looking for beginning of object key string",
    "{'a':1}": "invalid character '\\'' looking for beginning of object key string",
    '{"a":1,}': "invalid character '}' looking for beginning of object key string",
    "{]": "invalid character ']' looking for beginning of object key string",
    "[1 2]": "invalid character '2' after array element",
    '{"a":[1}': "invalid character '}' after array element",
    "nulx": "invalid character 'x' in literal null (expecting 'l')",
    '{"a":tx}': "invalid character 'x' in literal true (expecting 'r')",
    "falsy": "invalid character 'y' in literal false (expecting 'e')",
    '{"a":"\\q"}': "invalid character 'q' in string escape code",
    '{"a":"\\u00zz"}': "invalid character 'z' in \\u hexadecimal character escape",
    '{"a":"\\u12"}': "invalid character '\"' in \\u hexadecimal character escape",
    '{"a":"x\ny"}': "invalid character '\\n' in string literal",
    '{"a":"x\x01y"}': "invalid character '\\x01' in string literal",
}


@pytest.mark.parametrize(("body", "error"), CASES.items(), ids=repr)
def test_a_broken_body_is_refused_in_gos_words(body: str, error: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(PutRequest, body.encode())
    assert str(caught.value) == error


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
@settings(max_examples=100, deadline=None)
def test_good_json_has_no_error_and_a_cut_one_has(value: object) -> None:
    text = json.dumps(value).encode()
    assert stream_error(text) is None
    assert text_error(text) is None
    if text.startswith((b"{", b"[", b'"')):
        assert stream_error(text[:-1]) == "unexpected EOF"
        assert text_error(text + b"!") == "invalid character '!' after top-level value"


def test_the_search_for_the_error_is_bounded() -> None:
    hostile = b"[" + b"1," * (MAX_TOKENS * 10) + b"x"
    assert stream_error(hostile) != stream_error(b"[1,x")
    assert stream_error(hostile) is not None
