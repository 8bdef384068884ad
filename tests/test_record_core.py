"""``--record-core``: a real run, over files and sockets, is replayed bit for bit."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from raftkv.errors import ConfigError
from raftkv.node.config import Config
from raftkv.raft import make_core
from raftkv.raft.record_file import read_records
from raftkv.raft.recorded import START, replay
from raftkv.trace import Record
from tests.test_server import Running, free_port, make_config, put, start

__all__ = ["make_config"]  # a fixture


def read(path: Path) -> list[Record]:
    with path.open("rb") as file:
        return list(read_records(file))


def check_replayed(records: list[Record]) -> None:
    """Check that every effect and digest comes again, and that the run was one worth recording."""
    assert replay(records, make_core) == (len(records), 0, None)
    assert records[0].call == START
    assert {"tick", "ready", "persisted", "applied"} <= {record.call for record in records}
    assert any(record.draws for record in records)


@pytest.mark.parametrize("checked", ["false", "true"])
async def test_a_member_alone_is_replayed_and_so_is_its_next_start(
    make_config: Callable[..., Config], tmp_path: Path, checked: str
) -> None:
    config = make_config(record_core=str(tmp_path / "first"), check_rules=checked)
    running = await start(config)
    for _ in range(20):
        await put(config, "a2V5")
    await running.stop()
    records = read(tmp_path / "first")
    check_replayed(records)
    assert sum(record.call == "propose" for record in records) >= 20
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o600
    assert "record of the core ends" not in running.lines.getvalue()
    again = make_config(
        record_core=str(tmp_path / "second"),
        listen_peer_urls=config.listen_peer_urls[0],
        initial_advertise_peer_urls=config.listen_peer_urls[0],
    )
    running = await start(again)
    await put(again, "a2V5")
    await running.stop()
    check_replayed(read(tmp_path / "second"))


async def test_three_members_are_replayed_through_a_change_of_leader(
    make_config: Callable[..., Config], tmp_path: Path
) -> None:
    """With the messages that came and the leases' clocks; each file stands for itself."""
    peers = [f"http://127.0.0.1:{free_port()}" for _ in range(3)]
    cluster = ",".join(f"n{i}={url}" for i, url in enumerate(peers, 1))
    configs = [
        make_config(
            name=f"n{i}",
            data_dir=str(tmp_path / f"n{i}"),
            listen_peer_urls=url,
            initial_advertise_peer_urls=url,
            initial_cluster=cluster,
            record_core=str(tmp_path / f"n{i}.record"),
            lease_reads="true",
        )
        for i, url in enumerate(peers, 1)
    ]
    members: list[Running] = [await start(config) for config in configs]
    for config in configs:
        await put(config, "a2V5")
    led = next(
        i for i, one in enumerate(members) if one.server.node.status().leader == one.server.node.member_id
    )
    await members[led].stop()
    left = [i for i in range(3) if i != led]
    for i in left:
        await put(configs[i], "a2V5")
    await asyncio.gather(*(members[i].stop() for i in left))
    for i in range(3):
        records = read(tmp_path / f"n{i + 1}.record")
        check_replayed(records)
        assert sum(record.call == "step" for record in records) > 10


async def test_a_record_is_not_written_over(make_config: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(b"of a crash")
    with pytest.raises(ConfigError, match=r"--record-core .*record: this file is there already"):
        await start(make_config(record_core=str(tmp_path / "record")))
    assert (tmp_path / "record").read_bytes() == b"of a crash"


async def test_a_file_that_can_not_be_made_is_named(
    make_config: Callable[..., Config], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"--record-core .*: No such file or directory"):
        await start(make_config(record_core=str(tmp_path / "nowhere" / "record")))
