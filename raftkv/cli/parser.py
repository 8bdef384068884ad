"""The verbs and their arguments. Nothing here imports what a verb needs to run."""

import argparse
from collections.abc import Callable
from typing import Any

from raftkv import __version__
from raftkv.cli.chaos_parser import add_chaos

_DESCRIPTION = "A Raft key-value store that speaks etcd v3's API."
_EPILOG = """\
exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 5 no leader or time-out, 6 unreachable,
7 unknown outcome (the write may have happened), or a weak chaos run
"""

Run = Callable[[argparse.Namespace], int]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command; each verb sets ``run``."""
    parser = argparse.ArgumentParser(
        prog="raftkv",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"raftkv {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_cluster_verbs(verbs)
    _add_member_verbs(verbs)
    _add_key_verbs(verbs)
    _add_membership_verbs(verbs)
    _add_maintenance_verbs(verbs)
    _add_snapshot_verbs(verbs)
    _add_wal(verbs)
    _add_history(verbs)
    _add_serve(verbs)
    _add_sim(verbs)
    add_chaos(verbs, _verb, _positive, _JSON)
    _verb(verbs, "version", "print the version", _version, _JSON)
    return parser


def _parent(*names: str, **options: Any) -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(*names, **options)
    return parent


_JSON = _parent("--json", action="store_true", help="print JSON")
_DATA = _parent(
    "--data",
    metavar="DIR",
    help="the cluster's folder (default: $RAFTKV_DATA, else .raftkv in the current folder)",
)
_ENDPOINT = _parent(
    "--endpoint",
    "--endpoints",
    dest="endpoint",
    action="append",
    metavar="URL",
    help="a member's client URL, may be repeated (default: the local cluster's)",
)
_NAME = _parent("name", metavar="NAME", help="a member's name: n1, n2, ...")

_SIM = (
    _parent("--profile", default="default", metavar="P", help="how faults are drawn (default: default)"),
    _parent("--nodes", type=int, choices=(3, 5), default=3, help="members to begin with (default: 3)"),
    _parent("--core", default="", metavar="F:C", help="run class C of the file F as the core"),
    _JSON,
)


def _verb(verbs: Any, name: str, text: str, run: Run, *parents: argparse.ArgumentParser) -> Any:
    description = text[0].upper() + text[1:] + "."
    verb = verbs.add_parser(
        name, help=text, description=description, parents=list(parents), allow_abbrev=False
    )
    verb.set_defaults(run=run)
    return verb


def _add_cluster_verbs(verbs: Any) -> None:
    up = _verb(verbs, "up", "start a local cluster and wait for its health", _cluster("up"), _DATA, _JSON)
    up.add_argument("-n", dest="size", type=int, metavar="N", help="members of a new cluster (default: 3)")
    up.add_argument(
        "--ports",
        metavar="C1,P1,...",
        help="client port and peer port of each member of a new cluster "
        "(default: $RAFTKV_PORTS, else 2379,2380,22379,22380,32379,32380)",
    )
    _verb(verbs, "down", "stop the local cluster and keep its data", _cluster("down"), _DATA)
    _verb(verbs, "ps", "list the members' processes", _cluster("ps"), _DATA, _JSON)
    _verb(
        verbs,
        "status",
        "show role, term and lag of each member; exit code 0 only if all are healthy",
        _cluster("status"),
        _DATA,
        _JSON,
    )
    clean = _verb(verbs, "clean", "remove the stopped local cluster's data", _cluster("clean"), _DATA)
    clean.add_argument("--yes", action="store_true", help="do not ask")


def _add_member_verbs(verbs: Any) -> None:
    logs = _verb(verbs, "logs", "print what a member wrote", _cluster("logs"), _NAME, _DATA)
    logs.add_argument("-n", dest="lines", type=int, default=50, metavar="N", help="lines (default: 50)")
    logs.add_argument("-f", dest="follow", action="store_true", help="go on until Ctrl-C")
    _verb(verbs, "kill", "end a member with SIGKILL, as a crash would", _cluster("kill"), _NAME, _DATA)
    _verb(verbs, "stop", "end a member with SIGTERM", _cluster("stop"), _NAME, _DATA)
    _verb(verbs, "restart", "stop a member if it runs, and start it", _cluster("restart"), _NAME, _DATA)


def _add_key_verbs(verbs: Any) -> None:
    put = _verb(verbs, "put", "write one key", _keys("put"), _ENDPOINT, _DATA, _JSON)
    put.add_argument("key", metavar="KEY")
    put.add_argument("value", metavar="VALUE")
    get = _verb(verbs, "get", "print the value of one key", _keys("get"), _ENDPOINT, _DATA, _JSON)
    get.add_argument("key", metavar="KEY")
    get.add_argument("--serializable", action="store_true", help="answer from one member, maybe stale")


def _add_membership_verbs(verbs: Any) -> None:
    text = "List the members of a cluster, and change them while it runs."
    member = verbs.add_parser("member", help="list, add and remove members", description=text)
    actions = member.add_subparsers(title="verbs", metavar="VERB", required=True)
    common = (_ENDPOINT, _DATA, _JSON)
    urls = argparse.ArgumentParser(add_help=False)
    urls.add_argument("--peer-urls", action="append", required=True, metavar="URL,..", help="its peer URLs")
    which = _parent("member", metavar="MEMBER", help="its name, or its id in hexadecimal")
    listing = _verb(actions, "list", "list the members", _members("list_members"), *common)
    listing.add_argument("--serializable", action="store_true", help="as one member knows them")
    add = _verb(actions, "add", "add a member, to be started then", _members("add"), urls, *common)
    add.add_argument("name", metavar="NAME", help="what it will be called")
    add.add_argument("--learner", action="store_true", help="it gets the log and has no vote yet")
    _verb(actions, "remove", "remove a member for good", _members("remove"), which, *common)
    _verb(actions, "update", "give a member other peer URLs", _members("update"), which, urls, *common)
    _verb(actions, "promote", "let a learner vote", _members("promote"), which, *common)


def _add_maintenance_verbs(verbs: Any) -> None:
    common = (_ENDPOINT, _DATA, _JSON)
    compaction = _verb(
        verbs, "compaction", "let history before a revision go", _maintenance("compaction"), *common
    )
    compaction.add_argument("revision", metavar="REVISION", type=int)
    compaction.add_argument("--physical", action="store_true", help="wait until it is gone on that member")
    _verb(verbs, "defrag", "let members give up room they do not need", _maintenance("defrag"), *common)
    move = _verb(verbs, "move-leader", "let another member lead", _maintenance("move_leader"), *common)
    move.add_argument("member", metavar="MEMBER", help="its name, or its id in hexadecimal")
    text = "Ask each member on its own."
    endpoint = verbs.add_parser("endpoint", help="ask each member on its own", description=text)
    questions = endpoint.add_subparsers(title="verbs", metavar="VERB", required=True)
    hash_kv = _verb(
        questions, "hashkv", "print a checksum of each member's data", _maintenance("hash_kv"), *common
    )
    hash_kv.add_argument("--rev", type=int, default=0, metavar="N", help="up to this revision (default: all)")
    alarm = verbs.add_parser("alarm", help="list or clear alarms", description="List or clear alarms.")
    actions = alarm.add_subparsers(title="verbs", metavar="VERB", required=True)
    _verb(actions, "list", "list the alarms that are raised", _maintenance("alarm_list"), *common)
    _verb(actions, "disarm", "clear all alarms", _maintenance("alarm_disarm"), *common)


def _add_snapshot_verbs(verbs: Any) -> None:
    text = "Back up a cluster, and make a new one from a backup."
    snapshot = verbs.add_parser("snapshot", help="save, check and restore backups", description=text)
    actions = snapshot.add_subparsers(title="verbs", metavar="VERB", required=True)
    file = _parent("file", metavar="FILE", help="the backup")
    _verb(actions, "save", "write a backup to a new file", _snapshot("save"), file, _ENDPOINT, _DATA, _JSON)
    _verb(actions, "status", "verify a backup and say what it holds", _snapshot("status"), file, _JSON)
    restore = _verb(
        actions,
        "restore",
        "make the data folder of one member of a new cluster",
        _snapshot("restore_member"),
        file,
        _JSON,
    )
    _add_restore_flags(restore)


def _add_restore_flags(restore: argparse.ArgumentParser) -> None:
    from raftkv.cli.flags import FLAGS

    names = ("name", "data-dir", "initial-cluster", "initial-cluster-token", "initial-advertise-peer-urls")
    for flag in FLAGS:
        if flag.name in names:
            text = f"{flag.help} (default: {flag.default})"
            restore.add_argument(f"--{flag.name}", dest=flag.field, metavar="VALUE", default=None, help=text)
    bump = "revisions to add, so that clients notice that some were lost; needs --mark-compacted"
    restore.add_argument("--bump-revision", type=int, default=0, metavar="N", help=bump)
    compacted = "forbid reads of revisions before the restored one; needs --bump-revision"
    restore.add_argument("--mark-compacted", action="store_true", help=compacted)
    skip = "take a file without a SHA-256 at its end: one copied from a member's folder"
    restore.add_argument("--skip-hash-check", action="store_true", help=skip)


def _add_wal(verbs: Any) -> None:
    wal = verbs.add_parser(
        "wal", help="look at a member's log", description="Look at a member's log; nothing is changed."
    )
    inner = wal.add_subparsers(title="verbs", metavar="VERB", required=True)
    folder = _parent("folder", metavar="DIR", help="the member's data folder, or its member/wal")
    dump = _verb(inner, "dump", "print what is in it, record by record", _wal("dump"), folder, _JSON)
    dump.add_argument("--limit", type=int, metavar="N", help="only the last N records")
    _verb(
        inner,
        "verify",
        "check it and the snapshots that it names; exit code 1 if anything acknowledged is damaged",
        _wal("verify"),
        folder,
        _JSON,
    )


def _add_history(verbs: Any) -> None:
    history = verbs.add_parser(
        "history",
        help="check recorded histories of operations",
        description="Check recorded histories of operations.",
        allow_abbrev=False,
    )
    actions = history.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = _verb(actions, "check", "tell whether histories are right", _history, _JSON)
    check.add_argument(
        "--model",
        required=True,
        choices=(
            *("cas-register", "kv-append", "mvcc-kv", "list-append", "bank", "set", "counter"),
            *("watch", "lease", "lock", "election"),
        ),
        help="what the system was meant to be",
    )
    check.add_argument(
        "--max-steps",
        type=_positive,
        metavar="N",
        help="steps for one file, after which the verdict is unknown (default: 2000000)",
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="Jepsen log, EDN or JSON lines")


def _add_serve(verbs: Any) -> None:
    from raftkv.cli.flags import add_flags

    serve = _verb(verbs, "serve", "run one member in the foreground", _serve)
    add_flags(serve)


def _add_sim(verbs: Any) -> None:
    sim = verbs.add_parser(
        "sim",
        help="run the node in a simulated world of faults",
        description="Run the node in a simulated world of faults; a seed is a run that can be replayed.",
        allow_abbrev=False,
    )
    actions = sim.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_sim_run(actions)
    replay = _verb(actions, "replay", "run one seed or script again", _sim("replay"), *_SIM)
    replay.add_argument("target", nargs="?", metavar="SEED|SCRIPT", help="a seed, or a scenario's file")
    replay.add_argument(
        "--record", metavar="FILE", help="replay the record of a live member (raftkv serve --record-core)"
    )
    replay.add_argument("--html", metavar="FILE", help="draw the run: a page that needs nothing else")
    shrink = _verb(actions, "shrink", "make a failing seed a short script", _sim("shrink"), *_SIM)
    shrink.add_argument("target", metavar="SEED|SCRIPT", help="a seed that fails, or a scenario's file")
    shrink.add_argument("-o", dest="output", metavar="FILE", help="where to write the script")
    shrink.add_argument(
        "--runs", type=_positive, default=600, metavar="N", help="runs to spend (default: 600)"
    )
    shrink.add_argument("--time", default="5m", metavar="T", help="time to spend (default: 5m)")
    for verb in (replay, shrink):
        verb.add_argument("--mutant", metavar="ID", help="put a bug of the catalogue in first (sim mutants)")
    _add_sim_mutants(actions)


def _add_sim_mutants(actions: Any) -> None:
    mutants = _verb(actions, "mutants", "put known bugs in and look for them", _sim("mutants"), _JSON)
    mutants.add_argument("--only", metavar="ID,..", help="these mutants (default: the catalogue of bugs)")
    mutants.add_argument("--blind", action="store_true", help="those written without looking at the checks")
    mutants.add_argument("--time", default="10m", metavar="T", help="for one mutant (default: 10m)")
    mutants.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="processes to use (default: 1)"
    )
    mutants.add_argument(
        "--searches", type=_positive, default=5, metavar="N", help="base seeds, at most 5 (default: 5)"
    )
    mutants.add_argument(
        "--most", type=_positive, metavar="N", help="seeds a search (default: twice the goal of its class)"
    )
    mutants.add_argument(
        "--shrink",
        default="60s",
        metavar="T",
        help="to shrink what was found first; 0s: don't (default: 60s)",
    )
    mutants.add_argument("--read", metavar="FILE", help="hunt nothing, read JSON lines of hunts")
    mutants.add_argument("--table", metavar="FILE", help="with --read: write docs/mutants.md")


def _add_sim_run(actions: Any) -> None:
    campaign = _verb(actions, "run", "run many seeds", _sim("run"), *_SIM)
    campaign.add_argument(
        "--seeds",
        metavar="A..B",
        help="seeds from A to before B (default: 0..100, or all that --time allows)",
    )
    campaign.add_argument("--time", metavar="T", help="begin no seed after this time: 60s, 5m, 1h")
    campaign.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="processes to use (default: 1)"
    )
    campaign.add_argument("--dask", metavar="ADDRESS", help="use the Dask cluster of this scheduler instead")
    campaign.add_argument("--keep-going", action="store_true", help="go on after a failure")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _cluster(verb: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from raftkv.cli import cluster

        return cluster.run(verb, arguments)

    return run


def _keys(verb: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from raftkv.cli import keys

        return keys.run(verb, arguments)

    return run


def _sim(verb: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from raftkv.cli import sim

        return sim.run(verb, arguments)

    return run


def _maintenance(verb: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from raftkv.cli import maintenance

        actions: dict[str, Run] = {
            "compaction": maintenance.compaction,
            "defrag": maintenance.defrag,
            "hash_kv": maintenance.hash_kv,
            "move_leader": maintenance.move_leader,
            "alarm_list": maintenance.alarm_list,
            "alarm_disarm": maintenance.alarm_disarm,
        }
        return actions[verb](arguments)

    return run


def _members(verb: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from raftkv.cli import members

        actions: dict[str, Run] = {
            "list_members": members.list_members,
            "add": members.add,
            "remove": members.remove,
            "update": members.update,
            "promote": members.promote,
        }
        return actions[verb](arguments)

    return run


def _snapshot(verb: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from raftkv.cli import snapshot

        actions: dict[str, Run] = {
            "save": snapshot.save,
            "status": snapshot.status,
            "restore_member": snapshot.restore_member,
        }
        return actions[verb](arguments)

    return run


def _wal(verb: str) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        from raftkv.cli import wal

        return wal.run(verb, arguments)

    return run


def _history(arguments: argparse.Namespace) -> int:
    from raftkv.cli import history

    return history.run(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    from raftkv.cli import serve

    return serve.run(arguments)


def _version(arguments: argparse.Namespace) -> int:
    from raftkv.cli import version

    return version.run(as_json=arguments.json)
