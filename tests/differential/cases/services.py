"""Checksums, the transfer of leadership, downgrades."""

from typing import Any

from tests.differential.calls import call, get, put, raw
from tests.differential.steps import Call, case

STATUS = call("maintenance/status", saves=(("member", "member_id"),))


def move(target: Any) -> Call:
    return call("maintenance/transfer-leadership", {"targetID": target})


def downgrade(action: Any, version: str) -> Call:
    return call("maintenance/downgrade", {"action": action, "version": version})


CASES = [
    case(
        "1.hashkv-path",
        call("maintenance/hashkv"),
        differs="a route that 3.5.10 and later have",
        ours=((0, '200 {"header":'),),
    ),
    case(
        "2.1.uint32",
        put("a"),
        call("maintenance/hash"),
        raw("maintenance/hash", ""),
        get("/v3/maintenance/hash"),
    ),
    case("1.move-reply 4.8.move", STATUS, move("@{member}"), move("@{member}"), put("a")),
    *(
        case("3.transferee 2.3.9", move(target), raw("maintenance/transfer-leadership", ""))
        for target in (0, 5, "18446744073709551615")
    ),
    *(
        case("1.downgrade-path 1.downgrade-reply 4.12.downgrade", downgrade(action, version))
        for action in ("VALIDATE", 0)
        for version in ("3.4", "3.4.0", "3.4.9")
    ),
    *(
        case(
            "3.downgrade-version 4.12.downgrade", downgrade("VALIDATE", version), downgrade("ENABLE", version)
        )
        for version in ("3.5", "3.5.0", "3.3.0", "3.6.0", "2.4.0", "4.0.0")
    ),
    *(
        case(
            "3.downgrade-format 4.12.downgrade", downgrade("VALIDATE", version), downgrade("ENABLE", version)
        )
        for version in ("", "x", "3", "v3.4.0", "3.4.x", "3.4.0.1", " 3.4", "-3.4")
    ),
    *(case("3.downgrade-none", downgrade("CANCEL", version)) for version in ("", "3.4.0")),
    *(
        case("2.2.enum", raw("maintenance/downgrade", body))
        for body in (
            '{"action":"validate","version":"3.4.0"}',
            '{"action":"2"}',
            '{"version":3.4}',
            "",
            '{"version":"3.4.0"}',
        )
    ),
    *(
        case("2.2.int-bad", raw("maintenance/transfer-leadership", f'{{"targetID":{target}}}'))
        for target in ("-1", '"x"', "1.5", "true")
    ),
]
