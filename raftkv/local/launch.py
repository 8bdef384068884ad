"""How a member process is called, and what it left in its log file."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import raftkv
from raftkv.local.layout import Layout, MemberPlace

_BLOCK = 64 * 1024


def command(layout: Layout, member: MemberPlace) -> list[str]:
    """Return the command line of a member."""
    return [
        sys.executable,
        *("-m", "raftkv", "serve"),
        *("--name", member.name),
        *("--data-dir", str(layout.data(member))),
        *("--listen-client-urls", member.client_url),
        *("--advertise-client-urls", member.client_url),
        *("--listen-peer-urls", member.peer_url),
        *("--initial-advertise-peer-urls", member.peer_url),
        *("--initial-cluster", layout.initial_cluster()),
        *("--initial-cluster-token", layout.token),
        *layout.flags,
    ]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the members' environment: this one, without settings that are meant for one member.

    The members run the raftkv that this command runs, even where it is not installed.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("RAFTKV_")}
    source = str(Path(raftkv.__file__).resolve().parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [source, environ.get("PYTHONPATH", "")]))
    kept["PYTHONUNBUFFERED"] = "1"
    return kept


class Tail(NamedTuple):
    """The last lines of a file, and the offset in bytes at which it ended then."""

    lines: list[str]
    end: int


def tail(path: Path, count: int) -> Tail:
    """Return the last ``count`` lines of a text file, none when it is not there."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            start, data = end, b""
            while start > 0 and data.count(b"\n") <= count:
                start = max(0, start - _BLOCK)
                file.seek(start)
                data = file.read(end - start)
    except FileNotFoundError:
        return Tail([], 0)
    return Tail(data.decode("utf-8", "replace").splitlines()[-count:] if count else [], end)
