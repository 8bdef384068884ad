"""The arguments of ``raftkv chaos``."""

import argparse
from collections.abc import Callable
from typing import Any

AddVerb = Callable[..., Any]


def add_chaos(verbs: Any, verb: AddVerb, positive: Callable[[str], int], as_json: Any) -> None:
    """Add the verb with its actions. ``verb`` makes one, ``positive`` reads a number above 0."""
    chaos = verbs.add_parser(
        "chaos",
        help="run real processes under faults and check what clients were told",
        description="Run real processes under faults, of raftkv or etcd, and check what clients were told.",
        allow_abbrev=False,
    )
    actions = chaos.add_subparsers(title="actions", metavar="ACTION", required=True)
    run = verb(actions, "run", "run one workload under faults", _run("run"), as_json)
    _add_system(run)
    run.add_argument("--workload", default="mixed", metavar="NAME", help="what clients do (default: mixed)")
    run.add_argument(
        "--faults", default="all", metavar="LIST", help="all, none, or groups: kill,pause,.. (default: all)"
    )
    run.add_argument("--time", default="60s", metavar="T", help="how long clients work (default: 60s)")
    run.add_argument("--out", required=True, metavar="DIR", help="a new folder for all that comes of it")
    _add_choices(run, positive)
    run.add_argument("--junit", metavar="FILE", help="write the JUnit report here too")
    _add_matrix(actions, verb, positive, as_json)
    check = verb(actions, "check", "check recorded runs again", _run("check"), as_json)
    check.add_argument("folders", nargs="+", metavar="DIR", help="the folder of a run")
    failover = verb(
        actions, "failover", "measure how soon writes go on after a leader's kill", _run("failover"), as_json
    )
    failover.add_argument(
        "--runs", type=positive, default=20, metavar="N", help="kills of each system (default: 20)"
    )
    failover.add_argument(
        "--systems", default="raftkv,etcd", metavar="LIST", help="in turns (default: raftkv,etcd)"
    )


def _add_system(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--system",
        default="raftkv",
        choices=("raftkv", "etcd", "external"),
        help="what is tested; external: who runs at --endpoints (default: raftkv)",
    )
    run.add_argument("--nodes", type=int, choices=(3, 5), default=3, help="nodes to begin with (default: 3)")
    run.add_argument(
        "--endpoints", action="append", default=[], metavar="URL,..", help="client URLs of an external system"
    )


def _add_choices(run: argparse.ArgumentParser, positive: Callable[[str], int]) -> None:
    run.add_argument("--seed", type=int, default=0, metavar="N", help="what is drawn (default: 0)")
    run.add_argument(
        "--through",
        choices=("http", "client"),
        default="http",
        help="how clients ask: each its own node, or with raftkv.client (default: http)",
    )
    run.add_argument(
        "--clients", type=positive, metavar="N", help="clients (default: 16 a node, where they queue two)"
    )


def _add_matrix(actions: Any, verb: AddVerb, positive: Callable[[str], int], as_json: Any) -> None:
    matrix = verb(actions, "matrix", "run all workloads under each group of faults", _run("matrix"), as_json)
    _add_system(matrix)
    matrix.add_argument(
        "--workloads", default="all", metavar="LIST", help="these workloads only (default: all)"
    )
    matrix.add_argument(
        "--faults", default="each", metavar="LIST", help="these groups only (default: each, none, and all)"
    )
    matrix.add_argument("--time", default="20s", metavar="T", help="of one run (default: 20s)")
    matrix.add_argument("--total", metavar="T", help="of all together, in place of --time: 1h")
    matrix.add_argument("--out", required=True, metavar="DIR", help="a new folder, for one of each run")
    _add_choices(matrix, positive)


def _run(action: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        from raftkv.cli import chaos

        return chaos.run(action, arguments)

    return run
