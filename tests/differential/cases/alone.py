"""A member that lost the other half of its cluster."""

from tests.differential.calls import call, compact, get, op_range, put, range_, raw, txn
from tests.differential.cases.lease_requests import LEASES, grant, keepalive, left, revoke
from tests.differential.cases.maintenance import LIST as ALARMS
from tests.differential.cases.members import LIST, OTHER, STATUS, VOTER, add
from tests.differential.cases.watch import create, watching
from tests.differential.steps import FRESH, Call, End, Open, Quiet, Step, Until, case

WAITING: dict[str, Call] = {
    "put": put("b"),
    "range": range_("a"),
    "compaction": compact(2),
    "grant": grant(100, 9),
    "revoke": revoke(7),
    "alarms": ALARMS,
    "left": left(7),
    "alive": keepalive(7),
    "health": get("/health"),
}
HAS_LEADER = (("Grpc-Metadata-hasleader", "true"),)

STEPS: tuple[Step, ...] = (
    STATUS,
    put("a", "1"),
    grant(100, 7),
    VOTER,
    Until(STATUS, "no leader"),
    LIST,
    add(OTHER),
    add(OTHER, isLearner=True),
    range_("a", serializable=True),
    txn(then=(op_range("a", serializable=True),)),
    LEASES,
    get("/version"),
    call("kv/range", {"key": "YQ=="}, headers=HAS_LEADER),
    call("maintenance/status", headers=HAS_LEADER),
    Open("not alive", raw("lease/keepalive", '{"ID":7}', headers=HAS_LEADER)),
    End("not alive"),
    Open("refused", watching(create("a"), headers=HAS_LEADER)),
    End("refused"),
    Open("w", watching(create("a")), 1),
    *(Open(name, one) for name, one in WAITING.items()),
    *(End(name) for name in WAITING),
    Quiet("w"),
    range_("a", serializable=True),
    STATUS,
)
PROPOSALS = ("put", "compaction", "grant", "revoke", "alarms")
TIMED_OUT = '503 {"error":"etcdserver: request timed out","code":14'

CASES = [
    case(
        "4.12.no-quorum 4.12.timeout 3.timeout 3.no-leader 4.7.no-leader 4.8.list 4.8.strict "
        "3.not-enough-started 4.2.serializable 2.5.has-leader 2.3.stream-before 1.status-leader "
        "1.status-errors 2.6.health",
        *STEPS,
        where=FRESH,
        differs="a write that found no leader is told as one whose leader was lost: its outcome is unknown",
        ours=tuple((STEPS.index(End(name)), TIMED_OUT) for name in PROPOSALS),
    ),
]
