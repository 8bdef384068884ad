"""``/metrics``: etcd's names, types, labels and buckets, for everything that this member has a value for.

What stands for what where raftkv is built otherwise, and what is missing: docs/metrics.md.
"""

import math
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from raftkv.api import replies
from raftkv.api.calls import CODES, METHODS, Calls
from raftkv.api.exposition import (
    CONTENT_TYPE,
    Metric,
    counter,
    counters,
    gauge,
    gauges,
    histogram,
    histograms,
    render,
)
from raftkv.api.health import HealthPages, Query
from raftkv.node.node import Node
from raftkv.node.steps import BUCKETS
from raftkv.node.tally import Histogram, Traffic
from raftkv.raft import NO_NODE, Role
from raftkv.service.downgrade import CLUSTER_VERSION
from raftkv.service.maintenance import EMPTY_BYTES, ETCD_VERSION

EXTENSIVE = "extensive"
"""The value of ``--metrics`` with which the times of calls are shown too."""


class MetricsPage:
    """Everything that one member counts."""

    def __init__(self, node: Node, calls: Calls, health: HealthPages, traffic: Traffic) -> None:
        self._node = node
        self._calls = calls
        self._health = health
        self._traffic = traffic

    async def __call__(self, request: web.BaseRequest, query: Query) -> web.Response:
        """Answer with all metrics; whatever the method, as etcd."""
        with self._node.steps.timed("metrics"):
            body = render(self._all())
        response = replies.text(body)
        response.headers["Content-Type"] = CONTENT_TYPE
        return response

    def _all(self) -> Iterator[Metric]:
        yield from server_metrics(self._node)
        yield from storage_metrics(self._node)
        yield from store_metrics(self._node)
        yield from lease_and_watch_metrics(self._node)
        yield from health_metrics(self._health)
        yield from peer_metrics(self._node.member_id, self._traffic)
        yield from call_metrics(self._calls, extensive=self._node.config.metrics == EXTENSIVE)
        yield from process_metrics()


def server_metrics(node: Node) -> Iterator[Metric]:
    """Yield what concerns this member's part in Raft."""
    status, tally = node.status(), node.tally
    slow_reads, failed_reads = node.reads_slow_and_failed
    is_learner = node.member_id in status.configuration.learners
    name = "etcd_server_"
    yield gauge(f"{name}id", "1, with this member's id.", 1, server_id=f"{node.member_id:x}")
    yield gauge(f"{name}version", "1, with the version spoken.", 1, server_version=ETCD_VERSION)
    version = CLUSTER_VERSION.rpartition(".")[0]
    yield gauge("etcd_cluster_version", "1, with the cluster's version.", 1, cluster_version=version)
    yield gauge(f"{name}has_leader", "Whether a leader is known.", int(status.leader != NO_NODE))
    yield gauge(f"{name}is_leader", "Whether this member leads.", int(status.role is Role.LEADER))
    yield gauge(f"{name}is_learner", "Whether this member is a learner.", int(is_learner))
    yield counter(f"{name}leader_changes_seen_total", "Leaders that came.", tally.leader_changes)
    yield gauge(f"{name}proposals_committed_total", "The commit index.", status.commit_index)
    yield gauge(f"{name}proposals_applied_total", "The applied index.", node.applied_index)
    yield gauge(f"{name}proposals_pending", "Proposals of clients under way.", node.waiting)
    yield counter(f"{name}proposals_failed_total", "Proposals that timed out.", tally.failed_proposals)
    late = "Heartbeats of this leader that were late by an interval."
    yield counter(f"{name}heartbeat_send_failures_total", late, tally.late_heartbeats)
    yield counter(f"{name}slow_apply_total", "Slices of entries above 100 ms.", tally.slow_applies)
    yield counter(f"{name}slow_read_indexes_total", "Rounds for reads that had to be repeated.", slow_reads)
    yield counter(f"{name}read_indexes_failed_total", "Reads that timed out.", failed_reads)
    yield counter(f"{name}learner_promote_successes", "Learners promoted.", tally.promoted_learners)
    yield gauge(f"{name}quota_backend_bytes", "The quota in force; negative: none.", node.config.quota_bytes)


def storage_metrics(node: Node) -> Iterator[Metric]:
    """Yield what concerns the log, snapshots, and how long steps take."""
    tally, wal, steps = node.tally, node.wal.counters, node.steps
    disk = "etcd_disk_"
    yield histogram(f"{disk}wal_fsync_duration_seconds", "Writes to the log with their sync.", tally.saves)
    yield gauge(f"{disk}wal_write_bytes_total", "Bytes written to the log.", wal.bytes)
    applied = "Batches of entries that took effect in the data."
    yield histogram(f"{disk}backend_commit_duration_seconds", applied, tally.applies)
    yield histogram(f"{disk}backend_snapshot_duration_seconds", "Backups sent.", tally.backups)
    yield histogram(f"{disk}backend_defrag_duration_seconds", "Defragmentations.", tally.defragmentations)
    yield gauge(f"{disk}defrag_inflight", "Whether one is under way.", int(tally.defragmenting > 0))
    held = Histogram(BUCKETS)
    held.buckets, held.sum = list(steps.histogram), steps.total
    yield histogram("raftkv_step_duration_seconds", "How long steps held the event loop.", held)


def store_metrics(node: Node) -> Iterator[Metric]:
    """Yield what concerns the data."""
    store, tally = node.machine.store, node.tally
    counts = store.counts
    name, debugging = "etcd_mvcc_", "etcd_debugging_mvcc_"
    in_use = EMPTY_BYTES + store.size_in_use_bytes
    yield gauge(f"{name}db_total_size_in_bytes", "Size of the data.", EMPTY_BYTES + store.size_bytes)
    yield gauge(f"{name}db_total_size_in_use_in_bytes", "The part of it in use.", in_use)
    yield gauge(f"{name}db_open_read_transactions", "Reads under way.", store.readers)
    yield counter(f"{name}put_total", "Puts.", counts.puts)
    yield counter(f"{name}delete_total", "Deletes.", counts.deletes)
    yield counter(f"{name}range_total", "Ranges.", counts.ranges)
    yield counter(f"{debugging}range_total", "Ranges.", counts.ranges)
    yield counter(f"{name}txn_total", "Txns of several operations.", counts.txns)
    yield histogram(f"{name}hash_duration_seconds", "Hashes of everything.", tally.hashes)
    yield histogram(f"{name}hash_rev_duration_seconds", "Hashes up to a revision.", tally.revision_hashes)
    yield gauge(f"{debugging}total_put_size_in_bytes", "Keys and values put.", counts.put_bytes)
    yield gauge(f"{debugging}keys_total", "Keys that exist.", store.live_keys)
    yield gauge(f"{debugging}current_revision", "The revision.", store.revision)
    yield gauge(f"{debugging}compact_revision", "The compact revision.", store.compact_revision)
    yield counter(f"{debugging}db_compaction_keys_total", "Versions removed.", counts.compacted)


def lease_and_watch_metrics(node: Node) -> Iterator[Metric]:
    """Yield what concerns leases and watches."""
    leases, tally, debugging = node.machine.leases, node.tally, "etcd_debugging_"
    streams = list(tally.watch_streams)
    yield counter(f"{debugging}lease_granted_total", "Leases granted.", leases.grants)
    yield counter(f"{debugging}lease_revoked_total", "Leases revoked, or over.", leases.revocations)
    yield counter(f"{debugging}server_lease_expired_total", "Leases over.", leases.expiries)
    yield counter(f"{debugging}lease_renewed_total", "Keep-alives that a leader took.", tally.renewed_leases)
    yield gauge(f"{debugging}mvcc_watch_stream_total", "Streams of watches.", len(streams))
    watching = sum(stream.watching for stream in streams)
    yield gauge(f"{debugging}mvcc_watcher_total", "Watches.", watching)
    behind = sum(stream.behind for stream in streams)
    yield gauge(f"{debugging}mvcc_slow_watcher_total", "Watches that read the past.", behind)
    queued = sum(stream.queued for stream in streams)
    yield gauge(f"{debugging}mvcc_pending_events_total", "Replies that wait to be sent.", queued)
    yield counter(f"{debugging}mvcc_events_total", "Events sent.", tally.events)


def health_metrics(health: HealthPages) -> Iterator[Metric]:
    """Yield how often this member was asked for its health."""
    yield counter("etcd_server_health_success", "Answers of /health: well.", health.answers[True])
    yield counter("etcd_server_health_failures", "Answers of /health: unwell.", health.answers[False])
    last = [({"type": kind, "name": name}, int(well)) for (kind, name), well in health.last.items()]
    yield gauges("etcd_server_healthcheck", "The last result of a check.", last)
    all_ = [
        ({"type": kind, "name": name, "status": "success" if well else "error"}, count)
        for (kind, name, well), count in health.checks.items()
    ]
    yield counters("etcd_server_healthchecks_total", "Checks made.", all_)


def peer_metrics(member: int, traffic: Traffic) -> Iterator[Metric]:
    """Yield what went to and came from each of the others."""
    name = "etcd_network_"
    peers = sorted(traffic.peers.items())
    to = [({"To": f"{peer:x}"}, counts) for peer, counts in peers]
    both = [({"Local": f"{member:x}", "Remote": f"{peer:x}"}, counts) for peer, counts in peers]
    sent = [(labels, counts.sent_bytes) for labels, counts in to]
    yield counters(f"{name}peer_sent_bytes_total", "Bytes sent to a peer.", sent)
    received = [({"From": labels["To"]}, counts.received_bytes) for labels, counts in to]
    yield counters(f"{name}peer_received_bytes_total", "Bytes received from a peer.", received)
    dropped = [(labels, counts.dropped) for labels, counts in to if counts.dropped]
    yield counters(f"{name}peer_sent_failures_total", "Messages that could not be sent.", dropped)
    times = [(labels, counts.round_trips) for labels, counts in to]
    yield histograms(f"{name}peer_round_trip_time_seconds", "From a question to its answer.", times)
    active = [(labels, int(counts.connected)) for labels, counts in both]
    yield gauges(f"{name}active_peers", "Whether a stream to a peer is up.", active)
    lost = [(labels, counts.disconnects) for labels, counts in both if counts.disconnects]
    yield counters(f"{name}disconnected_peers_total", "Streams that broke.", lost)


def call_metrics(calls: Calls, *, extensive: bool) -> Iterator[Metric]:
    """Yield the calls of clients: every method, and every code of each, also those that never were."""
    methods = [
        ({"grpc_type": kind, "grpc_service": service, "grpc_method": name}, calls.methods[service, name])
        for (service, name), kind in sorted(METHODS.items())
    ]
    name = "grpc_server_"
    yield counters(f"{name}started_total", "Calls begun.", [(of, found.started) for of, found in methods])
    received = [(of, found.received) for of, found in methods]
    yield counters(f"{name}msg_received_total", "Requests that came in.", received)
    sent = [(of, found.sent) for of, found in methods]
    yield counters(f"{name}msg_sent_total", "Responses that went out.", sent)
    handled = [
        ({"grpc_code": code, **of}, count)
        for of, found in methods
        for code, count in zip(CODES, found.handled, strict=True)
    ]
    yield counters(f"{name}handled_total", "Calls that ended, by code.", handled)
    if extensive:
        seconds = [(of, found.seconds) for of, found in methods]
        yield histograms(f"{name}handling_seconds", "How long calls took.", seconds)
    versions = [
        ({"type": kind, "client_api_version": version}, count)
        for (kind, version), count in sorted(calls.versions.items())
    ]
    yield counters("etcd_server_client_requests_total", "Calls by the client's version.", versions)
    network = "etcd_network_client_grpc_"
    received_bytes = sum(found.received_bytes for _, found in methods)
    yield counter(f"{network}received_bytes_total", "Bytes of requests.", received_bytes)
    sent_bytes = sum(found.sent_bytes for _, found in methods)
    yield counter(f"{network}sent_bytes_total", "Bytes of responses.", sent_bytes)


# ---------------------------------------------------------------- the process

_PROC = Path("/proc/self")


def process_metrics() -> Iterator[Metric]:
    """Yield what the system says of this process: all of it on Linux, elsewhere what every system tells."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield counter("process_cpu_seconds_total", "User and system time.", time.process_time())
    yield gauge("process_max_fds", "Files that may be open.", _limit(soft))
    yield gauge("os_fd_limit", "Files that may be open.", _limit(soft))
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    yield gauge("process_virtual_memory_max_bytes", "Memory that may be used.", _limit(memory))
    if not _PROC.exists():
        return
    open_files = sum(1 for _ in (_PROC / "fd").iterdir())
    yield gauge("process_open_fds", "Files that are open.", open_files)
    yield gauge("os_fd_used", "Files that are open.", open_files)
    # the name of the program, in brackets, may hold anything
    fields = (_PROC / "stat").read_text().rpartition(")")[2].split()
    began = _boot_time() + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    yield gauge("process_start_time_seconds", "When it began, in seconds since 1970.", began)
    yield gauge("process_virtual_memory_bytes", "Memory addressed.", int(fields[20]))
    resident = int(fields[21]) * resource.getpagesize()
    yield gauge("process_resident_memory_bytes", "Memory used.", resident)


def _limit(value: int) -> float:
    return math.inf if value == resource.RLIM_INFINITY else value


def _boot_time() -> int:
    lines = Path("/proc/stat").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("btime ")), 0)
