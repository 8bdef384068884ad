"""The flags of ``raftkv serve``: etcd's names and defaults, each also as ``RAFTKV_...``."""

import argparse
from collections.abc import Mapping
from typing import NamedTuple

from raftkv.errors import ConfigError

PREFIX = "RAFTKV_"
OTHER_VARIABLES = frozenset({"RAFTKV_DATA", "RAFTKV_PORTS", "RAFTKV_PROGRAM"})
"""Variables of the verbs for the local cluster; ``serve`` does not read them."""

CHAOS_TOKEN = "RAFTKV_CHAOS_TOKEN"  # noqa: S105 - a name, no secret
"""A variable that is no flag, for everybody on the machine sees a command line."""


class Flag(NamedTuple):
    """One flag. ``default`` is the text shown in the help; the value is set by the configuration."""

    name: str
    default: str
    help: str
    alone: str | None = None
    """What the flag means without a value; None: it needs one."""

    @property
    def field(self) -> str:
        """Name of the field in the configuration."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return PREFIX + self.field.upper()


FLAGS = (
    Flag("name", "default", "this member's name"),
    Flag("data-dir", "NAME.raftkv", "folder of this member's log; nobody else may use it"),
    Flag("listen-client-urls", "http://localhost:2379", "where clients are served, with commas between"),
    Flag("advertise-client-urls", "http://localhost:2379", "client URLs told to others in the member list"),
    Flag("listen-peer-urls", "http://localhost:2380", "where the other members are served"),
    Flag("initial-advertise-peer-urls", "http://localhost:2380", "this member's peer URLs, for the others"),
    Flag(
        "initial-cluster",
        "NAME=http://localhost:2380",
        "n1=URL,n2=URL,...: all members when this one starts first",
    ),
    Flag("initial-cluster-state", "new", "new, or existing: join the cluster that runs"),
    Flag("initial-cluster-token", "etcd-cluster", "goes into the ids, so that two clusters differ"),
    Flag("strict-reconfig-check", "true", "refuse changes of the members that may lose the quorum"),
    Flag("heartbeat-interval", "100", "milliseconds between heartbeats of a leader"),
    Flag("election-timeout", "1000", "milliseconds without a leader before an election"),
    Flag("max-txn-ops", "128", "operations allowed in one txn"),
    Flag("max-request-bytes", "1572864", "largest request in bytes"),
    Flag("snapshot-count", "100000", "applied entries after which a snapshot is taken and the log cut"),
    Flag("quota-backend-bytes", "0", "how large the data may grow; 0: 2 GiB, negative: no limit"),
    Flag("auto-compaction-mode", "periodic", "periodic (by time) or revision (by number of revisions)"),
    Flag("auto-compaction-retention", "0", "history kept: hours, a duration (30m), or revisions; 0: all"),
    Flag("metrics", "basic", "basic, or extensive: with how long calls took"),
    Flag("listen-metrics-urls", "(none)", "where metrics and health are served too, and nothing else"),
    Flag("cors", "*", "origins (http://HOST:PORT, ...) whose pages may read answers; *: all"),
    Flag("host-whitelist", "*", "names (the Host header) under which clients may call; *: all"),
    Flag("enable-raftkv-api", "true", "false: no pages under /raftkv/v1/, which show data to all who ask"),
    Flag("experimental-watch-progress-notify-interval", "10m", "time between two words of an idle watch"),
    Flag(
        "experimental-enable-lease-checkpoint",
        "false",
        "true: every five minutes the leader logs how long leases have left, for the next leader",
    ),
    Flag(
        "experimental-enable-lease-checkpoint-persist",
        "false",
        "taken for etcd's sake: a checkpoint always outlasts restarts",
    ),
    Flag("lease-reads", "false", "true: a leader serves reads by its clock; see docs/decisions/005"),
    Flag("check-rules", "false", "true: hold every step against the rules of Raft; slow, for finding bugs"),
    Flag("record-core", "(none)", "a new file for a record of every call of the core; for finding bugs"),
    Flag("chaos", "false", "true: take orders to have faults, see docs/api.md; for tests only", alone="true"),
    Flag("chaos-token-file", "(none)", "a file with the token for --chaos, which only its owner may read"),
    Flag("log-level", "info", "debug, info, warning or error"),
    Flag("log-format", "text", "text or json"),
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add every flag; absent ones stay None, so that the environment can fill them."""
    group = parser.add_argument_group("flags", f"each also as {PREFIX}..., e.g. {FLAGS[1].variable}")
    for flag in FLAGS:
        text = f"{flag.help} (default: {flag.default})"
        group.add_argument(
            f"--{flag.name}",
            dest=flag.field,
            metavar="VALUE",
            default=None,
            help=text,
            nargs=None if flag.alone is None else "?",
            const=flag.alone,
        )


def settings(arguments: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """Merge the command line and the environment into the fields that were given.

    Raises ``ConfigError`` when a flag and its variable are both given, as etcd does.
    """
    given: dict[str, str] = {}
    for flag in FLAGS:
        value: str | None = getattr(arguments, flag.field)
        if value is not None and flag.variable in environ:
            raise ConfigError(
                f"--{flag.name} is given and {flag.variable} is set in the environment; use one of them"
            )
        value = environ.get(flag.variable) if value is None else value
        if value is not None:
            given[flag.field] = value
    if CHAOS_TOKEN in environ:
        given["chaos_token"] = environ[CHAOS_TOKEN]
    return given


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the ``RAFTKV_...`` variables that mean nothing: probably misspelt."""
    known = {flag.variable for flag in FLAGS} | OTHER_VARIABLES | {CHAOS_TOKEN}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
