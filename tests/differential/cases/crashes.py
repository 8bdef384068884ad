"""What stops a real etcd, and is only sent to raftkv: refused with code 3, and the member goes on."""

from tests.differential.calls import call, range_
from tests.differential.steps import Call

CASES: dict[str, list[tuple[Call, str]]] = {
    "2.7.sort": [
        (
            range_("a", "z", sort_order=order, sort_target=target, limit=limit),
            "etcdserver: invalid sort option",
        )
        for order in ("ASCEND", "DESCEND")
        for target in (5, 9, -1, 2147483647)
        for limit in (0, 1)
    ],
    "2.7.alarm-action": [
        (call("maintenance/alarm", {"action": action, "alarm": name}), f"unknown alarm action {action}")
        for action in (3, 7, -1)
        for name in ("NONE", "NOSPACE")
    ],
}
"""Line -> requests, each with the text of its refusal."""
