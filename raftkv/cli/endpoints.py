"""Which members a verb talks to: ``--endpoint``, else the local cluster's."""

import argparse
import os
from pathlib import Path

from raftkv.client import SyncClient
from raftkv.errors import ConfigError
from raftkv.local.errors import NoCluster
from raftkv.local.layout import DEFAULT_PORTS, HOST, default_root, load

PATIENCE_SECONDS = 300.0
"""How long an answer of a maintenance call may take: some of them work through all data."""


def client_of(urls: list[str], *, patience: float | None = None) -> SyncClient:
    """Return a client of these members. Raises ConfigError for what is no address."""
    try:
        return SyncClient(urls, patience=patience)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def endpoints(arguments: argparse.Namespace) -> list[str]:
    """Return the client URLs a verb was given, commas between them allowed, or the local cluster's."""
    given = [url for text in arguments.endpoint or () for url in text.split(",") if url]
    if given:
        return given
    root = Path(arguments.data) if arguments.data else default_root(os.environ, Path.cwd())
    try:
        return [member.client_url for member in load(root).members]
    except NoCluster:
        if arguments.data:
            raise
        return [f"http://{HOST}:{DEFAULT_PORTS[0]}"]
