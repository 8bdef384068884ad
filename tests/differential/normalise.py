"""What may differ between two systems that answer alike, each with its reason. Nothing else may.

Everything else is compared as it comes, byte for byte: the ids of cluster and member too, since both members
are started with the same advertised URLs and ids follow from these.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Rule(NamedTuple):
    """A part of a body that is replaced before bodies are compared."""

    pattern: str
    replacement: str | Callable[[re.Match[str]], str]
    reason: str


OWN_SIZE = "a file of bbolt pages there, the bytes of keys and values and their history here"
OWN_LOG = "each system writes entries of its own (its name, its version) to its log, besides the requests"

TIME = "time goes on between two requests: only that no more is left than was granted is the same"


def _left(match: re.Match[str]) -> str:
    left, granted = int(match[1] or "0"), int(match[2])
    went_on = granted - SLOWEST_SECONDS <= left <= granted
    return f'"TTL":"left","grantedTTL":"{granted}"' if went_on else match[0]


def _sorted(match: re.Match[str]) -> str:
    return f'"keys":[{",".join(sorted(match[1].split(",")))}]'


SLOWEST_SECONDS = 15

BODY: tuple[Rule, ...] = (
    Rule(r'("dbSize(?:InUse)?"):"\d+"', r'\1:"N"', OWN_SIZE),
    Rule(r'("raft(?:Applied)?Index"):"\d+"', r'\1:"N"', OWN_LOG),
    Rule(r'(?:"TTL":"(\d+)",)?"grantedTTL":"(\d+)"', _left, TIME),
    Rule(r'"keys":\[([^]]*)\]', _sorted, "etcd lists the keys of a lease in no fixed order"),
    Rule(r'("hash"):\d+', r"\1:N", "a checksum of what each system keeps in its own form"),
    Rule(
        r"(?s)^\n(?:etcd|raftkv) received your request, but the Host header was unrecognized.*",
        "a help text",
        "the text names the program and its flags, for people",
    ),
    Rule(r',"raftkv":"[^"]+"', "", "raftkv tells its own version beside that of the API, in /version only"),
)

REVISIONS = ("revision", "create_revision", "mod_revision", "compact_revision", "rev")
REVISIONS_REASON = (
    "told relative to the revision at which the case began, so that one case that differs does not make "
    "all that come after it differ too"
)
_REVISION = re.compile(rf'("(?:{"|".join(REVISIONS)})"):"(-?\d+)"')

_MEMBERS = re.compile(r'"members":\[([^{}]*(?:\{[^{}]*\},?)*)\]')
MEMBERS_REASON = (
    "the id of a member that was added follows from the second in which that was, and so does its place in a "
    "list: sorted anew, in cases that save an id"
)


def in_order(text: str) -> str:
    """Sort lists of members by what follows the id."""
    return _MEMBERS.sub(_in_order, text)


def _in_order(match: re.Match[str]) -> str:
    members: list[str] = re.findall(r"{[^{}]*}", match[1])
    members.sort(key=lambda member: member.split(",", 1)[1])
    return f'"members":[{",".join(members)}]'


SAVED_REASON = "an id that the server picks (a lease's, a member's that was added): it is told by its name"

HEADERS: dict[str, str] = {
    "date": "the time",
    "server": "raftkv names itself; etcd does not",
    "content-length": "told as whether it is the length of the body, which is compared by itself",
}

LONG_BYTES = 2048
LONG_REASON = (
    "a body longer than this goes out in chunks where Go's server has no more room to wait for its end; "
    "raftkv sends it with its length while it is encoded in one step"
)


HEAD_REASON = "a reply to HEAD may tell the length that the body would have (RFC 9110 §8.6): Go's does not"


REFUSED_REASON = "a stream that is refused is one short reply: etcd sends it in one chunk or with its length"


def headers(pairs: list[tuple[str, str]], size: int | None, method: str = "POST") -> tuple[str, ...]:
    """Return the header lines, sorted; ``size``: bytes of the body, None for a stream."""
    kept = [(name, value) for name, value in pairs if name.lower() not in HEADERS]
    lengths = [value for name, value in pairs if name.lower() == "content-length"]
    if method == "HEAD":
        lengths = []
    if size is not None and size > LONG_BYTES:
        kept = [(name, value) for name, value in kept if name.lower() != "transfer-encoding"]
        lengths = [length for length in lengths if length != str(size)]
    told = ["of the body" if length == str(size) else length for length in lengths]
    return tuple(
        sorted(f"{name}: {value}" for name, value in [*kept, *(("Content-Length", it) for it in told)])
    )


def stream_headers(status: int, pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return the header lines of a stream, sorted."""
    framing = () if status == 200 else ("content-length", "transfer-encoding")
    return headers([(name, value) for name, value in pairs if name.lower() not in framing], None)


def body(text: str, base: int, saved: Mapping[str, str]) -> str:
    """Return a reply's body as it is compared; ``base``: the revision that others are told relative to."""
    for rule in BODY:
        text = re.sub(rule.pattern, rule.replacement, text)
    text = in_order(text) if saved else text
    for name, value in saved.items():
        text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(value)}(?![0-9A-Za-z])", f"<{name}>", text)
    return (
        _REVISION.sub(lambda match: f'{match[1]}:"{relative(int(match[2]), base)}"', text) if base else text
    )


def relative(revision: int, base: int) -> str:
    return f"r{revision - base:+}" if revision > 0 else str(revision)
