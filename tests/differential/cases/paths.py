"""Paths, methods, and what stands in headers."""

from tests.differential.calls import call, everything, get, put, range_, raw
from tests.differential.steps import FRESH, Call, case

ROUTES = [
    "kv/range",
    "kv/put",
    "kv/deleterange",
    "kv/txn",
    "kv/compaction",
    "maintenance/status",
    "maintenance/alarm",
    "cluster/member/list",
]

METHODS = [
    case(
        "2.6.method 2.6.cors",
        *(get(f"/v3/{route}", method) for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE")),
    )
    for route in [*ROUTES, "maintenance/snapshot"]
] + [
    case(
        "2.6.options 2.6.cors",
        get(path, "OPTIONS"),
        get(
            path,
            "OPTIONS",
            headers=(("Origin", "http://example.com"), ("Access-Control-Request-Method", "POST")),
        ),
    )
    for path in (
        "/v3/kv/range",
        "/v3/nothing",
        "/",
        "/version",
        "/health",
        "/v3",
        "/nowhere",
        "/v3//kv/range",
    )
]

PATHS = [
    *(
        case("2.6.unknown", *(get(path, method) for method in ("POST", "GET")))
        for path in (
            "/v3/",
            "/v3/kv",
            "/v3/kv/",
            "/v3/kv/nothing",
            "/v3/x/y/z",
            "/v3/KV/range",
            "/v3/kv/Range",
        )
    ),
    *(
        case("2.6.slash", *(get(f"/v3/{route}/", method) for method in ("POST", "GET")))
        for route in ROUTES[:3]
    ),
    *(
        case("2.6.clean", *(get(path, method) for method in ("POST", "GET", "HEAD", "PUT")))
        for path in (
            "/v3//kv/range",
            "//v3/kv/range",
            "/v3/./kv/range",
            "/v3/kv/../kv/range",
            "/v3/kv/range/.",
            "/v3//kv/range?x=1",
            "/..",
            "/v3/kv//",
            "/v3/a%2f%2fb",
            "/v3//a<b>",
            "/v3//%C3%BC",
        )
    ),
    *(
        case("2.6.beta", put("a", "1"), Call(f"/v3beta/{path}", '{"key":"YQ=="}'), get(f"/v3beta/{path}"))
        for path in ("kv/range", "kv/put", "kv/nothing", "kv/range/")
    ),
    *(
        case("2.6.elsewhere 2.6.cors", *(get(path, method) for method in ("POST", "GET", "PUT")))
        for path in (
            "/v3alpha/kv/range",
            "/v2/keys",
            "/v2/keys/a",
            "/v2/members",
            "/",
            "/nothing",
            "/kv/range",
            "/v1/kv",
            "/v3betakv/range",
            "/V3/kv/range",
            "/favicon.ico",
            "/v3",
            "/health/",
            "/version/",
            "/healthz",
            "/v3beta",
        )
    ),
    case("2.6.clean", *(raw(path, '{"key":"YQ=="}') for path in ("kv/%72ange", "kv%2Frange"))),
]

PAGES = [
    case(
        "2.6.version",
        get("/version"),
        get("/version?x=1"),
        get("/version", headers=(("Accept", "text/html"),)),
    ),
    *(
        case("2.6.page-method", *(get(page, method) for page in ("/version", "/health")))
        for method in ("POST", "PUT", "DELETE", "HEAD", "PATCH")
    ),
    *(case("2.6.health", get(f"/health{query}")) for query in ("", "?", "?x=1")),
    *(
        case("2.6.health-exclude 2.6.health", get(f"/health?exclude={name}"))
        for name in ("NOSPACE", "CORRUPT", "NOSPACE&exclude=CORRUPT", "nothing", "")
    ),
    *(
        case("2.6.health-serializable", get(f"/health?serializable={value}"))
        for value in ("true", "false", "x")
    ),
    *(
        case("2.6.livez", get(path), differs="a probe that later 3.5 have", ours=((0, "200 ok\n"),))
        for path in ("/livez", "/readyz", "/livez/serializable_read", "/readyz/linearizable_read")
    ),
    *(case("2.6.pprof", get(path)) for path in ("/debug/pprof/", "/debug/pprof/heap")),
]

TIMEOUTS = (
    [
        case("2.5.timeout", call("kv/put", {"key": "YQ=="}, headers=(("Grpc-Timeout", value),)), everything())
        for value in ("5S", "500m", "1H", "1M", "9000000u", "900000000n", "0S", "0m", "", "99999999S")
    ]
    + [
        case(
            "2.5.timeout 3.deadline 2.3.4",
            call("kv/range", {"key": "YQ=="}, headers=(("Grpc-Timeout", value),)),
        )
        for value in ("1n", "-1S", "-5m")
    ]
    + [
        case(
            "2.5.timeout 2.3.3",
            call("kv/put", {"key": "YQ=="}, headers=(("Grpc-Timeout", value),)),
            everything(),
        )
        for value in ("5", "S", "x", "5s", "5 S", "1.5S", "5X", "1h", "S5", "+5S", "5SS")
    ]
)

LEADER = [
    case(
        "2.5.has-leader",
        range_("a"),
        call("kv/range", {"key": "YQ=="}, headers=(("Grpc-Metadata-hasleader", value),)),
        call("maintenance/status", headers=(("Grpc-Metadata-hasleader", value),)),
    )
    for value in ("true", "false", "")
]

HOSTS = [
    case(
        "2.6.host",
        *(
            step
            for host in (
                "good.example",
                "good.example:80",
                "GOOD.example",
                "bad.example",
                "x.good.example",
                "localhost",
                "",
            )
            for step in (
                get("/version", headers=(("Host", host),)),
                call("kv/range", {"key": "YQ=="}, headers=(("Host", host),)),
            )
        ),
        where=FRESH,
        flags=(("host_whitelist", "127.0.0.1,good.example"),),
    ),
    case(
        "2.6.cors",
        *(
            step
            for origin in (
                "http://good.example:80",
                "http://good.example",
                "http://bad.example:80",
                "null",
                "",
            )
            for step in (
                get("/version", headers=(("Origin", origin),)),
                get("/v3/kv/range", "OPTIONS", headers=(("Origin", origin),)),
                call("kv/range", {"key": "YQ=="}, headers=(("Origin", origin),)),
                get("/nothing"),
            )
        ),
        where=FRESH,
        flags=(("cors", "http://good.example:80"),),
    ),
]

OTHERS = [
    case(
        "2.6.cors",
        call("kv/range", {}, headers=(("Origin", "http://example.com:80"),)),
        get("/version", headers=(("Origin", "null"),)),
    ),
    case(
        "2.1.headers 2.6.cors",
        put("a", "1"),
        range_("a"),
        call("kv/range"),
        get("/nothing"),
        get("/health"),
        get("/v3/kv/range"),
    ),
]

CASES = [*METHODS, *PATHS, *PAGES, *TIMEOUTS, *LEADER, *HOSTS, *OTHERS]
