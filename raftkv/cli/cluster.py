"""The verbs for the local cluster: up, down, ps, status, logs, kill, stop, restart, clean."""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from raftkv.cli.exits import Exit
from raftkv.cli.output import duration, print_json, print_table, say
from raftkv.local import ClusterView, LocalCluster, MemberProcess, default_root
from raftkv.local.errors import verb
from raftkv.local.launch import tail
from raftkv.local.layout import parse_ports

_EXAMPLE = """\
try:
  curl -s {url}/v3/kv/put -d '{{"key":"Zm9v","value":"YmFy"}}'
  curl -s {url}/v3/kv/range -d '{{"key":"Zm9v"}}'
"""


def run(name: str, arguments: argparse.Namespace) -> int:
    """Run one of the verbs of this module."""
    root = Path(arguments.data) if arguments.data else default_root(os.environ, Path.cwd())
    if name == "up":
        return _up(root, arguments)
    cluster = LocalCluster.open(root, say)
    actions = {
        "down": _down,
        "ps": _ps,
        "status": _status,
        "logs": _logs,
        "kill": _kill,
        "stop": _stop,
        "restart": _restart,
        "clean": _clean,
    }
    return actions[name](cluster, arguments)


def _up(root: Path, arguments: argparse.Namespace) -> int:
    text = arguments.ports or os.environ.get("RAFTKV_PORTS", "")
    ports = parse_ports(text) if text else ()
    size = arguments.size if arguments.size is not None or not ports else len(ports) // 2
    cluster = LocalCluster.open_or_create(root, size, ports, say=say)
    started = cluster.up()
    view = cluster.look()
    if arguments.json:
        print_json({"started": started, **_as_json(cluster, view)})
        return Exit.OK
    if not started:
        say("the cluster is already running; nothing was changed")
    _print_view(cluster, view)
    print()
    print(_EXAMPLE.format(url=cluster.layout.members[0].client_url), end="")
    return Exit.OK


def _down(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    stopped = cluster.down()
    kept = f"the data stays in {cluster.layout.root}"
    print(f"stopped {', '.join(stopped)}; {kept}" if stopped else f"no member was running; {kept}")
    return Exit.OK


def _ps(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    members = cluster.processes()
    if arguments.json:
        print_json([_process_json(member) for member in members])
        return Exit.OK
    rows = [
        (
            member.name,
            "running" if member.pid else "not running",
            member.pid,
            duration(member.uptime),
            member.client_url,
            member.peer_url,
            member.data,
        )
        for member in members
    ]
    print_table(("NAME", "STATE", "PID", "UP", "CLIENT URL", "PEER URL", "DATA"), rows)
    return Exit.OK


def _status(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    view = cluster.look()
    if arguments.json:
        print_json(_as_json(cluster, view))
    else:
        _print_view(cluster, view)
    if view.healthy:
        return Exit.OK
    say("the cluster has no leader" if not view.leader else f"led by {view.leader}, but not all are healthy")
    return Exit.UNREACHABLE if view.leader else Exit.NO_LEADER


def _logs(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    log = cluster.layout.log(cluster.layout.member(arguments.name))
    last = tail(log, max(0, arguments.lines))
    for line in last.lines:
        print(line)
    if arguments.follow:
        sys.stdout.flush()
        _follow(log, last.end)
    return Exit.OK


def _follow(log: Path, offset: int) -> None:
    with log.open("rb") as file:
        file.seek(offset)
        while True:
            if data := file.read():
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            else:
                time.sleep(0.2)  # a file tells nobody that it has grown; `tail -f` asks as well


def _kill(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    return _ended(arguments.name, cluster.kill(arguments.name), "killed")


def _stop(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    return _ended(arguments.name, cluster.stop(arguments.name), "stopped")


def _ended(name: str, pid: int | None, how: str) -> int:
    if pid is None:
        print(f"{name} was not running")
    else:
        print(f"{how} {name} (pid {pid}); start it again with: {verb(f'restart {name}')}")
    return Exit.OK


def _restart(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    healthy = cluster.restart(arguments.name)
    pid = next(member.pid for member in cluster.processes() if member.name == arguments.name)
    if healthy:
        print(f"{arguments.name} is running again (pid {pid})")
        return Exit.OK
    print(f"{arguments.name} is running again (pid {pid}), but there is no leader: too few members run")
    return Exit.NO_LEADER


def _clean(cluster: LocalCluster, arguments: argparse.Namespace) -> int:
    root = cluster.layout.root
    cluster.check_stopped()
    if not arguments.yes and not _confirmed(f"remove all data of the cluster in {root}? [y/N] "):
        say(f"nothing was removed; to remove it without a question: {verb('clean --yes')}")
        return Exit.USAGE
    left = cluster.clean()
    print(f"removed the cluster in {root}")
    for path in left:
        say(f"left {path}: raftkv did not make it")
    return Exit.OK


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _print_view(cluster: LocalCluster, view: ClusterView) -> None:
    rows = []
    for member, process in zip(view.members, cluster.processes(), strict=True):
        known = bool(member.member_id)
        health = _health(member.reason, process)
        rows.append(
            (
                member.name,
                member.role,
                member.term if known else None,
                member.commit if known else None,
                member.applied if known else None,
                view.lag(member),
                health,
                member.client_url,
                process.pid,
                process.data,
            )
        )
    header = ("NAME", "ROLE", "TERM", "COMMIT", "APPLIED", "LAG", "HEALTH", "CLIENT URL", "PID", "DATA")
    print_table(header, rows)


def _health(reason: str, process: MemberProcess) -> str:
    if not reason:
        return "healthy"
    return reason if process.pid else "not running"


def _as_json(cluster: LocalCluster, view: ClusterView) -> dict[str, Any]:
    members = [
        {
            **_process_json(process),
            # Ids are unsigned 64-bit numbers, which JSON readers round: as in etcd's API, they are text.
            "member_id": str(member.member_id),
            "role": member.role,
            "term": member.term,
            "commit": member.commit,
            "applied": member.applied,
            "lag": view.lag(member),
            "healthy": member.healthy,
            "reason": member.reason,
        }
        for member, process in zip(view.members, cluster.processes(), strict=True)
    ]
    return {"leader": view.leader, "healthy": view.healthy, "members": members}


def _process_json(process: MemberProcess) -> dict[str, Any]:
    return {
        "name": process.name,
        "pid": process.pid,
        "uptime": process.uptime,
        "client_url": process.client_url,
        "peer_url": process.peer_url,
        "data": str(process.data),
    }
