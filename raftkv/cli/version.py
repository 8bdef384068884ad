"""``raftkv version``."""

import platform

from raftkv import __version__
from raftkv.cli.exits import Exit
from raftkv.cli.output import print_json

API_VERSION = "3.5.1"
"""The etcd version whose API is spoken."""


def run(*, as_json: bool) -> int:
    """Print raftkv's version, the version of the API, and the Python that runs it."""
    if as_json:
        print_json({"raftkv": __version__, "api": API_VERSION, "python": platform.python_version()})
    else:
        print(f"raftkv {__version__} (etcd API {API_VERSION}, Python {platform.python_version()})")
    return Exit.OK
