"""``raftkv alarm``, ``defrag`` and ``compaction``."""

import argparse

from raftkv.cli.endpoints import PATIENCE_SECONDS, client_of, endpoints
from raftkv.cli.exits import Exit, exit_for
from raftkv.cli.output import print_json, say
from raftkv.errors import RaftKvError


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
