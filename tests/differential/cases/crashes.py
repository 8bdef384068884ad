"""What stops a real etcd, and is only sent to raftkv: refused with code 3, and the member goes on."""

from tests.differential.calls import call, range_
from tests.differential.cases.members import UNKNOWN, update
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
    "2.7.update-url": [
        (update(member, url), "etcdserver: given member URLs are invalid")
        for member in ("@{member}", UNKNOWN)
        for url in ("", "x", "http://127.0.0.1", "http://127.0.0.1:x", "ftp://127.0.0.1:1")
    ],
    "2.7.update-empty": [(update("@{member}"), "etcdserver: given member URLs are invalid")],
}
"""Line -> requests after STATUS, each with the text of its refusal."""
