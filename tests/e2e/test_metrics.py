"""The metrics of a member beside those of a real etcd 3.5.1."""

import urllib.request
from pathlib import Path

import pytest

from tests.e2e.members import ETCD, RAFTKV, Place, post, put, running, wait_healthy

pytestmark = pytest.mark.e2e

NOT_HERE = {
    "there is no proxy": [
        "etcd_grpc_proxy_cache_hits_total",
        "etcd_grpc_proxy_cache_keys_total",
        "etcd_grpc_proxy_cache_misses_total",
        "etcd_grpc_proxy_events_coalescing_total",
        "etcd_grpc_proxy_watchers_coalescing_total",
    ],
    "there is no API v2": [
        "etcd_debugging_store_expires_total",
        "etcd_debugging_store_reads_total",
        "etcd_debugging_store_watch_requests_total",
        "etcd_debugging_store_watchers",
        "etcd_debugging_store_writes_total",
    ],
    "there is no B+ tree in a file": [
        "etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
        "etcd_debugging_disk_backend_commit_spill_duration_seconds",
        "etcd_debugging_disk_backend_commit_write_duration_seconds",
    ],
    "snapshots are made in slices, beside everything else": [
        "etcd_debugging_snap_save_marshalling_duration_seconds",
        "etcd_debugging_snap_save_total_duration_seconds",
        "etcd_snap_fsync_duration_seconds",
        "etcd_snap_db_fsync_duration_seconds",
        "etcd_snap_db_save_total_duration_seconds",
        "etcd_server_snapshot_apply_in_progress_total",
    ],
    "compaction goes on in slices, which raftkv_step_duration_seconds has": [
        "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
        "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
        "etcd_debugging_mvcc_db_compaction_last",
    ],
    "not counted yet": [
        "etcd_debugging_lease_ttl_total",
        "etcd_debugging_auth_revision",
    ],
    "entries are timed in batches: the backend's commits": [
        "etcd_server_apply_duration_seconds",
    ],
    "there is no Go": [
        "etcd_server_go_version",
    ],
    "of Go's client library": [
        "promhttp_metric_handler_requests_in_flight",
        "promhttp_metric_handler_requests_total",
    ],
}
"""Why raftkv does not show what etcd does, beside all that begins with go_."""

OWN = {
    "raftkv_step_duration_seconds": "histogram",
    "etcd_server_healthcheck": "gauge",  # etcd has these two since 3.5.11
    "etcd_server_healthchecks_total": "counter",
}
"""What raftkv shows and etcd 3.5.1 does not."""


def types_of(url: str) -> dict[str, str]:
    """Return the type of each metric of a page."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return dict(line.split()[2:4] for line in lines if line.startswith("# TYPE"))


def test_names_and_types_are_etcds_but_for_those_that_are_listed(tmp_path: Path) -> None:
    ours, theirs = Place.free(tmp_path, "n1"), Place.free(tmp_path, "n2")
    with (
        running(RAFTKV, ours, [ours], metrics="extensive"),
        running(ETCD, theirs, [theirs], metrics="extensive"),
    ):
        wait_healthy(ours, theirs)
        for place in (ours, theirs):
            put(place, b"k", b"v")
            post(place, "/v3/kv/range", {"key": ""})
            with urllib.request.urlopen(f"{place.client_url}/health", timeout=10) as reply:
                reply.read()
        with urllib.request.urlopen(f"{ours.client_url}/readyz", timeout=10) as reply:
            reply.read()
        etcd, raftkv = types_of(theirs.client_url), types_of(ours.client_url)
    wanted = {name: kind for name, kind in etcd.items() if not name.startswith("go_")}
    not_here = {name for names in NOT_HERE.values() for name in names}
    assert wanted.keys() >= not_here
    expected = {name: kind for name, kind in wanted.items() if name not in not_here}
    assert raftkv == expected | OWN
