"""``raftkv serve``: one member in the foreground."""

import argparse
import os

from raftkv.cli.flags import settings, unknown_variables
from raftkv.cli.output import say
from raftkv.errors import ConfigError


def run(arguments: argparse.Namespace) -> int:
    """Run a member until it is told to stop; returns its exit code."""
    if not __debug__:
        raise ConfigError("python -O removes the checks that guard the data; run without -O")
    for name in unknown_variables(os.environ):
        say(f"raftkv: warning: the environment variable {name} is not known and not used")
    given = settings(arguments, os.environ)

    from raftkv import server
    from raftkv.node.config import Config

    return server.run(Config.from_flags(given))
