"""``raftkv alarm``, ``defrag``, ``compaction``, ``endpoint hashkv`` and ``move-leader``."""

import argparse

from raftkv.cli.endpoints import PATIENCE_SECONDS, client_of, endpoints
from raftkv.cli.exits import Exit, exit_for
from raftkv.cli.members import member_id
from raftkv.cli.output import print_json, say
from raftkv.client import SyncClient
from raftkv.errors import NoLeader, RaftKvError


def alarm_list(arguments: argparse.Namespace) -> int:
    """Print the alarms that are raised."""
    _print_alarms(client_of(endpoints(arguments)).alarms(), as_json=arguments.json)
    return Exit.OK


def alarm_disarm(arguments: argparse.Namespace) -> int:
    """Clear every alarm, and print which these were."""
    client = client_of(endpoints(arguments))
    alarms = client.alarms()
    for member, alarm in alarms:
        client.disarm(member, alarm)
    _print_alarms(alarms, as_json=arguments.json)
    return Exit.OK


def _print_alarms(alarms: list[tuple[int, str]], *, as_json: bool) -> None:
    if as_json:
        # ids are unsigned 64-bit numbers, which JSON readers round: as in etcd's API, they are text
        print_json([{"member_id": str(member), "alarm": alarm} for member, alarm in alarms])
        return
    for member, alarm in alarms:
        print(f"memberID:{member} alarm:{alarm}")


def defrag(arguments: argparse.Namespace) -> int:
    """Defragment each member in turn; one that fails does not keep the others from it."""
    code, done = Exit.OK, []
    for url in endpoints(arguments):
        try:
            client_of([url], patience=PATIENCE_SECONDS).post_json("/v3/maintenance/defragment", {})
        except RaftKvError as error:
            code = Exit(exit_for(error))
            say(f"raftkv: {url}: {error}")
            continue
        done.append(url)
        if not arguments.json:
            print(f"defragmented {url}")
    if arguments.json:
        print_json({"defragmented": done})
    return code


def compaction(arguments: argparse.Namespace) -> int:
    """Let history before a revision go."""
    client = client_of(endpoints(arguments), patience=PATIENCE_SECONDS if arguments.physical else None)
    client.compact(arguments.revision, physical=arguments.physical)
    if arguments.json:
        print_json({"compacted": arguments.revision})
    else:
        print(f"compacted revision {arguments.revision}")
    return Exit.OK


def hash_kv(arguments: argparse.Namespace) -> int:
    """Print each member's checksum of keys and history; one that fails does not keep the others from it."""
    code, found = Exit.OK, []
    for url in endpoints(arguments):
        try:
            client = client_of([url], patience=PATIENCE_SECONDS)
            answer = client.post_json("/v3/maintenance/hashkv", {"revision": arguments.rev})
        except RaftKvError as error:
            code = Exit(exit_for(error))
            say(f"raftkv: {url}: {error}")
            continue
        found.append(
            {
                "endpoint": url,
                "hash": answer.get("hash", 0),
                "revision": int(answer.get("header", {}).get("revision", 0)),
                "compact_revision": int(answer.get("compact_revision", 0)),
            }
        )
        if not arguments.json:
            print(f"{url}, {answer.get('hash', 0)}")
    if arguments.json:
        print_json(found)
    return code


def move_leader(arguments: argparse.Namespace) -> int:
    """Hand leadership to another member, whose name or hexadecimal id is given."""
    leader, client = _leader(endpoints(arguments))
    target = member_id(client, arguments.member)
    client.post_json("/v3/maintenance/transfer-leadership", {"targetID": str(target)})
    if arguments.json:
        print_json({"from": f"{leader:x}", "to": f"{target:x}"})
    else:
        print(f"Leadership transferred from {leader:x} to {target:x}")
    return Exit.OK


def _leader(urls: list[str]) -> tuple[int, SyncClient]:
    """Return the leader's id, and a client of it. Raises NoLeader when it is not among ``urls``."""
    for url in urls:
        client = client_of([url])
        try:
            status = client.status()
        except RaftKvError as error:
            say(f"raftkv: {url}: {error}")
            continue
        if (leader := status.get("leader")) and leader == status.get("header", {}).get("member_id"):
            return int(leader), client
    raise NoLeader(f"no leader among {', '.join(urls)}")
