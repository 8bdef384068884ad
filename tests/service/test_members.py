"""Changes of the members: what etcd refuses, in its order, and what is answered."""

import asyncio
from hashlib import sha1

import pytest

from raftkv import errors
from raftkv.mvcc.membership import MemberInfo
from raftkv.node.config import Config
from raftkv.schema.cluster import (
    Member,
    MemberAddRequest,
    MemberListRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from raftkv.schema.kv import PutRequest, RangeRequest, TxnRequest
from raftkv.schema.maintenance import (
    AlarmRequest,
    DefragmentRequest,
    SnapshotRequest,
    StatusRequest,
)
from raftkv.service import ClusterService
from raftkv.service.learner import check_learner
from raftkv.service.reconfiguration import HEALTHY_SECONDS
from tests.service.fake_node import MEMBER, FakeNode
from tests.service.test_services import header

NOW = 1_700_000_000.9
OWN_URL = "http://127.0.0.1:2380"
URL = "http://127.0.0.1:22380"
LONG = HEALTHY_SECONDS + 1
SHORT = HEALTHY_SECONDS - 1


def id_of(*urls: str) -> int:
    """What etcd 3.5.1 gives a member that is added: the cluster's token has no part in it."""
    return int.from_bytes(sha1("".join([*urls, str(int(NOW))]).encode()).digest()[:8], "big")


def info(number: int, *, name: str = "", is_learner: bool = False) -> MemberInfo:
    return MemberInfo(number, name, (f"http://n{number}:2380",), (), is_learner)


@pytest.fixture
async def cluster(node: FakeNode) -> ClusterService:
    """The service of a cluster of one, which has been started."""
    await node.publish()
    return service(node)


def service(node: FakeNode) -> ClusterService:
    return ClusterService(node, lambda: NOW)  # type: ignore[arg-type]


async def test_a_member_is_added_unnamed_under_an_id_of_its_urls_and_the_time(
    cluster: ClusterService,
) -> None:
    other = "http://127.0.0.1:32380"
    added = await cluster.member_add(MemberAddRequest([other, f" {URL} "]))
    assert added.header == header(0)
    assert added.member == Member(id_of(URL, other), "", [URL, other])
    assert added.members == (await cluster.member_list(MemberListRequest())).members
    assert {member.ID for member in added.members} == {MEMBER, id_of(URL, other)}


@pytest.mark.parametrize(
    "urls",
    [
        [],
        [""],
        ["http://h"],
        ["http://h:1/x"],
        ["http://h:1/"],
        ["ftp://h:1"],
        ["https://h:1"],
        ["http://h:port"],
        [URL, "nonsense"],
    ],
)
async def test_urls_that_can_not_be_used_are_refused_and_an_update_has_to_have_some(
    cluster: ClusterService, urls: list[str]
) -> None:
    with pytest.raises(errors.MemberBadURLs):
        await cluster.member_add(MemberAddRequest(urls))
    with pytest.raises(errors.MemberBadURLs):
        await cluster.member_update(MemberUpdateRequest(MEMBER, urls))


async def test_a_url_or_an_id_of_another_member_is_refused(cluster: ClusterService, node: FakeNode) -> None:
    with pytest.raises(errors.PeerURLExist):
        await cluster.member_add(MemberAddRequest([URL, OWN_URL]))
    node.add(info(5), connected=LONG)
    with pytest.raises(errors.PeerURLExist):
        await cluster.member_update(MemberUpdateRequest(5, [OWN_URL]))
    node.add(MemberInfo(id_of(URL), "n9", ("http://moved:1",), (), is_learner=False), connected=LONG)
    with pytest.raises(errors.MemberExist):
        await cluster.member_add(MemberAddRequest([URL], isLearner=True))


async def test_an_update_replaces_the_urls_and_leaves_a_learner_a_learner(
    cluster: ClusterService, node: FakeNode
) -> None:
    node.add(info(5, is_learner=True))
    updated = await cluster.member_update(MemberUpdateRequest(5, ["http://b:1", "http://a:1"]))
    assert updated.header == header(0)
    assert updated.members[0] == Member(5, "", ["http://a:1", "http://b:1"], isLearner=True)
    same = await cluster.member_update(MemberUpdateRequest(5, ["http://b:1"]))
    assert same.members[0].peerURLs == ["http://b:1"]


async def test_who_is_not_there_can_not_be_changed(cluster: ClusterService) -> None:
    with pytest.raises(errors.MemberNotFound):
        await cluster.member_remove(MemberRemoveRequest(5))
    with pytest.raises(errors.MemberNotFound):
        await cluster.member_update(MemberUpdateRequest(5, [URL]))
    with pytest.raises(errors.MemberNotFound):
        await cluster.member_promote(MemberPromoteRequest(5))


async def test_one_learner_is_the_limit_and_only_a_learner_is_promoted(cluster: ClusterService) -> None:
    learner = (await cluster.member_add(MemberAddRequest([URL], isLearner=True))).member
    assert learner == Member(id_of(URL), "", [URL], isLearner=True)
    with pytest.raises(errors.TooManyLearners):
        await cluster.member_add(MemberAddRequest(["http://h:1"], isLearner=True))
    with pytest.raises(errors.MemberNotLearner):
        await cluster.member_promote(MemberPromoteRequest(MEMBER))
    promoted = await cluster.member_promote(MemberPromoteRequest(learner.ID))
    assert promoted.header == header(0)
    assert [member.isLearner for member in promoted.members] == [False, False]


async def test_a_removed_member_is_gone(cluster: ClusterService, node: FakeNode) -> None:
    node.add(info(5))
    removed = await cluster.member_remove(MemberRemoveRequest(5))
    assert removed.header == header(0)
    assert [member.ID for member in removed.members] == [MEMBER]


# ---------------------------------------------------------------- strict checks


async def test_a_second_voter_may_come_to_one_but_not_a_third_to_one_started_of_two(
    cluster: ClusterService, node: FakeNode
) -> None:
    await cluster.member_add(MemberAddRequest([URL]))
    with pytest.raises(errors.MemberNotEnoughStarted):
        await cluster.member_add(MemberAddRequest(["http://h:1"]))
    node.connected[id_of(URL)] = LONG
    with pytest.raises(errors.MemberNotEnoughStarted):
        await cluster.member_add(MemberAddRequest(["http://h:1"]))
    await cluster.member_add(MemberAddRequest(["http://h:1"], isLearner=True))  # who has no say


async def test_a_voter_is_added_only_while_all_have_been_connected_for_five_seconds(
    cluster: ClusterService, node: FakeNode
) -> None:
    node.add(info(5, name="n5"))
    node.add(info(6, name="n6"), connected=LONG)
    for seconds in (None, SHORT, HEALTHY_SECONDS):
        if seconds is not None:
            node.connected[5] = seconds
        for is_learner in (False, True):
            with pytest.raises(errors.UnhealthyCluster):
                await cluster.member_add(MemberAddRequest([URL], is_learner))
    node.connected[5] = LONG
    assert len((await cluster.member_add(MemberAddRequest([URL]))).members) == 4


async def test_the_only_voter_and_one_that_a_majority_of_started_ones_needs_stay(
    cluster: ClusterService, node: FakeNode
) -> None:
    with pytest.raises(errors.MemberNotEnoughStarted):
        await cluster.member_remove(MemberRemoveRequest(MEMBER))
    node.add(info(5))
    with pytest.raises(errors.MemberNotEnoughStarted):
        await cluster.member_remove(MemberRemoveRequest(MEMBER))
    assert len((await cluster.member_remove(MemberRemoveRequest(5))).members) == 1


async def test_a_removal_must_leave_a_majority_of_active_voters_unless_the_one_is_away(
    cluster: ClusterService, node: FakeNode
) -> None:
    node.add(info(5, name="n5"), connected=LONG)
    node.add(info(6, name="n6"))
    with pytest.raises(errors.UnhealthyCluster):
        await cluster.member_remove(MemberRemoveRequest(5))
    with pytest.raises(errors.UnhealthyCluster):
        await cluster.member_remove(MemberRemoveRequest(MEMBER))
    assert len((await cluster.member_remove(MemberRemoveRequest(6))).members) == 2
    assert len((await cluster.member_remove(MemberRemoveRequest(5))).members) == 1


async def test_a_learner_may_always_go(cluster: ClusterService, node: FakeNode) -> None:
    node.add(info(5, name="n5"))
    node.add(info(6, is_learner=True))
    node.add(info(7))
    removed = await cluster.member_remove(MemberRemoveRequest(6))
    assert 6 not in {member.ID for member in removed.members}


async def test_a_promotion_counts_the_learner_as_started(cluster: ClusterService, node: FakeNode) -> None:
    node.add(info(5, is_learner=True))
    node.add(info(6))
    await cluster.member_promote(MemberPromoteRequest(5))  # 2 of 3
    node.add(info(7, is_learner=True))
    with pytest.raises(errors.MemberNotEnoughStarted):  # 2 of 4
        await cluster.member_promote(MemberPromoteRequest(7))


async def test_without_strict_reconfig_check_nothing_of_this_is_asked() -> None:
    node = FakeNode(Config(strict_reconfig_check=False))
    node.add(info(5, is_learner=True))
    node.add(info(6))
    cluster = service(node)
    await cluster.member_promote(MemberPromoteRequest(5))
    await cluster.member_add(MemberAddRequest([URL]))
    await cluster.member_remove(MemberRemoveRequest(MEMBER))


# ---------------------------------------------------------------- what the node refuses


async def test_a_change_waits_for_the_one_before(cluster: ClusterService, node: FakeNode) -> None:
    node.refusals = [errors.ChangeRefused("another change of the members is under way")] * 3
    assert len((await cluster.member_add(MemberAddRequest([URL]))).members) == 2
    assert node.refusals == []


async def test_a_change_that_never_has_its_turn_times_out() -> None:
    node = FakeNode(Config(election_timeout=500))
    await node.publish()
    node.refusals = [errors.ChangeRefused("another change of the members is under way")] * 100_000
    loop = asyncio.get_running_loop()
    begin, time = loop.time(), loop.time
    loop.time = lambda: begin + 1000 * (time() - begin)  # type: ignore[method-assign]
    with pytest.raises(errors.RequestTimedOut):
        await service(node).member_add(MemberAddRequest([URL]))


async def test_a_learner_that_is_not_ready_is_told_at_once(cluster: ClusterService, node: FakeNode) -> None:
    node.refusals = [errors.LearnerNotReady("learner 5 is at 3")]
    with pytest.raises(errors.LearnerNotReady):
        await cluster.member_promote(MemberPromoteRequest(5))


async def test_without_a_leader_only_a_promotion_says_so(cluster: ClusterService, node: FakeNode) -> None:
    node.refusals = [errors.NoLeader("none"), errors.NoLeader("none")]
    with pytest.raises(errors.NoLeader):
        await cluster.member_promote(MemberPromoteRequest(5))
    with pytest.raises(errors.RequestTimedOut):
        await cluster.member_add(MemberAddRequest([URL]))


# ---------------------------------------------------------------- learners


@pytest.mark.parametrize(
    ("request_", "answered"),
    [
        (StatusRequest(), True),
        (SnapshotRequest(), True),
        (RangeRequest(b"a", serializable=True), True),
        (RangeRequest(b"a"), False),
        (PutRequest(b"a"), False),
        (TxnRequest(), False),
        (AlarmRequest(), False),
        (DefragmentRequest(), False),
        (MemberListRequest(), False),
        (MemberAddRequest(), False),
    ],
)
async def test_a_learner_answers_three_calls(node: FakeNode, request_: object, answered: bool) -> None:
    check_learner(node, request_)  # type: ignore[arg-type]
    node.learners = (MEMBER,)
    if answered:
        check_learner(node, request_)  # type: ignore[arg-type]
    else:
        with pytest.raises(errors.NotSupportedForLearner):
            check_learner(node, request_)  # type: ignore[arg-type]
