"""What a member is started with, checked before anything is touched; names and defaults as etcd's.

Also the ids that follow from it: a member's is made from its peer URLs and the cluster's token, and the
cluster's from those of its initial members, as in etcd, so that equal flags give equal ids everywhere.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from raftkv.errors import ConfigError
from raftkv.node.auto_compaction import duration_of, policy_of

MAX_ELECTION_TIMEOUT = 50_000
"""Milliseconds; etcd's limit."""

MAX_REQUEST_BYTES = 32 * 1024 * 1024
"""A request has to fit, with others, into one frame between members."""

DEFAULT_QUOTA_BYTES = 2 * 1024 * 1024 * 1024
"""What ``--quota-backend-bytes 0`` stands for."""

SHORTEST_PROGRESS_INTERVAL = 0.1

NUMBERS = frozenset(
    {
        "heartbeat_interval",
        "election_timeout",
        "max_request_bytes",
        "max_txn_ops",
        "snapshot_count",
        "quota_backend_bytes",
    }
)
"""Fields that hold a whole number."""

LISTS = frozenset({"cors", "host_whitelist"})
"""Fields that hold texts with commas between."""

SWITCHES = frozenset(
    {
        "chaos",
        "check_rules",
        "enable_raftkv_api",
        "experimental_enable_lease_checkpoint",
        "experimental_enable_lease_checkpoint_persist",
        "lease_reads",
        "strict_reconfig_check",
    }
)
"""Fields that are true or false."""

METRICS = ("basic", "extensive")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One member's configuration. Times are milliseconds, sizes bytes, URLs ``http://host:port``."""

    name: str = "default"
    data_dir: str = ""
    listen_client_urls: tuple[str, ...] = ("http://localhost:2379",)
    advertise_client_urls: tuple[str, ...] = ("http://localhost:2379",)
    listen_peer_urls: tuple[str, ...] = ("http://localhost:2380",)
    initial_advertise_peer_urls: tuple[str, ...] = ("http://localhost:2380",)
    initial_cluster: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"default": ("http://localhost:2380",)}
    )
    initial_cluster_state: str = "new"
    initial_cluster_token: str = "etcd-cluster"  # noqa: S105 - a name, no secret
    heartbeat_interval: int = 100
    election_timeout: int = 1000
    max_request_bytes: int = 1_572_864
    max_txn_ops: int = 128
    snapshot_count: int = 100_000
    quota_backend_bytes: int = 0
    auto_compaction_mode: str = "periodic"
    auto_compaction_retention: str = "0"
    metrics: str = "basic"
    listen_metrics_urls: tuple[str, ...] = ()
    cors: tuple[str, ...] = ("*",)
    host_whitelist: tuple[str, ...] = ("*",)
    enable_raftkv_api: bool = True
    experimental_watch_progress_notify_interval: str = "10m"
    lease_reads: bool = False
    strict_reconfig_check: bool = True
    max_learners: int = 1
    experimental_enable_lease_checkpoint: bool = False
    experimental_enable_lease_checkpoint_persist: bool = False  # a checkpoint always outlasts restarts
    check_rules: bool = False
    record_core: str = ""
    chaos: bool = False
    chaos_token_file: str = ""
    chaos_token: str = field(default="", repr=False)  # of the environment: a command line can be seen by all
    log_level: str = "info"
    log_format: str = "text"

    def __post_init__(self) -> None:
        """Refuse what can't work, naming the flag."""
        if not self.name:
            raise ConfigError("--name is empty: give each member a name of its own")
        if not self.name.isprintable():
            raise ConfigError(f"--name {self.name!a}: use printable characters")
        self._check_urls()
        self._check_cluster()
        self._check_times()
        policy_of(self.auto_compaction_mode, self.auto_compaction_retention)
        if (
            self.experimental_enable_lease_checkpoint_persist
            and not self.experimental_enable_lease_checkpoint
        ):
            raise ConfigError(
                "--experimental-enable-lease-checkpoint-persist needs --experimental-enable-lease-checkpoint"
            )
        self._check_progress_interval()
        self._check_chaos()
        if self.metrics not in METRICS:
            raise ConfigError(f"--metrics {self.metrics!r}: use one of {', '.join(METRICS)}")
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(f"--log-level {self.log_level!r}: use one of {', '.join(LOG_LEVELS)}")
        if self.log_format not in LOG_FORMATS:
            raise ConfigError(f"--log-format {self.log_format!r}: use one of {', '.join(LOG_FORMATS)}")
        if self.max_request_bytes > MAX_REQUEST_BYTES:
            raise ConfigError(f"--max-request-bytes {self.max_request_bytes}: at most {MAX_REQUEST_BYTES}")
        for flag, value in (
            ("max-request-bytes", self.max_request_bytes),
            ("max-txn-ops", self.max_txn_ops),
            ("snapshot-count", self.snapshot_count),
        ):
            if value <= 0:
                raise ConfigError(f"--{flag} {value}: it has to be above 0")

    @classmethod
    def from_flags(cls, given: Mapping[str, str]) -> "Config":
        """Return the configuration for flags given as text, by field name. Raises ConfigError."""
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name not in cls.__dataclass_fields__:
                raise ConfigError(f"--{name.replace('_', '-')}: there is no such flag")
            if name == "initial_cluster":
                values[name] = parse_initial_cluster(text)
            elif name.endswith("_urls"):
                values[name] = parse_urls(text)
            elif name in LISTS:
                values[name] = tuple(part for part in text.split(",") if part)
            elif name in NUMBERS:
                values[name] = _parse_number(name, text)
            elif name in SWITCHES:
                values[name] = _parse_switch(name, text)
            else:
                values[name] = text
        if "initial_cluster" not in values:
            default = cls.__dataclass_fields__["initial_advertise_peer_urls"].default
            urls = values.get("initial_advertise_peer_urls", default)
            values["initial_cluster"] = {values.get("name", "default"): urls}
        return cls(**values)

    @property
    def data_folder(self) -> str:
        """Where this member keeps its data: ``--data-dir``, by default NAME.raftkv."""
        return self.data_dir or f"{self.name}.raftkv"

    @property
    def quota_bytes(self) -> int:
        """How large the data may grow, in bytes; below 0 = no limit."""
        return self.quota_backend_bytes or DEFAULT_QUOTA_BYTES

    @property
    def progress_interval(self) -> float:
        """Seconds between two progress notifications of a watch; at least 0.1, as in etcd."""
        seconds = duration_of(self.experimental_watch_progress_notify_interval)
        return max(seconds or 0.0, SHORTEST_PROGRESS_INTERVAL)

    @property
    def election_ticks(self) -> int:
        """The least election time-out in heartbeat intervals."""
        return self.election_timeout // self.heartbeat_interval

    @property
    def min_lease_ttl(self) -> int:
        """The least seconds of a lease: one and a half election time-outs, rounded up, as etcd."""
        return ceil(3 * self.election_ticks // 2 * self.heartbeat_interval / 1000)

    @property
    def request_timeout(self) -> float:
        """Seconds until a request is answered "timed out": 5 s and two election time-outs, as etcd."""
        return 5.0 + 2 * self.election_timeout / 1000

    def _check_progress_interval(self) -> None:
        interval = self.experimental_watch_progress_notify_interval
        if not duration_of(interval):
            raise ConfigError(
                f"--experimental-watch-progress-notify-interval {interval!r}: use a duration such as 10m"
            )

    def _check_chaos(self) -> None:
        if self.chaos_token_file and not self.chaos:
            raise ConfigError(f"--chaos-token-file {self.chaos_token_file}: it is of no use without --chaos")
        if self.chaos and not self.enable_raftkv_api:
            raise ConfigError("--chaos needs --enable-raftkv-api: its verbs are under /raftkv/v1/")

    def _check_urls(self) -> None:
        for flag, urls in (
            ("listen-client-urls", self.listen_client_urls),
            ("advertise-client-urls", self.advertise_client_urls),
            ("listen-peer-urls", self.listen_peer_urls),
            ("initial-advertise-peer-urls", self.initial_advertise_peer_urls),
        ):
            if not urls:
                raise ConfigError(f"--{flag} is empty: give at least one http://HOST:PORT")
            for url in urls:
                check_url(flag, url)
        for url in self.listen_metrics_urls:
            check_url("listen-metrics-urls", url)
        for origin in self.cors:
            check_origin(origin)

    def _check_cluster(self) -> None:
        if self.initial_cluster_state not in ("new", "existing"):
            raise ConfigError(f"--initial-cluster-state {self.initial_cluster_state!r}: use new or existing")
        for urls in self.initial_cluster.values():
            for url in urls:
                check_url("initial-cluster", url)
        own = self.initial_cluster.get(self.name)
        if own is None:
            names = ", ".join(self.initial_cluster)
            raise ConfigError(
                f"--name {self.name!r} is not in --initial-cluster ({names}): use one of these names, "
                f"or add {self.name}=URL to the list"
            )
        if sorted(own) != sorted(self.initial_advertise_peer_urls):
            raise ConfigError(
                f"--initial-cluster has {','.join(own)} for {self.name}, but "
                f"--initial-advertise-peer-urls is {','.join(self.initial_advertise_peer_urls)}: "
                f"they have to be the same"
            )

    def _check_times(self) -> None:
        heartbeat, election = self.heartbeat_interval, self.election_timeout
        if heartbeat <= 0:
            raise ConfigError(f"--heartbeat-interval {heartbeat}: it has to be above 0 ms")
        if election < 5 * heartbeat:
            raise ConfigError(
                f"--election-timeout {election}: it has to be at least 5 times --heartbeat-interval "
                f"({heartbeat}), or members would stand for election while a leader is well"
            )
        if election > MAX_ELECTION_TIMEOUT:
            raise ConfigError(f"--election-timeout {election}: at most {MAX_ELECTION_TIMEOUT} ms")


def _parse_number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"--{name.replace('_', '-')} {text!r}: it has to be a whole number") from None


def _parse_switch(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ConfigError(f"--{name.replace('_', '-')} {text!r}: use true or false")
    return text == "true"


def check_url(flag: str, url: str) -> None:
    """Raise ConfigError unless ``url`` is http://HOST:PORT."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme == "http" and bool(parts.hostname) and parts.port is not None
    except ValueError:
        fits = False
    else:
        fits = fits and not (parts.path or parts.query or parts.fragment)
    if not fits:
        raise ConfigError(f"--{flag} {url!r}: it has to be http://HOST:PORT, without a path")


def check_origin(text: str) -> None:
    """Raise ConfigError unless ``text`` is * or an origin as browsers name it, with its port."""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port is not None
    except ValueError:
        fits = False
    else:
        fits = fits and not (parts.path or parts.query or parts.fragment)
    if text != "*" and not fits:
        raise ConfigError(f"--cors {text!r}: it has to be * or http(s)://HOST:PORT, without a path")


def parse_urls(text: str) -> tuple[str, ...]:
    """Return the URLs of a comma-separated list."""
    return tuple(url.strip().rstrip("/") for url in text.split(",") if url.strip())


def parse_initial_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """Return name -> peer URLs from ``n1=URL,n2=URL,...``; a name may come several times."""
    cluster: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        name, equals, url = part.strip().partition("=")
        if not (name and equals and url):
            raise ConfigError(f"--initial-cluster: {part!r} is not NAME=URL")
        cluster[name] = (*cluster.get(name, ()), url.rstrip("/"))
    return cluster


def member_id(peer_urls: Iterable[str], token: str) -> int:
    """Return an initial member's id: SHA-1 of its sorted peer URLs and the token, first 8 bytes.

    For one that is added later, the unix time in whole seconds takes the place of the token, as in etcd.
    """
    digest = hashlib.sha1("".join(sorted(peer_urls)).encode() + token.encode(), usedforsecurity=False)
    return int.from_bytes(digest.digest()[:8], "big")


def cluster_id(member_ids: Iterable[int]) -> int:
    """Return the cluster's id: SHA-1 of the sorted ids of its initial members, first 8 bytes."""
    packed = b"".join(member.to_bytes(8, "big") for member in sorted(member_ids))
    return int.from_bytes(hashlib.sha1(packed, usedforsecurity=False).digest()[:8], "big")
