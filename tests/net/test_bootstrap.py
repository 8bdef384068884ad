"""Who a member is that joins: what the running members say against what its flags say."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from raftkv.errors import ConfigError, DataDirMismatch
from raftkv.mvcc.level import LEVEL
from raftkv.net.bootstrap import Place, find_place, started_before
from raftkv.node.config import Config

CLUSTER = 0xABC
OWN = "http://127.0.0.1:22380"

Serve = Callable[..., Any]


class Peer:
    """A peer port that says whatever a test wants to GET /members."""

    def __init__(self) -> None:
        self.url = ""
        self.cluster = f"{CLUSTER:x}"
        self.members: Any = []
        self.level = LEVEL

    async def answer(self, request: web.BaseRequest) -> web.Response:
        assert (request.method, request.path) == ("GET", "/members")
        headers = {"X-Etcd-Cluster-Id": self.cluster} if self.cluster else {}
        headers["Raftkv-Cluster-Level"] = str(self.level)
        return web.Response(text=json.dumps(self.members), headers=headers)


@pytest.fixture
async def peers() -> AsyncIterator[tuple[Peer, Peer]]:
    pair = Peer(), Peer()
    runners = []
    for peer in pair:
        runner = web.ServerRunner(web.Server(peer.answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        runners.append(runner)
    first, second = pair
    for peer in pair:
        peer.members = [
            {"id": 1, "name": "n1", "peerURLs": [first.url], "clientURLs": ["http://h:1"]},
            {"id": 2, "name": "n2", "peerURLs": [second.url]},
            {"id": 3, "peerURLs": [OWN], "isLearner": True},
        ]
    yield pair
    for runner in runners:
        await runner.cleanup()


def config(*peers: Peer) -> Config:
    others = {f"n{number + 1}": (peer.url,) for number, peer in enumerate(peers)}
    return Config(
        name="new",
        initial_cluster={**others, "new": (OWN,)},
        initial_advertise_peer_urls=(OWN,),
        initial_cluster_state="existing",
    )


async def test_a_member_is_told_by_its_peer_urls_whatever_the_others_are_called(
    peers: tuple[Peer, Peer],
) -> None:
    assert await find_place(config(*peers)) == Place(CLUSTER, 3)
    assert await find_place(config(*reversed(peers))) == Place(CLUSTER, 3)


async def test_one_answer_is_enough(peers: tuple[Peer, Peer]) -> None:
    for silence in ([], None, {"members": []}, "nonsense"):
        peers[0].members = silence
        assert await find_place(config(*peers)) == Place(CLUSTER, 3)


async def test_members_that_do_not_agree_are_to_be_asked_again(peers: tuple[Peer, Peer]) -> None:
    """One may lag behind and show an earlier member at these URLs, which was removed since."""
    peers[1].members = [*peers[1].members[:2], {"id": 4, "peerURLs": [OWN]}]
    with pytest.raises(ConfigError, match="do not agree"):
        await find_place(config(*peers))


async def test_another_number_of_members_or_other_urls_are_refused(peers: tuple[Peer, Peer]) -> None:
    with pytest.raises(ConfigError, match="names 2 members, and the cluster has 3"):
        await find_place(config(peers[0]))
    for peer in peers:
        peer.members[1]["peerURLs"] = ["http://moved:1"]
    with pytest.raises(ConfigError, match="no member at http://moved:1, where"):
        await find_place(config(*peers))
    for peer in peers:
        peer.members[1] = "nonsense"
    with pytest.raises(ConfigError, match="no member at , where"):
        await find_place(config(*peers))


async def test_who_has_been_started_before_does_not_start_with_nothing(peers: tuple[Peer, Peer]) -> None:
    assert not await started_before(3, {1: [peers[0].url]})
    peers[0].members[2]["name"] = "new"
    assert await started_before(3, {1: [peers[0].url]})
    with pytest.raises(DataDirMismatch, match="has been started before"):
        await find_place(config(*peers))


async def test_a_cluster_that_is_too_new_is_not_joined(peers: tuple[Peer, Peer]) -> None:
    peers[1].level = LEVEL + 1
    with pytest.raises(ConfigError, match=f"the cluster is at level {LEVEL + 1}"):
        await find_place(config(*peers))


@pytest.mark.parametrize("cluster", ["", "zz", "0"])
async def test_a_peer_that_does_not_tell_its_cluster_is_no_help(
    peers: tuple[Peer, Peer], cluster: str
) -> None:
    for peer in peers:
        peer.cluster = cluster
    with pytest.raises(ConfigError, match="no member of a running cluster answered"):
        await find_place(config(*peers))


@pytest.mark.parametrize("number", [None, 0, -1, 2**64, "3", [3]])
async def test_an_id_that_is_none_is_refused(peers: tuple[Peer, Peer], number: object) -> None:
    for peer in peers:
        peer.members[2]["id"] = number
    with pytest.raises(ConfigError, match="what answered is no cluster"):
        await find_place(config(*peers))
