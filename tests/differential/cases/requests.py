"""JSON as requests may have it, each input in a case of its own."""

from tests.differential.calls import everything, range_, raw
from tests.differential.cases.scalars import KEYS, each
from tests.differential.steps import case

NAMES = [
    *each(
        "2.2.camel",
        "kv/put",
        [
            '{"key":"YQ==","prev_kv":true}',
            '{"key":"YQ==","prevKv":true}',
            '{"key":"YQ==","prev_kv":false,"prevKv":true}',
            '{"key":"YQ==","prevKv":false,"prev_kv":true}',
            '{"key":"YQ==","ignoreValue":true}',
            '{"key":"eA==","ignoreValue":true}',
        ],
        range_("a"),
    ),
    *each(
        "2.2.camel",
        "kv/range",
        [
            '{"key":"YQ==","rangeEnd":"Yw=="}',
            '{"key":"AA==","rangeEnd":"AA==","countOnly":true}',
            '{"key":"AA==","rangeEnd":"AA==","keysOnly":true,"sortOrder":"DESCEND","sortTarget":"MOD"}',
            '{"key":"AA==","rangeEnd":"AA==","minModRevision":"@{r+2}"}',
        ],
    ),
    *each(
        "2.2.case",
        "kv/range",
        [
            '{"Key":"YQ=="}',
            '{"KEY":"YQ==","key":"Yg=="}',
            '{"key":"YQ==","RangeEnd":"Yw=="}',
            '{"key":"YQ==","range_End":"Yw=="}',
            '{"key":"YQ==","rangeend":"Yw=="}',
            '{"key":"YQ==","Limit":"x"}',
            '{"key":"YQ=="," limit":"x"}',
        ],
    ),
    *each(
        "2.2.unknown",
        "kv/range",
        [
            '{"key":"YQ==","colour":"red"}',
            '{"key":"YQ==","x":{"y":[1,2,{"z":null}]}}',
            '{"key":"YQ==","":1}',
            '{"unknown":1}',
            '{"key":"YQ==","lease":5,"value":7}',
            '{"key":"YQ==","x":1e999}',
        ],
    ),
    *each(
        "2.2.twice",
        "kv/range",
        [
            '{"key":"YQ==","key":"Yg=="}',
            '{"key":"Yg==","key":"YQ=="}',
            '{"key":"YQ==","limit":1,"limit":2,"range_end":"AA=="}',
            '{"key":"YQ==","range_end":"AA==","limit":1,"limit":null}',
            '{"key":"YQ==","key":1}',
            '{"key":1,"key":"YQ=="}',
        ],
    ),
    *each(
        "2.2.twice 2.2.camel",
        "kv/range",
        [
            '{"key":"YQ==","range_end":"Yg==","rangeEnd":"AA=="}',
            '{"key":"YQ==","rangeEnd":"AA==","range_end":"Yg=="}',
        ],
    ),
    *each(
        "2.2.null",
        "kv/put",
        ['{"key":"YQ==","value":null,"lease":null,"prev_kv":null}', '{"key":null,"value":"YQ=="}'],
        range_("a"),
    ),
    *each(
        "2.2.null",
        "kv/txn",
        [
            '{"compare":null,"success":null,"failure":null}',
            '{"success":[null]}',
            '{"compare":[null]}',
            '{"success":[{"request_range":null}]}',
            '{"success":[{"requestPut":{"key":"eA=="},"request_range":null}]}',
        ],
        everything(),
    ),
]

BODIES = [
    *each("2.2.empty-body", "kv/range", ["", " ", "\n", "{}", "{ }", "\t{}\r\n"]),
    *each("2.2.empty-body", "kv/txn", ["", "{}"]),
    *each("2.2.null-body", "kv/range", ["null", " null ", "null{}"]),
    *each("2.2.null-body", "kv/txn", ["null"]),
    *each(
        "2.2.body-type",
        "kv/range",
        ["[]", '"x"', '""', "1", "true", "false", '[{"key":"YQ=="}]', "1.5", "-1", "[1,2"],
    ),
    *each(
        "2.2.body-type",
        "kv/txn",
        [
            '{"compare":{}}',
            '{"success":{}}',
            '{"success":[1]}',
            '{"success":[[]]}',
            '{"success":["x"]}',
            '{"success":"x"}',
            '{"success":1}',
            '{"success":[{"request_put":[]}]}',
            '{"success":[{"request_put":"x"}]}',
            '{"success":[{"request_put":1}]}',
            '{"success":true}',
        ],
    ),
    *each(
        "2.2.trailing",
        "kv/range",
        [
            '{"key":"YQ=="}garbage',
            '{"key":"YQ=="}{"key":"Yg=="}',
            '{"key":"YQ=="} ]',
            '{"key":"YQ=="}\n\n\n',
            '{"key":"YQ=="}\0',
        ],
    ),
    *each(
        "2.2.oneof",
        "kv/txn",
        [
            '{"success":[{"request_range":{"key":"YQ=="},"requestRange":{"key":"YQ=="}}]}',
            '{"success":[{"request_range":{"key":"YQ=="},"request_put":null}]}',
            '{"compare":[{"key":"YQ==","version":"1","version":"2"}]}',
            '{"compare":[{"key":"YQ==","version":"2","mod_revision":null}]}',
        ],
    ),
    *each(
        "2.2.syntax",
        "kv/range",
        [
            "garbage",
            '{"key":"YQ=="',
            '{"key":"YQ==",',
            '{"key":"YQ==",}',
            '{"key"',
            '{"key":',
            "{",
            "[",
            '"',
            '"abc',
            "{]",
            "{'key':1}",
            '{key:"YQ=="}',
            '{"key" "YQ=="}',
            '{"key":"YQ==" "x":1}',
            '{"key":YQ==}',
            '{"key":"Y\nQ=="}',
            '{"key":"\\x41"}',
            '{"key":"\\u00"}',
            '{"key":"\\ud800"}',
            "nul",
            "nulL",
            "tru",
            "truE",
            "fals",
            "falsy",
            "-",
            "-x",
            "01",
            "1.",
            "1.x",
            "1e",
            "1e+",
            "+1",
            ".5",
            "NaN",
            "Infinity",
            "<",
            ">",
            "&",
            "é",
            "//",
            "/* */{}",
            ",",
            ":",
            "}",
            "]",
            '{"a":1,,"b":2}',
            '{"a":[1,]}',
            '{"a":[1 2]}',
            '{"a":[}',
            '{"limit":01}',
            '{"limit":1.}',
            '{"limit":-}',
            '{"limit":.5}',
            '{"limit":1e}',
            '{"limit":"1',
            '{"limit":tru}',
            '{"limit":nul}',
            "\ufeff{}",
            "\0",
            "\x7f",
            "\x1f{}",
            "\u2028{}",
            '{"key":"\t"}',
        ],
    ),
    *[
        case("2.2.syntax", *KEYS, raw("kv/range", body))
        for body in (
            b"\xff",
            b'{"key":"\xff"}',
            b'{"\xff":1,"key":"YQ=="}',
            b'{"key":"YQ==","x":"\xc3"}',
            b"\xef\xbb\xbf{}",
        )
    ],
]

TXN_FIELDS = [
    *each(
        "2.2.enum 4.4.misfit",
        "kv/txn",
        [
            f'{{"compare":[{{"key":"YQ==","target":{target},"result":{result},"version":"1"}}]}}'
            for target in ('"VERSION"', "0", '"version"', '"X"', '"3"', "4")
            for result in ('"EQUAL"', "1", '"NOT_EQUAL"')
        ],
    ),
    *each(
        "2.2.enum",
        "kv/txn",
        [
            f'{{"compare":[{{"key":"YQ==","result":{result},"version":"1"}}]}}'
            for result in ('"equal"', '"1"', '"X"')
        ],
    ),
    *each(
        "2.2.enum-range 2.7.compare",
        "kv/txn",
        [
            f'{{"compare":[{{"key":"YQ==","target":{number},"version":"1"}}]}}'
            for number in (5, 9, -1, 2147483647)
        ],
    ),
    *each(
        "2.2.int",
        "kv/compaction",
        [
            '{"revision":"@{r+1}"}',
            '{"revision":@{r+1}}',
            '{"revision":" @{r+1} "}',
            '{"revision":"@{r+1}","physical":"true"}',
            '{"revision":"@{r+1}","physical":1}',
        ],
        everything(),
    ),
]

HEADERS = [
    case("2.2.headers", *KEYS, raw("kv/range", '{"key":"YQ=="}', headers=((name, value),)))
    for name, value in [
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Type", "nonsense"),
        ("Content-Type", "application/x-protobuf"),
        ("Accept", "text/html"),
        ("Accept", "application/x-protobuf"),
        ("Accept", "nonsense"),
        ("Accept-Encoding", "gzip, deflate"),
        ("X-Whatever", "1"),
        ("User-Agent", "curl/7"),
        ("Origin", "http://example.com"),
        ("Expect-Not", "1"),
    ]
] + [
    case("2.2.headers", *KEYS, raw(f"kv/range{query}", '{"key":"YQ=="}'))
    for query in ("?", "?key=Yg==", "?limit=x", "?a=%zz")
]


def refused(text: str, code: int = 3) -> str:
    return f'400 {{"error":"{text}","code":{code},"message":"{text}"}}'


ESCAPED = "an escape in a quoted number means what it means in every string"
MISTAKES = (
    "of several mistakes the first in the request is told, in etcd the first in the order of its fields"
)

DIFFERENT = [
    case(
        "2.2.int",
        *KEYS,
        raw("kv/range", '{"key":"YQ==","revision":"\\u0039999"}'),
        differs=ESCAPED,
        ours=((3, refused("etcdserver: mvcc: required revision is a future revision", 11)),),
    ),
    case(
        "2.2.int-bad",
        *KEYS,
        raw("kv/range", '{"key":"YQ==","limit":"\\"1\\""}'),
        differs=ESCAPED,
        ours=((3, refused("json: cannot unmarshal string into Go value of type int64")),),
    ),
    case(
        "2.2.int-empty",
        *KEYS,
        raw("kv/range", '{"key":"YQ==","limit":"\\t"}'),
        differs=ESCAPED,
        ours=((3, refused("unexpected end of JSON input")),),
    ),
    case(
        "2.2.enum",
        *KEYS,
        raw("kv/txn", '{"compare":[{"key":"YQ==","target":{},"result":"equal"}]}'),
        differs=MISTAKES,
        ours=((3, refused("json: cannot unmarshal object into Go value of type protoreflect.EnumNumber")),),
    ),
]

CASES = [*DIFFERENT, *NAMES, *BODIES, *TXN_FIELDS, *HEADERS]
