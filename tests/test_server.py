"""A member put together: what it refuses to start with, and that it leaves nothing behind."""

import asyncio
import io
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from raftkv.errors import ConfigError, DataDirInUse, DataDirMismatch, StorageError
from raftkv.node.config import Config
from raftkv.server import EventLog, Server, build
from raftkv.trace import RoleChanged, Stopped, TornTailCut, VoteCast


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """One member of a cluster of its own, on free ports; anything can be replaced."""

    def make(**changes: str) -> Config:
        client, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        given = {
            "name": "n1",
            "data_dir": str(tmp_path / "n1"),
            "listen_client_urls": client,
            "advertise_client_urls": client,
            "listen_peer_urls": peer,
            "initial_advertise_peer_urls": peer,
            "heartbeat_interval": "10",
            "election_timeout": "100",
        }
        return Config.from_flags(given | changes)

    return make


class Running:
    """A server that runs in this loop, and what it logged."""

    def __init__(self, server: Server, lines: io.StringIO) -> None:
        self.server = server
        self.lines = lines
        self.task = asyncio.create_task(server.run())

    async def stop(self) -> None:
        self.server.stop()
        await self.task


async def start(config: Config) -> Running:
    lines = io.StringIO()
    return Running(await build(config, EventLog(config, lines)), lines)


async def put(config: Config, key: str) -> int:
    """Put through the client port; return the revision."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                reply = await session.post(
                    f"{config.listen_client_urls[0]}/v3/kv/put", json={"key": key, "value": "dg=="}
                )
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.01)
                continue
            assert reply.status == 200
            return int((await reply.json())["header"]["revision"])


async def test_a_restarted_member_keeps_its_data_and_its_ids(make_config: Callable[..., Config]) -> None:
    config = make_config()
    running = await start(config)
    assert await put(config, "a2V5") == 2
    ids = running.server.node.member_id, running.server.node.cluster_id
    await running.stop()
    running = await start(config)
    assert await put(config, "a2V5") == 3
    assert (running.server.node.member_id, running.server.node.cluster_id) == ids
    await running.stop()


async def test_what_happens_in_a_member_is_told_to_who_asks(make_config: Callable[..., Config]) -> None:
    config = make_config()
    running = await start(config)
    await put(config, "a2V5")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{config.listen_client_urls[0]}/raftkv/v1/trace") as reply,
    ):
        assert await reply.content.readline() == b": events of n1\n"
        running.server.node.steps.took("a slow step", 3.0)
        told = [await reply.content.readline() for _ in range(3)]
        assert b"a slow step held the loop for 3000 ms" in told[2]
        await running.stop()
    assert "a slow step held the loop" in running.lines.getvalue()


async def test_who_watches_is_served_on_urls_of_its_own(make_config: Callable[..., Config]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    config = make_config(listen_metrics_urls=url)
    running = await start(config)
    await put(config, "a2V5")
    async with aiohttp.ClientSession() as session:
        for at in (url, config.listen_client_urls[0]):
            async with session.get(f"{at}/metrics") as reply:
                assert "\netcd_mvcc_put_total 1\n" in await reply.text()
    await running.stop()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", int(url.rsplit(":", 1)[1])))


async def test_urls_that_can_t_be_bound_are_named_with_their_flag(make_config: Callable[..., Config]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        running = await start(make_config(listen_metrics_urls=url))
        with pytest.raises(ConfigError, match=f"--listen-metrics-urls {url}"):
            await running.task


async def test_a_stopped_server_leaves_no_task_and_no_port(make_config: Callable[..., Config]) -> None:
    config = make_config()
    before = asyncio.all_tasks()
    running = await start(config)
    await put(config, "a2V5")
    await running.stop()
    assert asyncio.all_tasks() == before
    for url in (*config.listen_client_urls, *config.listen_peer_urls):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", int(url.rsplit(":", 1)[1])))


async def test_data_of_another_cluster_is_refused(make_config: Callable[..., Config]) -> None:
    """The folder would bring the votes and entries of one cluster into another."""
    config = make_config()
    await (await start(config)).stop()
    before = sorted(Path(config.data_folder).rglob("*"))
    with pytest.raises(DataDirMismatch, match="holds data of cluster"):
        await start(make_config(initial_cluster_token="another"))
    assert sorted(Path(config.data_folder).rglob("*")) == before


async def test_data_of_another_member_is_refused(make_config: Callable[..., Config]) -> None:
    await (await start(make_config())).stop()
    with pytest.raises(DataDirMismatch, match="holds the data of member 'n1', not of 'n2'"):
        await start(make_config(name="n2"))


async def test_a_changed_member_list_is_no_obstacle_with_state_existing(
    make_config: Callable[..., Config],
) -> None:
    config = make_config()
    await (await start(config)).stop()
    peer = config.listen_peer_urls[0]
    changed = make_config(
        listen_peer_urls=peer,
        initial_advertise_peer_urls=peer,
        initial_cluster=f"n1={peer},n2=http://127.0.0.1:1",
        initial_cluster_state="existing",
    )
    await (await start(changed)).stop()


async def test_snapshots_without_a_log_are_neither_removed_nor_begun_anew_beside(
    make_config: Callable[..., Config], tmp_path: Path
) -> None:
    config = make_config(snapshot_count="5")
    running = await start(config)
    for _ in range(30):
        await put(config, "a2V5")
    await running.server.node.snapshot_now()
    await running.stop()
    snapshots = sorted((tmp_path / "n1" / "member" / "snap").iterdir())
    assert snapshots
    shutil.rmtree(tmp_path / "n1" / "member" / "wal")
    with pytest.raises(DataDirMismatch, match="holds snapshots but no log"):
        await start(config)
    assert sorted((tmp_path / "n1" / "member" / "snap").iterdir()) == snapshots


async def test_a_second_process_on_the_folder_is_refused(make_config: Callable[..., Config]) -> None:
    running = await start(make_config())
    with pytest.raises(DataDirInUse):
        await start(make_config())
    await running.stop()


async def test_a_folder_that_can_not_be_made_is_named(
    make_config: Callable[..., Config], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        await start(make_config(data_dir=str(tmp_path / "file" / "n1")))


@pytest.mark.parametrize("kind", ["client", "peer"])
async def test_a_used_port_is_named_and_the_folder_is_given_up(
    make_config: Callable[..., Config], kind: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        urls = {f"listen_{kind}_urls": url}
        if kind == "peer":
            urls["initial_advertise_peer_urls"] = url
        with pytest.raises(ConfigError, match=f"--listen-{kind}-urls {url}"):
            await (await start(make_config(**urls))).task
    peer = urls.get("initial_advertise_peer_urls")
    again = make_config(**({"listen_peer_urls": peer, "initial_advertise_peer_urls": peer} if peer else {}))
    if kind == "client":
        with pytest.raises(DataDirMismatch):  # the peer URL, and so the cluster, is another: not "in use"
            await start(again)
    else:
        await (await start(again)).stop()


async def test_joining_what_does_not_run_is_refused_clearly(make_config: Callable[..., Config]) -> None:
    config = make_config(initial_cluster_state="existing")
    with pytest.raises(ConfigError, match="asked were nobody: --initial-cluster names no other member"):
        await start(config)
    assert not (Path(config.data_folder) / "member" / "wal").exists()


async def test_log_lines_name_the_member_and_the_event(make_config: Callable[..., Config]) -> None:
    config = make_config()
    running = await start(config)
    await put(config, "a2V5")
    await running.stop()
    lines = running.lines.getvalue().splitlines()
    assert any("info    n1: started as n1" in line for line in lines)
    assert any(line.endswith("n1: became leader in term 2") for line in lines)
    assert not any("vote" in line for line in lines), "votes are for --log-level debug"


def test_json_log_lines_hold_the_event(make_config: Callable[..., Config]) -> None:
    lines = io.StringIO()
    log = EventLog(make_config(log_format="json", log_level="debug"), lines)
    log.emit(VoteCast(7, 3, granted=True, pre_vote=False))
    line = json.loads(lines.getvalue())
    assert (line["event"], line["candidate"], line["term"], line["granted"]) == ("VoteCast", 7, 3, True)
    assert line["msg"] == "gave 7 its vote for term 3"


def test_why_a_member_failed_is_an_error_and_that_it_was_told_to_stop_is_none(
    make_config: Callable[..., Config],
) -> None:
    lines = io.StringIO()
    log = EventLog(make_config(log_level="error"), lines)
    log.emit(Stopped("it was told to"))
    assert lines.getvalue() == ""
    log.emit(Stopped("the log is damaged", failed=True))
    assert "error   n1: stopped: the log is damaged" in lines.getvalue()


def test_only_the_wanted_levels_are_logged(make_config: Callable[..., Config]) -> None:
    lines = io.StringIO()
    log = EventLog(make_config(log_level="warning"), lines)
    log.emit(RoleChanged("leader", 3))
    log.emit(TornTailCut("segment", 10, 20))
    assert "unfinished batch of 20 bytes" in lines.getvalue()
    assert "leader" not in lines.getvalue()


async def test_an_own_bug_that_nobody_awaits_stops_the_member(make_config: Callable[..., Config]) -> None:
    config = make_config()
    running = await start(config)
    await put(config, "a2V5")
    with pytest.raises(AssertionError, match="a gap in the log") as raised:
        running.server.node.status().log.__class__([object.__new__(_Gap)])
    running.server.on_loose_end({"message": "task failed", "exception": raised.value})
    with pytest.raises(AssertionError, match="a gap in the log"):
        await running.task
    assert "an error that nobody awaits" in running.lines.getvalue()


class _Gap:
    """Looks like an entry that does not follow."""

    index = 9


async def test_a_library_s_assertion_does_not_stop_the_member(make_config: Callable[..., Config]) -> None:
    config = make_config()
    running = await start(config)
    try:
        raise AssertionError("not ours")
    except AssertionError as error:
        running.server.on_loose_end({"message": "task failed", "exception": error})
    assert await put(config, "a2V5") == 2
    await running.stop()


def _lines(members: list[Running]) -> list[str]:
    return [line for running in members for line in running.lines.getvalue().splitlines()]


async def test_a_member_that_lost_its_data_does_not_start_as_if_new(
    make_config: Callable[..., Config], tmp_path: Path
) -> None:
    """It would have forgotten its vote and the entries that it acknowledged."""
    peers = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
    cluster = ",".join(f"n{i}={url}" for i, url in enumerate(peers, 1))
    configs = [
        make_config(
            name=f"n{i}",
            data_dir=str(tmp_path / f"n{i}"),
            listen_peer_urls=url,
            initial_advertise_peer_urls=url,
            initial_cluster=cluster,
        )
        for i, url in enumerate(peers, 1)
    ]
    members = [await start(config) for config in configs]
    for config in configs:
        await put(config, "a2V5")
    while not all(m.name for r in members for m in r.server.node.machine.membership.members()):
        await asyncio.sleep(0.01)
    assert any("follows n" in line for line in members[0].lines.getvalue().splitlines())
    assert not any("follows " in line and "follows n" not in line for line in _lines(members))
    await members[0].stop()
    shutil.rmtree(tmp_path / "n1")
    with pytest.raises(DataDirMismatch, match="has been part of this cluster before"):
        await start(configs[0])
    assert not (tmp_path / "n1").exists()
    for running in members[1:]:
        await running.stop()


async def test_a_member_that_is_checked_against_the_rules_serves_too(
    make_config: Callable[..., Config],
) -> None:
    config = make_config(check_rules="true")
    running = await start(config)
    assert await put(config, "a2V5") == 2
    await running.stop()
