"""The configuration: what can't work is refused before anything is touched, naming the flag."""

import pytest

from raftkv.errors import ConfigError
from raftkv.node.config import Config, cluster_id, member_id, parse_initial_cluster

THREE = "n1=http://127.0.0.1:1,n2=http://127.0.0.1:2,n3=http://127.0.0.1:3"


def config(**given: str) -> Config:
    return Config.from_flags(given)


def test_defaults_are_etcds() -> None:
    defaults = config()
    assert defaults.name == "default"
    assert defaults.listen_client_urls == ("http://localhost:2379",)
    assert dict(defaults.initial_cluster) == {"default": ("http://localhost:2380",)}
    assert (defaults.heartbeat_interval, defaults.election_timeout) == (100, 1000)
    assert (defaults.max_request_bytes, defaults.max_txn_ops) == (1_572_864, 128)
    assert defaults.request_timeout == 7.0


def test_the_initial_cluster_follows_name_and_peer_urls_where_it_is_not_given() -> None:
    only = config(name="n1", initial_advertise_peer_urls="http://127.0.0.1:1")
    assert dict(only.initial_cluster) == {"n1": ("http://127.0.0.1:1",)}


def test_several_urls_of_a_name_are_joined() -> None:
    cluster = parse_initial_cluster("n1=http://a:1,n2=http://b:1,n1=http://a:2")
    assert cluster == {"n1": ("http://a:1", "http://a:2"), "n2": ("http://b:1",)}


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"name": ""}, "--name"),
        ({"name": "n9", "initial_cluster": THREE}, "--name 'n9' is not in --initial-cluster"),
        ({"name": "n1", "initial_cluster": THREE}, "--initial-advertise-peer-urls"),
        ({"initial_cluster": "n1"}, "--initial-cluster: 'n1' is not NAME=URL"),
        ({"initial_cluster": "n1=ftp://a:1"}, "--initial-cluster"),
        ({"initial_cluster_state": "old"}, "--initial-cluster-state 'old'"),
        ({"listen_client_urls": ""}, "--listen-client-urls is empty"),
        ({"listen_client_urls": "http://127.0.0.1"}, "--listen-client-urls"),
        ({"listen_client_urls": "http://127.0.0.1:99999"}, "--listen-client-urls"),
        ({"listen_client_urls": "http://127.0.0.1:1/path"}, "--listen-client-urls"),
        ({"advertise_client_urls": "127.0.0.1:1"}, "--advertise-client-urls"),
        ({"listen_peer_urls": "http://:1"}, "--listen-peer-urls"),
        ({"heartbeat_interval": "0"}, "--heartbeat-interval 0"),
        ({"heartbeat_interval": "soon"}, "--heartbeat-interval 'soon'"),
        ({"election_timeout": "400"}, "--election-timeout 400"),
        ({"election_timeout": "60000"}, "--election-timeout 60000"),
        ({"metrics": "all"}, "--metrics 'all'"),
        ({"listen_metrics_urls": "http://127.0.0.1"}, "--listen-metrics-urls"),
        ({"log_level": "loud"}, "--log-level 'loud'"),
        ({"log_format": "xml"}, "--log-format 'xml'"),
        ({"max_txn_ops": "0"}, "--max-txn-ops 0"),
        ({"max_request_bytes": "-1"}, "--max-request-bytes -1"),
        ({"max_request_bytes": "100000000"}, "--max-request-bytes 100000000: at most"),
        ({"name": "n\udc80"}, "--name 'n\\udc80'"),
        (
            {"experimental_enable_lease_checkpoint_persist": "true"},
            "needs --experimental-enable-lease-checkpoint",
        ),
        ({"no_such": "1"}, "--no-such"),
    ],
)
def test_what_can_not_work_is_refused_by_flag(given: dict[str, str], flag: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(**given)
    assert flag in str(refused.value)


@pytest.mark.parametrize(
    ("heartbeat", "election", "seconds"), [(100, 1000, 2), (10, 100, 1), (100, 2000, 3), (500, 5000, 8)]
)
def test_a_lease_has_one_and_a_half_election_time_outs_at_least(
    heartbeat: int, election: int, seconds: int
) -> None:
    made = config(heartbeat_interval=str(heartbeat), election_timeout=str(election))
    assert made.min_lease_ttl == seconds


def test_ids_are_etcds() -> None:
    """Seen on a real etcd 3.5.1 started with these URLs and the token t1."""
    urls = [f"http://127.0.0.1:{port}" for port in (12380, 22380, 32380)]
    ids = [member_id([url], "etcd-cluster-1") for url in urls]
    assert [f"{i:x}" for i in ids] == ["8211f1d0f64f3269", "91bc3c398fb3c146", "fd422379fda50e48"]
    assert f"{cluster_id(ids):x}" == "ef37ad9dc622a7c4"
