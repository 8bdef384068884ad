"""Watches of a client that others wrote: it takes each chunk of a reply for a message."""

import threading
from pathlib import Path

import pytest
from etcd3gw.client import Etcd3Client

from raftkv.local import LocalCluster, free_ports

pytestmark = pytest.mark.e2e


def test_a_watch_of_etcd3gw_sees_each_change_once_and_in_order(tmp_path: Path) -> None:
    ports = free_ports(2)
    cluster = LocalCluster.open_or_create(tmp_path / "cluster", 1, ports)
    cluster.up()
    try:
        events, cancel = client_of(ports).watch_prefix("key")
        values = [str(number).encode() for number in range(50)]

        def write() -> None:
            writer = client_of(ports)
            for number, value in enumerate(values):
                writer.put(f"key{number % 7}", value)
            writer.put("other", "x")
            writer.delete("key0")

        writing = threading.Thread(target=write)
        writing.start()
        seen = [next(events) for _ in range(len(values) + 1)]
        writing.join()
        cancel()
        assert [event["kv"]["value"] for event in seen[:-1]] == values
        assert (seen[-1]["type"], seen[-1]["kv"]["key"]) == ("DELETE", b"key0")
    finally:
        cluster.down()


def client_of(ports: list[int]) -> Etcd3Client:
    return Etcd3Client("127.0.0.1", ports[0], timeout=30, api_path="/v3/")
