"""``raftkv put`` and ``raftkv get``."""

import argparse
import os
import sys

from raftkv.cli.endpoints import client_of, endpoints
from raftkv.cli.exits import Exit
from raftkv.cli.output import as_text, print_json, say
from raftkv.client import SyncClient


def run(verb: str, arguments: argparse.Namespace) -> int:
    """Run one of the verbs of this module."""
    client = client_of(endpoints(arguments))
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
    value = client.get(key, serializable=arguments.serializable)
    if arguments.json:
        found = None if value is None else as_text(value)
        print_json({"key": as_text(key), "value": found})
    elif value is None:
        say(f"raftkv: there is no key {arguments.key!r}")
    else:
        sys.stdout.buffer.write(value + b"\n")
    return Exit.NOT_FOUND if value is None else Exit.OK
