"""Locks and elections."""

from typing import Any

from tests.differential.calls import b64, call, coded, delete, everything, get, op_put, put, range_, raw, txn
from tests.differential.cases.lease_requests import grant, left, revoke
from tests.differential.steps import Call, Drop, End, Open, Quiet, Read, Until, case

SEVEN, EIGHT, NINE = grant(100, 7), grant(100, 8), grant(100, 777)


def lock(name: str, lease: Any = 0, **more: Any) -> Call:
    return call("lock/lock", coded({"name": name, **({"lease": lease} if lease else {})}), **more)


def unlock(key: str) -> Call:
    return call("lock/unlock", coded({"key": key}))


def campaign(name: str, lease: Any, value: str = "", **more: Any) -> Call:
    return call("election/campaign", coded({"name": name, "lease": lease, "value": value}), **more)


def leader_key(name: str, key: str, rev: str, lease: Any) -> dict[str, Any]:
    return {"name": b64(name), "key": b64(key), "rev": rev, "lease": lease}


def proclaim(leader: Any, value: str = "") -> Call:
    return call("election/proclaim", coded({"leader": leader, "value": value}))


def resign(leader: Any) -> Call:
    return call("election/resign", {"leader": leader})


def leader(name: str) -> Call:
    return call("election/leader", coded({"name": name}))


def observe(name: str) -> Call:
    return call("election/observe", coded({"name": name}))


def both_wait(prefix: str) -> Until:
    """Wait until two keys are there, so that the second one's owner waits."""
    return Until(range_(f"{prefix}/", f"{prefix}0"), '"count":"2"')


HELD = (SEVEN, EIGHT, lock("L", 7))
WAITING = (*HELD, Open("second", lock("L", 8)), both_wait("L"), Quiet("second"))
KEY = leader_key("E", "E/7", "@{r+1}", 7)
LED = (SEVEN, EIGHT, campaign("E", 7, "one"))

LOCKS = [
    case(
        "4.9.keys 4.9.header 4.9.unlock",
        NINE,
        lock("L", 777),
        everything(),
        unlock("L/309"),
        everything(),
        unlock("L/309"),
        everything(),
    ),
    case("4.9.lease", *HELD, lock("L", 7), lock("L", 7), everything()),
    case(
        "4.9.keys",
        SEVEN,
        lock("L", 7),
        lock("M", 7),
        lock("L/7", 7),
        everything(),
        unlock("L/7"),
        everything(),
    ),
    case("4.9.take 4.9.header", *WAITING, unlock("L/7"), End("second"), everything()),
    case("4.9.take 4.9.unlock", *WAITING, delete("L/7"), End("second"), everything()),
    case("4.9.take 4.9.unlock", *WAITING, revoke(7), End("second"), everything()),
    case("4.9.take 4.9.header", *WAITING, put("x"), put("y"), unlock("L/7"), End("second"), everything()),
    case(
        "4.9.take",
        *WAITING,
        NINE,
        Open("third", lock("L", 777)),
        Until(range_("L/", "L0"), '"count":"3"'),
        unlock("L/8"),
        Quiet("third"),
        unlock("L/7"),
        End("second"),
        End("third"),
        everything(),
    ),
    case(
        "4.9.cancelled",
        *WAITING,
        Drop("second"),
        Until(range_("L/", "L0"), '"count":"1"'),
        everything(),
        unlock("L/7"),
        lock("L", 8),
        everything(),
    ),
    case(
        "4.9.lease 1.lock-lease",
        lock("L", saves=(("key", "key"),)),
        range_("L/", "L0")._replace(saves=(("lease", "lease"),)),
        everything(),
        left("@{lease}"),
        call("lock/unlock", {"key": "@{key}"}),
        everything(),
    ),
    *(case("3.lock-errors 3.lease-not-found", lock("L", lease), everything()) for lease in (5, -5)),
    case(
        "4.9.keys",
        SEVEN,
        call("lock/lock", {"lease": 7}),
        everything(),
        call("lock/unlock"),
        call("lock/unlock", {"key": ""}),
        unlock("nothing"),
        everything(),
    ),
    case("4.9.unlock", put("other", "1"), unlock("other"), everything()),
    case(
        "4.9.take",
        SEVEN,
        put("L/1"),
        put("L"),
        put("L0"),
        Open("first", lock("L", 7)),
        Until(range_("L/7"), '"count"'),
        Quiet("first"),
        delete("L/1"),
        End("first"),
    ),
    *(
        case("2.2.int-bad 2.2.bytes", raw("lock/lock", body), everything())
        for body in (
            '{"name":1}',
            '{"name":"x"}',
            '{"name":"YQ==","lease":"x"}',
            '{"name":"YQ==","lease":1.5}',
            "[]",
            "x",
        )
    ),
    *(
        case("2.6.method 2.6.slash", get(f"/v3/{path}"), get(f"/v3/{path}/", "POST"))
        for path in ("lock/lock", "lock/unlock", "election/campaign", "election/observe")
    ),
    case(
        "4.10.no-space 3.lock-errors",
        SEVEN,
        call("maintenance/status", saves=(("member", "member_id"),)),
        call("maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE", "memberID": "@{member}"}),
        lock("L", 7),
        lock("L"),
        campaign("E", 7),
        call("maintenance/alarm", {"action": "DEACTIVATE", "alarm": "NOSPACE", "memberID": "@{member}"}),
        everything(),
    ),
]

ELECTIONS = [
    case(
        "4.9.campaign 4.9.keys",
        *LED,
        everything(),
        leader("E"),
        campaign("E", 7, "one"),
        everything(),
        campaign("E", 7, "two"),
        leader("E"),
        everything(),
    ),
    case("4.9.campaign", SEVEN, campaign("E", 7), leader("E"), campaign("E", 7, "x"), leader("E")),
    case(
        "4.9.campaign 3.lock-errors 2.3.2-11",
        leader("E"),
        leader(""),
        put("E"),
        put("E0"),
        leader("E"),
        put("E/x", "made by hand"),
        leader("E"),
    ),
    case(
        "4.9.campaign 4.9.take",
        *LED,
        Open("second", campaign("E", 8, "two")),
        both_wait("E"),
        Quiet("second"),
        leader("E"),
        resign(KEY),
        End("second"),
        leader("E"),
        everything(),
    ),
    case(
        "4.9.campaign 4.9.take",
        *LED,
        Open("second", campaign("E", 8, "two")),
        both_wait("E"),
        revoke(7),
        End("second"),
        leader("E"),
    ),
    case(
        "4.9.cancelled",
        *LED,
        Open("second", campaign("E", 8, "two")),
        both_wait("E"),
        Drop("second"),
        Until(range_("E/", "E0"), '"count":"1"'),
        everything(),
    ),
    case(
        "4.9.proclaim",
        *LED,
        proclaim(KEY, "new"),
        leader("E"),
        proclaim(KEY),
        leader("E"),
        proclaim(KEY, "last"),
        everything(),
    ),
    *(
        case("4.9.proclaim 3.lock-errors", *LED, proclaim(key, "new"), resign(key), leader("E"), everything())
        for key in (
            leader_key("E", "E/7", "@{r+2}", 7),
            leader_key("E", "E/8", "@{r+1}", 8),
            leader_key("X", "E/7", "@{r+1}", 7),
            leader_key("E", "E/7", "@{r+1}", 8),
            leader_key("E", "E/7", "0", 7),
            leader_key("", "", "0", 0),
        )
    ),
    case(
        "4.9.proclaim 3.lock-errors",
        *LED,
        call("election/proclaim"),
        call("election/resign"),
        call("election/proclaim", {"value": "YQ=="}),
        call("election/proclaim", {"leader": None}),
        call("election/resign", {"leader": {}}),
        everything(),
    ),
    case("4.9.proclaim", *LED, resign(KEY), resign(KEY), proclaim(KEY, "new"), leader("E"), everything()),
    *(case("3.lock-errors 3.lease-not-found", campaign("E", lease, "x"), everything()) for lease in (5, -5)),
    case(
        "4.9.campaign",
        campaign("E", 0, "x", saves=(("key", "key"), ("lease", "lease"))),
        left("@{lease}"),
        leader("E"),
    ),
    case("4.9.keys", SEVEN, call("election/campaign", {"lease": 7}), everything(), leader(""), leader("/")),
    case(
        "4.9.observe 2.4.reply",
        *LED,
        Open("watching", observe("E"), 1),
        proclaim(KEY, "two"),
        Read("watching"),
        proclaim(KEY, "three"),
        Read("watching"),
        resign(KEY),
        campaign("E", 8, "four"),
        Read("watching"),
        Drop("watching"),
        put("x"),
    ),
    case(
        "4.9.observe 2.4.head",
        SEVEN,
        Open("watching", observe("E")),
        Quiet("watching"),
        campaign("E", 7, "one"),
        Read("watching"),
        proclaim(KEY, "two"),
        Read("watching"),
    ),
    case(
        "4.9.observe",
        *LED,
        Open("watching", observe("E"), 1),
        Open("second", campaign("E", 8, "two")),
        both_wait("E"),
        proclaim(KEY, "again"),
        Read("watching"),
        resign(KEY),
        End("second"),
        Read("watching"),
    ),
    case(
        "4.9.observe",
        *LED,
        Open("watching", observe("E"), 1),
        revoke(7),
        campaign("E", 8, "two"),
        Read("watching"),
    ),
    case(
        "4.9.observe",
        put("E/a", "by hand"),
        Open("watching", observe("E"), 1),
        put("E/a", "changed"),
        Read("watching"),
        put("E/b"),
        put("E/a", "again"),
        Read("watching"),
    ),
    case(
        "4.9.observe",
        put("E/a", "1"),
        put("E/b", "2"),
        Open("watching", observe("E"), 1),
        txn(then=(op_put("E/a", "3"), op_put("E/c"))),
        Read("watching"),
        delete("E/a"),
        Read("watching"),
    ),
    *(
        case("2.3.stream-json", Open("bad", raw("election/observe", body)), End("bad"))
        for body in ("x", "[]", '{"name":1}')
    ),
    *(case("2.2.int-bad", raw("election/campaign", body)) for body in ('{"name":1}', '{"lease":"x"}', "[]")),
]

CASES = [*LOCKS, *ELECTIONS]
