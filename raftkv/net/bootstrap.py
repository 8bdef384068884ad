"""What the others know of a member that is about to start with an empty log.

One that joins a running cluster learns from them who it is: it was added before, by its peer URLs.

A member that lost its data folder has forgotten its vote and what it acknowledged. Starting it under its
old id could elect a leader without the committed entries. etcd refuses that too ("has already been
bootstrapped"). Members that can't be reached can't tell; then nobody knows better.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import aiohttp

from raftkv.errors import ConfigError, DataDirMismatch
from raftkv.mvcc.level import FIRST, LEVEL
from raftkv.net.handshake import printable
from raftkv.node.config import Config

ASK_SECONDS: Final = 2.0
ETCD_CLUSTER_HEADER: Final = "X-Etcd-Cluster-Id"
"""How the answer to GET /members tells which cluster it is of, as etcd's."""

CLUSTER_LEVEL_HEADER: Final = "Raftkv-Cluster-Level"
"""What a member has to understand to be one, see ``raftkv.mvcc.level``."""

ADVICE: Final = (
    "add this member first (raftkv member add), then give --initial-cluster exactly the members of the "
    "cluster, this one included, with the peer URLs that raftkv member list shows"
)


class Place(NamedTuple):
    """Which member of which cluster one is that joins."""

    cluster_id: int
    member_id: int


class Answer(NamedTuple):
    """What a peer port says to GET /members: the cluster's id (0: none) and level, and JSON objects."""

    cluster_id: int
    members: list[Any]
    level: int = FIRST


async def started_before(member_id: int, others: Mapping[int, Sequence[str]]) -> bool:
    """Ask ``others`` (member id -> peer URLs); whether one lists the member with a published name."""
    answers = await _ask([url for peer_urls in others.values() for url in peer_urls])
    return any(
        isinstance(member, dict) and member.get("id") == member_id and bool(member.get("name"))
        for answer in answers
        for member in answer.members
    )


async def find_place(config: Config) -> Place:
    """Ask the members that ``--initial-cluster`` names who they are, as etcd does, and who this member is.

    Raises ConfigError where the flags do not describe the cluster that runs, and DataDirMismatch where this
    member has been started before.
    """
    others = {name: urls for name, urls in config.initial_cluster.items() if name != config.name}
    urls = [url for peer_urls in others.values() for url in peer_urls]
    answers = [answer for answer in await _ask(urls) if answer.members and answer.cluster_id]
    if not answers:
        where = ", ".join(urls) or "nobody: --initial-cluster names no other member"
        raise ConfigError(
            f"--initial-cluster-state existing: no member of a running cluster answered; asked were {where}. "
            f"Start this member while the cluster runs; a new cluster's members are started with new"
        )
    level = max(answer.level for answer in answers)
    if level > LEVEL:
        raise ConfigError(
            f"the cluster is at level {level}, and this version of raftkv understands levels up to {LEVEL}: "
            f"start this member with the version of the others"
        )
    places = [_place_in(answer, config) for answer in answers]
    if len(set(places)) > 1:
        raise ConfigError(
            "--initial-cluster-state existing: the members do not agree which one this is; if it was added "
            "just now, try again in a moment"
        )
    return places[0]


def _place_in(answer: Answer, config: Config) -> Place:
    """Return this member's place in the cluster that a peer tells of; raises what ``find_place`` does."""
    named = {tuple(sorted(urls)): name for name, urls in config.initial_cluster.items()}
    if len(answer.members) != len(named):
        raise ConfigError(
            f"--initial-cluster names {len(named)} members, and the cluster has {len(answer.members)}: "
            f"{ADVICE}"
        )
    own = None
    for member in answer.members:
        urls = _peer_urls(member)
        if urls not in named:
            raise ConfigError(
                f"--initial-cluster has no member at {printable(','.join(urls), 200)}, where the cluster has "
                f"one: {ADVICE}"
            )
        if named[urls] == config.name:
            own = member
    assert own is not None, "as many different URLs match as there are members"
    if own.get("name"):
        raise DataDirMismatch(
            f"member {config.name!r} has been started before, but {config.data_folder} is empty: a member "
            f"that forgot its votes and its log could lose acknowledged writes. Bring the folder back, or "
            f"remove the member (raftkv member remove), add it again and start that with an empty folder"
        )
    return Place(answer.cluster_id, _id_of(own))


async def _ask(urls: Sequence[str]) -> list[Answer]:
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return await asyncio.gather(*(_members(session, url) for url in urls))


async def _members(session: aiohttp.ClientSession, url: str) -> Answer:
    """Return what a peer port says to GET /members, nothing if it says nothing of use."""
    try:
        async with session.get(f"{url}/members", allow_redirects=False) as answer:
            members = await answer.json(content_type=None) if answer.status == 200 else []
            cluster = int(answer.headers.get(ETCD_CLUSTER_HEADER, "0"), 16)
            level = int(answer.headers.get(CLUSTER_LEVEL_HEADER, FIRST))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return Answer(0, [])
    return Answer(cluster, members if isinstance(members, list) else [], level)


def _peer_urls(member: Any) -> tuple[str, ...]:
    urls = member.get("peerURLs") if isinstance(member, dict) else None
    return tuple(sorted(str(url) for url in urls)) if isinstance(urls, list) else ()


def _id_of(member: Any) -> int:
    number = member.get("id")
    if not isinstance(number, int) or not 0 < number < 2**64:
        raise ConfigError(f"--initial-cluster-state existing: what answered is no cluster: id {number!r:.40}")
    return number
