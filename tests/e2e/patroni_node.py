"""A Patroni node without its PostgreSQL: the loop that decides who leads, with Patroni's own etcd v3 code.

Started as ``python patroni_node.py NAME TTL HOST:PORT ...``. Each line of its output is one round: when
it began and ended, by the clock that all processes share, and what it came to: ``leads``, ``follows NAME``,
``nobody``, ``fails``.
"""

import logging
import sys
import time

from patroni.dcs.etcd3 import Etcd3
from patroni.exceptions import DCSError
from patroni.postgresql.mpp import get_mpp

LOOP_SECONDS = 1


def main(name: str, ttl: int, hosts: list[str]) -> None:
    logging.disable()
    node = Etcd3(
        {
            "name": name,
            "scope": "main",
            "namespace": "/service",
            "hosts": hosts,
            "ttl": ttl,
            "loop_wait": LOOP_SECONDS,
            "retry_timeout": 3,
        },
        get_mpp({}),
    )
    node.initialize(create_new=True, sysid="one of all")
    while True:
        before = time.monotonic()
        seen = step(node, name)
        sys.stdout.write(f"{before:.3f} {time.monotonic():.3f} {seen}\n")
        sys.stdout.flush()
        # returns early when the leader's key changes, which a watch in the background tells
        node.watch(None, LOOP_SECONDS)


def step(node: Etcd3, name: str) -> str:
    """Do one round, as Patroni does; return what it came to."""
    try:
        node.touch_member({"role": "replica", "state": "running", "conn_url": f"postgres://{name}"})
        cluster = node.get_cluster()
        if cluster.leader is None or cluster.leader.name == name:
            led = node.update_leader(cluster, 1) if cluster.leader else node.attempt_to_acquire_leader()
            return "leads" if led else "nobody"
    except DCSError:
        return "fails"
    return f"follows {cluster.leader.name}"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
