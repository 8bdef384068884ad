"""``/metrics``: read with Prometheus' own parser, and held against what really happened."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raftkv import api, errors
from raftkv.api.calls import CODES, METHODS, PATHS
from raftkv.api.exposition import counters, gauge, histogram, render
from raftkv.listeners import Listeners
from raftkv.node.config import Config
from raftkv.node.tally import Histogram, Traffic, exponential
from raftkv.raft import NO_NODE
from raftkv.schema.kv import PutRequest
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType
from raftkv.trace import discard
from tests.api.http import CORS, call, encode, exchange
from tests.node.loopback import LoopbackCluster
from tests.service.fake_node import MEMBER, FakeFile, FakeNode

OTHER = 0xAB

ALERTS_AND_DASHBOARD = {
    "etcd_server_has_leader": "gauge",
    "etcd_server_leader_changes_seen_total": "counter",
    "etcd_server_proposals_committed_total": "gauge",
    "etcd_server_proposals_applied_total": "gauge",
    "etcd_server_proposals_pending": "gauge",
    "etcd_server_proposals_failed_total": "counter",
    "etcd_server_quota_backend_bytes": "gauge",
    "etcd_disk_wal_fsync_duration_seconds": "histogram",
    "etcd_disk_backend_commit_duration_seconds": "histogram",
    "etcd_mvcc_db_total_size_in_bytes": "gauge",
    "etcd_mvcc_db_total_size_in_use_in_bytes": "gauge",
    "etcd_network_client_grpc_received_bytes_total": "counter",
    "etcd_network_client_grpc_sent_bytes_total": "counter",
    "etcd_network_peer_received_bytes_total": "counter",
    "etcd_network_peer_sent_bytes_total": "counter",
    "etcd_network_peer_sent_failures_total": "counter",
    "etcd_network_peer_round_trip_time_seconds": "histogram",
    "grpc_server_started_total": "counter",
    "grpc_server_handled_total": "counter",
    "grpc_server_handling_seconds": "histogram",
    "process_resident_memory_bytes": "gauge",
}
"""What the rules and the dashboard of etcd's mixin read, and its type in etcd 3.5.1."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """A page of metrics, read."""

    def __init__(self, text: str) -> None:
        self.types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE"))
        families = list(text_string_to_metric_families(text))
        assert len(families) == len(self.types)
        self.samples: Samples = {}
        for family in families:
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, f"{key} is there twice"
                self.samples[key] = sample.value

    def __call__(self, name: str, /, **labels: str) -> float:
        if self.types.get(name) == "counter" and not name.endswith("_total"):
            name += "_total"  # the parser thinks that every counter is called so
        return self.samples[name, frozenset(labels.items())]


@asynccontextmanager
async def scraped(node: FakeNode, traffic: Traffic) -> AsyncIterator[tuple[int, int]]:
    """Serve a node; yield the ports of clients and of who watches."""
    events = Listeners(discard, lambda: pytest.fail("no event is told"))
    both = api.build_both(node, lambda: 1e9, events, traffic)  # type: ignore[arg-type]
    for port in both:
        await port.start(["http://127.0.0.1:0"])
    try:
        yield both[0].addresses[0][1], both[1].addresses[0][1]
    finally:
        for port in both:
            await port.stop()


async def scrape(port: int) -> Scrape:
    reply = await call(port, "/metrics", method="GET")
    assert reply.status == "HTTP/1.1 200 OK"
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in reply.headers
    return Scrape(reply.body.decode())


# ---------------------------------------------------------------- what is there


async def test_all_that_etcds_alerts_and_dashboard_read_is_there() -> None:
    traffic = Traffic()
    traffic.of(OTHER).dropped = 1
    async with scraped(FakeNode(Config(metrics="extensive")), traffic) as (port, _):
        page = await scrape(port)
    assert {name: page.types.get(name) for name in ALERTS_AND_DASHBOARD} == ALERTS_AND_DASHBOARD


async def test_every_method_and_code_is_there_before_any_call(port: int) -> None:
    page = await scrape(port)
    for (service, name), kind in METHODS.items():
        of = {"grpc_service": service, "grpc_method": name, "grpc_type": kind}
        for metric in ("started_total", "msg_received_total", "msg_sent_total"):
            assert page(f"grpc_server_{metric}", **of) == 0
        assert [page("grpc_server_handled_total", grpc_code=code, **of) for code in CODES] == [0] * 17
    assert "grpc_server_handling_seconds" not in page.types


def test_every_call_has_a_method() -> None:
    assert set(PATHS.values()) == {method for method in METHODS if not method[0].startswith("grpc.health")}


async def test_the_routes_that_etcd_counts_are_counted(node: FakeNode) -> None:
    routes = api.Gateway(node, lambda: 1e9)._calls.routes  # type: ignore[arg-type]
    assert {path for path in routes if not path.startswith(("/v3/lock/", "/v3/election/"))} <= set(PATHS)


# ---------------------------------------------------------------- calls


async def test_calls_are_counted_by_what_came_of_them(port: int, node: FakeNode) -> None:
    put = b'{"key":"YQ==","value":"YQ=="}'
    answer = await call(port, "/v3/kv/put", put)
    await call(port, "/v3/kv/put", b'{"key":""}')
    node.fail_propose = errors.RequestTimedOut()
    await call(port, "/v3/kv/put", put)
    node.fail_propose = None
    node.hold.clear()
    await call(port, "/v3/kv/put", put, headers="Grpc-Timeout: 10m\r\n")
    node.hold.set()
    page = await scrape(port)
    of = {"grpc_service": "etcdserverpb.KV", "grpc_method": "Put", "grpc_type": "unary"}
    assert page("grpc_server_started_total", **of) == 4
    assert page("grpc_server_msg_received_total", **of) == 4
    assert page("grpc_server_msg_sent_total", **of) == 1
    for code in ("OK", "InvalidArgument", "Unavailable", "DeadlineExceeded"):
        assert page("grpc_server_handled_total", grpc_code=code, **of) == 1
    assert page("etcd_network_client_grpc_received_bytes_total") == 3 * len(put) + 10
    assert page("etcd_network_client_grpc_sent_bytes_total") == len(answer.body)
    assert page("etcd_server_client_requests_total", type="unary", client_api_version="unknown") == 4


async def test_what_can_t_be_decoded_is_no_call(port: int) -> None:
    for body in (b"{", b'{"key":1}'):
        await call(port, "/v3/kv/range", body)
    await call(port, "/v3/kv/range", method="GET")
    of = {"grpc_service": "etcdserverpb.KV", "grpc_method": "Range", "grpc_type": "unary"}
    assert (await scrape(port))("grpc_server_started_total", **of) == 0


async def test_a_call_that_the_client_gives_up_is_canceled(port: int, node: FakeNode) -> None:
    node.hold.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode("/v3/kv/put", b'{"key":"YQ=="}'))
    await node.started.wait()
    writer.transport.abort()
    await node.cancelled.wait()
    of = {"grpc_service": "etcdserverpb.KV", "grpc_method": "Put", "grpc_type": "unary"}
    page = await scrape(port)
    assert page("grpc_server_handled_total", grpc_code="Canceled", **of) == 1
    assert page("grpc_server_handled_total", grpc_code="OK", **of) == 0


async def test_a_stream_counts_each_response_and_ends_once(port: int, node: FakeNode) -> None:
    node.backup_file = FakeFile(bytes(100_000))
    reply = await call(port, "/v3/maintenance/snapshot")
    node.fail_backup = errors.NoSpace("no room")
    await call(port, "/v3/maintenance/snapshot", headers="Grpc-Metadata-client-api-version: 3.5\r\n")
    page = await scrape(port)
    of = {
        "grpc_service": "etcdserverpb.Maintenance",
        "grpc_method": "Snapshot",
        "grpc_type": "server_stream",
    }
    assert page("grpc_server_started_total", **of) == 2
    assert page("grpc_server_msg_sent_total", **of) == 5
    assert page("grpc_server_handled_total", grpc_code="OK", **of) == 1
    assert page("grpc_server_handled_total", grpc_code="ResourceExhausted", **of) == 1
    assert 4 * 100_000 / 3 < page("etcd_network_client_grpc_sent_bytes_total") < len(reply.body)
    for version in ("3.5", "unknown"):
        assert page("etcd_server_client_requests_total", type="stream", client_api_version=version) == 1


async def test_a_watch_counts_its_messages_and_ends_when_the_client_goes(port: int, node: FakeNode) -> None:
    of = {"grpc_service": "etcdserverpb.Watch", "grpc_method": "Watch", "grpc_type": "bidi_stream"}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"create_request":{"key":"YQ=="}}{"create_request":{"key":"Yg=="}}'
    writer.write(encode("/v3/watch", body))
    for _ in range(2):
        await reader.readuntil(b'"created":true}}\n')
    page = await scrape(port)
    assert page("grpc_server_started_total", **of) == 1
    assert page("grpc_server_msg_received_total", **of) == page("grpc_server_msg_sent_total", **of) == 2
    assert page("etcd_network_client_grpc_received_bytes_total") == len(body)
    assert page("grpc_server_handled_total", grpc_code="Canceled", **of) == 0
    writer.transport.abort()
    while not page("grpc_server_handled_total", grpc_code="Canceled", **of):
        page = await scrape(port)
    await call(port, "/v3/watch", b"{")
    assert (await scrape(port))("grpc_server_handled_total", grpc_code="Unknown", **of) == 1


async def test_messages_that_go_out_together_are_counted_one_by_one(port: int, node: FakeNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode("/v3/watch", b'{"create_request":{"key":"YQ=="}}'))
    lines = [await reader.readuntil(b"}\n")]
    for _ in range(5):
        await node.propose(PutRequest(b"a"))
    for _ in range(5):
        await reader.readline()  # the end of a chunk
        await reader.readline()
        lines.append(await reader.readuntil(b"}\n"))
    page = await scrape(port)
    of = {"grpc_service": "etcdserverpb.Watch", "grpc_method": "Watch", "grpc_type": "bidi_stream"}
    assert page("grpc_server_msg_sent_total", **of) == 6
    sent = sum(len(line.rpartition(b"\r\n")[2]) for line in lines)
    assert page("etcd_network_client_grpc_sent_bytes_total") == sent
    writer.transport.abort()


async def test_a_version_that_is_no_text_does_not_take_the_page_from_all(port: int) -> None:
    head = b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
    await exchange(port, head + b"Grpc-Metadata-client-api-version: \xff\r\n\r\n{}")
    page = await scrape(port)
    assert page("etcd_server_client_requests_total", type="unary", client_api_version="?") == 1
    long = "Grpc-Metadata-client-api-version: " + "9" * 60_000 + "\r\n"
    await call(port, "/v3/kv/range", b"{}", headers=long)
    page = await scrape(port)
    assert page("etcd_server_client_requests_total", type="unary", client_api_version="9" * 32) == 1


async def test_a_long_answer_counts_with_all_its_bytes(port: int, node: FakeNode) -> None:
    for i in range(500):
        node.machine.store.put(PutRequest(b"%d" % i, bytes(1000)))
    await call(port, "/v3/kv/range", b'{"key":"AA==","range_end":"AA=="}')
    sent = (await scrape(port))("etcd_network_client_grpc_sent_bytes_total")
    assert sent > 4 * 500_000 / 3


async def test_clients_can_t_fill_memory_with_versions(port: int) -> None:
    for version in range(40):
        await call(port, "/v3/kv/range", b"{}", headers=f"Grpc-Metadata-client-api-version: {version}\r\n")
    page = await scrape(port)
    told = [name for name, _ in page.samples if name == "etcd_server_client_requests_total"]
    assert 32 <= len(told) <= 33
    assert page("etcd_server_client_requests_total", type="unary", client_api_version="unknown") == 8


async def test_the_times_of_calls_are_shown_on_demand() -> None:
    async with scraped(FakeNode(Config(metrics="extensive")), Traffic()) as (port, _):
        await call(port, "/v3/kv/range", b'{"key":"YQ=="}')
        page = await scrape(port)
    of = {"grpc_service": "etcdserverpb.KV", "grpc_method": "Range", "grpc_type": "unary"}
    assert page("grpc_server_handling_seconds_count", **of) == 1
    assert page("grpc_server_handling_seconds_bucket", le="0.005", **of) <= 1
    assert page("grpc_server_handling_seconds_bucket", le="+Inf", **of) == 1


# ---------------------------------------------------------------- the member


async def test_the_state_of_a_member_is_told(port: int, node: FakeNode) -> None:
    await call(port, "/v3/kv/put", b'{"key":"YQ==","value":"YWE="}')
    await call(port, "/v3/kv/range", b'{"key":"YQ=="}')
    await call(port, "/v3/kv/deleterange", b'{"key":"YQ=="}')
    two = b'{"success":[{"request_put":{"key":"YQ=="}},{"request_range":{"key":"YQ=="}}]}'
    await call(port, "/v3/kv/txn", two)
    await call(port, "/v3/kv/compaction", b'{"revision":4}')
    await call(port, "/v3/maintenance/hashkv")
    await call(port, "/v3/maintenance/defragment")
    page = await scrape(port)
    assert page("etcd_server_id", server_id=f"{MEMBER:x}") == 1
    assert page("etcd_server_version", server_version="3.5.1") == 1
    assert page("etcd_cluster_version", cluster_version="3.5") == 1
    assert (page("etcd_server_has_leader"), page("etcd_server_is_leader")) == (1, 1)
    assert page("etcd_server_is_learner") == 0
    assert page("etcd_server_proposals_applied_total") == node.applied_index
    assert page("etcd_server_quota_backend_bytes") == 2**31
    assert page("etcd_mvcc_put_total") == 2
    assert page("etcd_mvcc_delete_total") == 1
    assert page("etcd_mvcc_range_total") == page("etcd_debugging_mvcc_range_total") == 2
    assert page("etcd_mvcc_txn_total") == 1
    assert page("etcd_debugging_mvcc_total_put_size_in_bytes") == 3 + 1
    assert page("etcd_debugging_mvcc_keys_total") == 1
    assert page("etcd_debugging_mvcc_current_revision") == page("etcd_debugging_mvcc_compact_revision") == 4
    assert page("etcd_debugging_mvcc_db_compaction_keys_total") == 2
    assert page("etcd_mvcc_hash_rev_duration_seconds_count") == 1
    assert page("etcd_disk_backend_defrag_duration_seconds_count") == 1
    assert page("etcd_disk_defrag_inflight") == 0
    assert page("raftkv_step_duration_seconds_count") == sum(node.steps.histogram) - 1
    node.leader, node.learners = NO_NODE, (MEMBER,)
    page = await scrape(port)
    assert (page("etcd_server_has_leader"), page("etcd_server_is_leader")) == (0, 0)
    assert page("etcd_server_is_learner") == 1


async def test_watches_are_told_of(port: int, node: FakeNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode("/v3/watch", b'{"create_request":{"key":"YQ=="}}{"create_request":{"key":"Yg=="}}'))
    for _ in range(2):
        await reader.readuntil(b'"created":true}}\n')
    await call(port, "/v3/kv/put", b'{"key":"YQ=="}')
    node.watches.step()
    await reader.readuntil(b'"events"')
    page = await scrape(port)
    assert page("etcd_debugging_mvcc_watch_stream_total") == 1
    assert page("etcd_debugging_mvcc_watcher_total") == 2
    assert page("etcd_debugging_mvcc_events_total") == 1
    assert (
        page("etcd_debugging_mvcc_slow_watcher_total")
        == page("etcd_debugging_mvcc_pending_events_total")
        == 0
    )
    writer.transport.abort()
    while page("etcd_debugging_mvcc_watch_stream_total"):
        page = await scrape(port)
    assert page("etcd_debugging_mvcc_watcher_total") == 0


async def test_leases_are_counted(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path, size=1) as cluster:
        await cluster.leader()
        clients = api.build(cluster.node(1), lambda: 1e9)
        await clients.start(["http://127.0.0.1:0"])
        port = clients.addresses[0][1]
        for lease in (b"7", b"8"):
            await call(port, "/v3/lease/grant", b'{"TTL":60,"ID":%s}' % lease)
        for lease in (b"7", b"9"):
            await call(port, "/v3/lease/keepalive", b'{"ID":%s}' % lease)
        await call(port, "/v3/lease/revoke", b'{"ID":8}')
        page = await scrape(port)
        await clients.stop()
    assert page("etcd_debugging_lease_granted_total") == 2
    assert page("etcd_debugging_lease_renewed_total") == 1
    assert page("etcd_debugging_lease_revoked_total") == 1
    assert page("etcd_debugging_server_lease_expired_total") == 0


async def test_looks_at_the_health_are_counted(port: int, node: FakeNode) -> None:
    await call(port, "/health", method="GET")
    await node.propose(AlarmRequest(AlarmAction.ACTIVATE, MEMBER, AlarmType.CORRUPT))
    for path in ("/health", "/health", "/livez", "/readyz"):
        await call(port, path, method="GET")
    page = await scrape(port)
    assert (page("etcd_server_health_success"), page("etcd_server_health_failures")) == (1, 2)
    corruption = {"type": "readyz", "name": "data_corruption"}
    assert page("etcd_server_healthcheck", **corruption) == 0
    assert page("etcd_server_healthchecks_total", status="error", **corruption) == 1
    assert page("etcd_server_healthcheck", type="livez", name="serializable_read") == 1


async def test_the_process_is_told_of() -> None:
    async with scraped(FakeNode(), Traffic()) as (port, _):
        first, second = await scrape(port), await scrape(port)
    for name in ("process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds"):
        assert second(name) > 0
    assert 0 < first("process_cpu_seconds_total") < second("process_cpu_seconds_total")
    assert first("process_start_time_seconds") == second("process_start_time_seconds") > 1.7e9
    assert second("os_fd_used") <= second("os_fd_limit") == second("process_max_fds")


async def test_peers_are_told_apart_by_their_ids() -> None:
    traffic = Traffic()
    peer = traffic.of(OTHER)
    peer.sent_bytes, peer.received_bytes, peer.dropped = 10, 20, 3
    peer.connected, peer.disconnects = True, 2
    peer.round_trips.observe(0.00015)
    async with scraped(FakeNode(), traffic) as (port, _):
        page = await scrape(port)
    assert page("etcd_network_peer_sent_bytes_total", To="ab") == 10
    assert page("etcd_network_peer_received_bytes_total", From="ab") == 20
    assert page("etcd_network_peer_sent_failures_total", To="ab") == 3
    both = {"Local": f"{MEMBER:x}", "Remote": "ab"}
    assert page("etcd_network_active_peers", **both) == 1
    assert page("etcd_network_disconnected_peers_total", **both) == 2
    found = [
        page("etcd_network_peer_round_trip_time_seconds_bucket", To="ab", le=bound)
        for bound in ("0.0001", "0.0002", "3.2768", "+Inf")
    ]
    assert found == [0, 1, 1, 1]


async def test_a_real_node_counts_what_it_does(tmp_path: Path) -> None:
    async with LoopbackCluster(tmp_path) as cluster:
        leader = await cluster.leader()
        for i in range(10):
            await cluster.node(leader).propose(PutRequest(b"%d" % i))
        await cluster.converged()
        for member in cluster.ids:
            clients = api.build(cluster.node(member), lambda: 1e9)
            await clients.start(["http://127.0.0.1:0"])
            page = await scrape(clients.addresses[0][1])
            await clients.stop()
            assert page("etcd_server_leader_changes_seen_total") >= 1
            assert page("etcd_server_is_leader") == (member == leader)
            assert page("etcd_server_proposals_committed_total") >= 13
            assert page("etcd_disk_wal_fsync_duration_seconds_count") > 0
            assert page("etcd_disk_wal_write_bytes_total") > 1000
            assert page("etcd_disk_backend_commit_duration_seconds_count") > 0
            assert page("etcd_mvcc_put_total") == 10
            assert page("etcd_server_proposals_failed_total") == 0


# ---------------------------------------------------------------- where


async def test_who_watches_has_a_port_with_metrics_and_health_and_nothing_else() -> None:
    node = FakeNode(Config(host_whitelist=("elsewhere",)))
    async with scraped(node, Traffic()) as (_, port):
        assert (await scrape(port))("etcd_server_has_leader") == 1
        for path in ("/health", "/livez", "/readyz", "/readyz/non_learner"):
            reply = await call(port, path, method="GET")
            assert reply.status == "HTTP/1.1 200 OK"
            assert not set(CORS) & reply.headers
        for path in ("/version", "/v3/kv/range", "/raftkv/v1/status", "/debug/vars", "/"):
            for method in ("GET", "POST"):
                assert (await call(port, path, method=method)).body == b"404 page not found\n"
        assert "405" in (await call(port, "/health")).status


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
async def test_metrics_are_told_whatever_the_method(port: int, method: str) -> None:
    data = await exchange(port, encode("/metrics", method=method, headers="Connection: close\r\n"))
    assert data.startswith(b"HTTP/1.1 200 OK")
    assert (b"etcd_server_has_leader 1" in data) == (method != "HEAD")


# ---------------------------------------------------------------- the format


def test_names_labels_and_numbers_are_written_as_the_format_wants_them() -> None:
    seconds = Histogram(exponential(0.5, 2, 2))
    for value in (0.5, 0.6, 1.0, 7.0):
        seconds.observe(value)
    page = render(
        [
            gauge("b", "Text.", 1.5, name='a "quoted"\\\n'),
            histogram("h", "Times.", seconds, to="x"),
            gauge("a", "Large.", float("inf")),
            counters("unseen", "Nothing.", []),
        ]
    )
    assert page.decode().splitlines() == [
        "# HELP a Large.",
        "# TYPE a gauge",
        "a +Inf",
        "# HELP b Text.",
        "# TYPE b gauge",
        r'b{name="a \"quoted\"\\\n"} 1.5',
        "# HELP h Times.",
        "# TYPE h histogram",
        'h_bucket{to="x",le="0.5"} 1',
        'h_bucket{to="x",le="1"} 3',
        'h_bucket{to="x",le="+Inf"} 4',
        'h_sum{to="x"} 9.1',
        'h_count{to="x"} 4',
    ]


def test_strangers_can_t_fill_memory_with_ids() -> None:
    traffic = Traffic()
    for peer in range(1000):
        traffic.of(peer).received_bytes += 1
    assert len(traffic.peers) == Traffic.most
    assert traffic.of(3).received_bytes == 1
