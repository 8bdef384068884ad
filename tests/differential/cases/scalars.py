"""Numbers, enums, booleans and bytes in JSON, each input in a case of its own."""

from tests.differential.calls import everything, put, range_, raw
from tests.differential.steps import Case, Step, case

KEYS = (put("a", "1"), put("b", "2"), put("c", "3"))
ALL_KEYS = '"key":"AA==","range_end":"AA=="'


def each(lines: str, path: str, bodies: list[str], *after: Step) -> list[Case]:
    """One case a body, on the keys a, b and c."""
    return [case(lines, *KEYS, raw(path, body), *after) for body in bodies]


def ranges(lines: str, members: list[str]) -> list[Case]:
    return each(lines, "kv/range", [f"{{{ALL_KEYS},{member}}}" for member in members])


INTEGERS = {
    "2.2.int": [
        "1",
        '"1"',
        '" 1"',
        '"1 "',
        '" 1 "',
        '"-1"',
        "-1",
        "0",
        '"0"',
        "-0",
        '"-0"',
        "9223372036854775807",
        '"9223372036854775807"',
        '"-9223372036854775808"',
    ],
    "2.2.int-float": ["1.0", "1e0", '"1.0"', '"1e0"', "1E2", "0.0", "-1.0", "10e-1"],
    "2.2.int-bad": [
        "1.5",
        '"x"',
        "true",
        "false",
        '"true"',
        "9223372036854775808",
        '"9223372036854775808"',
        "-9223372036854775809",
        "1e30",
        "{}",
        "[]",
        "[1]",
        '{"a":1}',
        '"0x1"',
        '"1_0"',
        '"+1"',
        '"01"',
        '"1 2"',
        '"{}"',
        '"[]"',
        '"1,2"',
        '"null"',
        "123456789012345678901234567890",
    ],
    "2.2.int-empty": ['""', '" "'],
    "2.2.null": ["null"],
}

ENUMS = {
    "2.2.enum": [
        '"DESCEND"',
        "2",
        '"ASCEND"',
        "1",
        '"NONE"',
        "0",
        '"descend"',
        '"Descend"',
        '"2"',
        '""',
        '" DESCEND"',
        '"UP"',
        "2.0",
        "true",
        "[]",
        "{}",
        '"SortOrder_DESCEND"',
    ],
    "2.2.null": ["null"],
    "2.2.int-bad": ["2147483648", "-2147483649", "1e1"],
    "2.2.enum-range": ["9", "-1", "2147483647", "-2147483648"],
}

BOOLEANS = {
    "2.2.bool": ["true", "false", '"true"', '"false"', "1", "0", '""', "[]", "{}", "1.0", '"1"'],
    "2.2.null": ["null"],
}

BYTES = {
    "2.2.bytes": [
        '"YQ=="',
        '"YQ"',
        '"YQ="',
        '"YQ==="',
        '"Y"',
        '"YWI="',
        '"YWJj"',
        '"_-8="',
        '"/+8="',
        '"Y Q="',
        '" YQ=="',
        '"YQ== "',
        '"YQ==\\n"',
        '"Y\\nQ=="',
        '"Y\\r\\nQ=="',
        '"YR=="',
        '"!!!!"',
        '"YQ==YQ=="',
        '"===="',
        '"="',
        '"é"',
        '"\\u0059Q=="',
        '"YQ\\u003d\\u003d"',
        '"aaaaa"',
        '"aaaa*aaa"',
        '"a=aa"',
        '"aa=a"',
    ],
    "2.2.bytes-type": [
        "1",
        "1.5",
        "true",
        '["a"]',
        "{}",
        "[]",
        "[97]",
        "[97,98]",
        "[256]",
        "[-1]",
        "[1.5]",
        "[null]",
        '[""]',
        "[[]]",
        "[true]",
    ],
    "2.2.null": ["null"],
    "3.empty-key": ['""'],
}


def scalars() -> list[Case]:
    found = [
        one
        for line, values in INTEGERS.items()
        for one in ranges(line, [f'"limit":{value}' for value in values])
    ]
    found += [
        one
        for line, values in INTEGERS.items()
        for one in each(
            f"{line} 2.2.int",
            "kv/put",
            [f'{{"key":"YQ==","lease":{value}}}' for value in values if value not in ("null",)],
            range_("a"),
        )
    ]
    found += [
        one
        for line, values in ENUMS.items()
        for one in ranges(line, [f'"sort_order":{value}' for value in values])
    ]
    found += [
        one
        for line, values in ENUMS.items()
        if line != "2.2.enum-range"
        for one in ranges(line, [f'"sort_target":{value}' for value in values])
    ]
    found += [
        one
        for line, values in BOOLEANS.items()
        for one in ranges(line, [f'"keys_only":{value}' for value in values])
    ]
    found += [
        one
        for line, values in BYTES.items()
        for one in each(
            line, "kv/put", [f'{{"key":{value}}}' for value in values], everything(keys_only=True)
        )
    ]
    found += [
        one
        for line, values in BYTES.items()
        for one in each(
            line, "kv/put", [f'{{"key":"YQ==","value":{value}}}' for value in values], range_("a")
        )
    ]
    return found


CASES = scalars()
