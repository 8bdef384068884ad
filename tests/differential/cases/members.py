"""Changes of the members."""

from collections.abc import Iterator
from typing import Any

from tests.differential.calls import call, everything, get, put, raw
from tests.differential.steps import FRESH, Call, Step, case

STATUS = call("maintenance/status", saves=(("member", "member_id"),))
LIST = call("cluster/member/list")
UNKNOWN = "12345678901234567890"


def add(*urls: str, **more: Any) -> Call:
    return call("cluster/member/add", {"peerURLs": urls, **more})


def remove(member: Any) -> Call:
    return call("cluster/member/remove", {"ID": member})


def update(member: Any, *urls: str) -> Call:
    return call("cluster/member/update", {"ID": member, "peerURLs": urls})


def promote(member: Any) -> Call:
    return call("cluster/member/promote", {"ID": member})


def apart(*steps: Step) -> Iterator[Step]:
    """Put a write behind each step: etcd drops a change, and never answers, while it applies another one."""
    for step in steps:
        yield step
        yield put("fence")


NEW, OTHER, THIRD = "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"
LEARNER = call("cluster/member/add", {"peerURLs": [THIRD, NEW], "isLearner": True}, saves=(("new", "ID"),))
VOTER = call("cluster/member/add", {"peerURLs": [NEW]}, saves=(("new", "ID"),))
BAD_URLS = [
    [],
    [""],
    ["x"],
    ["http://"],
    ["http://127.0.0.1"],
    ["127.0.0.1:1"],
    ["http://127.0.0.1:1/path"],
    ["ftp://127.0.0.1:1"],
    ["http://127.0.0.1:x"],
    ["http://:1/"],
    [" "],
    ["http://127.0.0.1:1", "x"],
    ["//127.0.0.1:1"],
    ["tcp://127.0.0.1:1"],
]

REFUSED = [
    *(case("3.bad-urls 1.add-urls", add(*urls), add(*urls, isLearner=True), LIST) for urls in BAD_URLS),
    case(
        "3.bad-urls 1.add-urls",
        raw("cluster/member/add", ""),
        raw("cluster/member/add", '{"peerURLs":null}'),
        raw("cluster/member/add", '{"peerURLs":["x"],"isLearner":1}'),
        LIST,
    ),
    *(
        case("2.2.int-bad", raw("cluster/member/add", f'{{"peerURLs":{urls}}}'))
        for urls in ('"x"', "[1]", "{}", "[null]", "true")
    ),
    *(
        case(
            "3.member-not-found 2.3.5-14",
            *apart(remove(member), update(member, OTHER), promote(member), LIST),
        )
        for member in (UNKNOWN, 0, 1)
    ),
    case(
        "3.url-exists",
        STATUS,
        *apart(
            add("@{peer}"), add("@{peer}", isLearner=True), add(NEW, "@{peer}"), update(UNKNOWN, "@{peer}")
        ),
        LIST,
    ),
    case("3.not-learner 4.8.promote 2.3.9", STATUS, promote("@{member}"), LIST),
    *(
        case("2.2.int-bad 2.2.int", raw("cluster/member/remove", f'{{"ID":{number}}}'))
        for number in (
            "-1",
            '"-1"',
            "1.5",
            '"x"',
            "18446744073709551616",
            "null",
            '"18446744073709551615"',
            '" 5"',
        )
    ),
    case(
        "2.2.case",
        raw("cluster/member/remove", f'{{"id":"{UNKNOWN}"}}'),
        raw("cluster/member/add", '{"peerUrls":["http://127.0.0.1:1"]}'),
        raw("cluster/member/add", '{"peer_urls":["http://127.0.0.1:1"]}'),
        LIST,
    ),
    case(
        "2.6.method", *(get(f"/v3/cluster/member/{name}") for name in ("add", "remove", "update", "promote"))
    ),
]

CHANGES = [
    case(
        "4.8.add 3.too-many-learners 3.not-ready 3.url-exists 4.8.strict 3.not-enough-started "
        "2.3.2-11 1.header-revision 4.1.no-move",
        STATUS,
        LIST,
        *apart(
            put("a", "1"),
            remove("@{member}"),
            LEARNER,
            LIST,
            add(OTHER, isLearner=True),
            add(NEW),
            add(NEW, isLearner=True),
            promote("@{new}"),
            promote("@{member}"),
            update("@{member}", NEW),
            update("@{member}", "@{peer}"),
            everything(),
            put("a", "2"),
            remove("@{member}"),
            remove("@{new}"),
            remove("@{new}"),
            promote("@{new}"),
            update("@{new}", OTHER),
            LIST,
            everything(),
            call("cluster/member/list", {"linearizable": True}),
        ),
        where=FRESH,
    ),
    case(
        "2.7.update-learner",
        STATUS,
        *apart(LEARNER),
        update("@{new}", OTHER),
        LIST,
        where=FRESH,
        differs="a learner whose URLs are updated stays a learner",
        ours=((3, '"<new>","peerURLs":["http://127.0.0.1:2"],"isLearner":true'), (4, '"isLearner":true')),
    ),
]

CASES = [*REFUSED, *CHANGES]
