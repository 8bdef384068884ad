"""``raftkv put`` and ``raftkv get``."""

import argparse
import os
import sys
from pathlib import Path

from raftkv.cli.exits import Exit
from raftkv.cli.output import as_text, print_json, say
from raftkv.client import OutcomeUnknown, SyncClient
from raftkv.errors import ConfigError, RequestTimedOut
from raftkv.local.errors import NoCluster
from raftkv.local.layout import DEFAULT_PORTS, HOST, default_root, load


def run(verb: str, arguments: argparse.Namespace) -> int:
    """Run one of the verbs of this module."""
    try:
        client = SyncClient(_endpoints(arguments))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    key = os.fsencode(arguments.key)
    return _put(client, key, arguments) if verb == "put" else _get(client, key, arguments)


def _put(client: SyncClient, key: bytes, arguments: argparse.Namespace) -> int:
    answer = client.put(key, os.fsencode(arguments.value))
    revision = int(answer.get("header", {}).get("revision", 0))
    if arguments.json:
        print_json({"revision": revision})
    else:
        print(f"OK, revision {revision}")
    return Exit.OK


def _get(client: SyncClient, key: bytes, arguments: argparse.Namespace) -> int:
    try:
        value = client.get(key, serializable=arguments.serializable)
    except OutcomeUnknown as error:
        raise RequestTimedOut(str(error)) from error  # a read changes nothing, so nothing is in doubt
    if arguments.json:
        found = None if value is None else as_text(value)
        print_json({"key": as_text(key), "value": found})
    elif value is None:
        say(f"raftkv: there is no key {arguments.key!r}")
    else:
        sys.stdout.buffer.write(value + b"\n")
    return Exit.NOT_FOUND if value is None else Exit.OK


def _endpoints(arguments: argparse.Namespace) -> list[str]:
    if arguments.endpoint:
        return list(arguments.endpoint)
    root = Path(arguments.data) if arguments.data else default_root(os.environ, Path.cwd())
    try:
        return [member.client_url for member in load(root).members]
    except NoCluster:
        if arguments.data:
            raise
        return [f"http://{HOST}:{DEFAULT_PORTS[0]}"]
