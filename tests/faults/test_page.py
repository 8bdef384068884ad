"""``/raftkv/v1/chaos`` of a real member: who may ask, and what is answered."""

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from raftkv.api import port
from raftkv.errors import ConfigError
from raftkv.faults import page
from raftkv.faults.orders import ClockFault, DiskFault, LinkFault, Orders
from raftkv.faults.page import is_loopback
from raftkv.local.verbs import FaultVerbs, VerbRefused
from raftkv.node.config import Config
from raftkv.server import EventLog, build
from raftkv.storage.disk import FileDisk
from tests.api.http import exchange, parse
from tests.faults.running import TOKEN, Member, configs, running, token_file, until

PATH = "/raftkv/v1/chaos"
NO_DISK_EFFECTS = {"fsyncs_delayed": 0, "delayed_ms": 0.0, "fsyncs_failed": 0, "refused": 0}
NO_DISK_FAULT = {
    "slow_fsync_ms": 0.0,
    "fail_fsyncs": 0,
    "full": False,
    "seconds_left": None,
    "effects": NO_DISK_EFFECTS,
}


async def ask(
    member: Member, headers: dict[str, str], method: str = "GET", body: bytes = b"", path: str = PATH
) -> tuple[int, Any, dict[str, str]]:
    """Send exactly these headers; return the status, the answer, and its headers."""
    number = int(member.url.rpartition(":")[2])
    given = {"Host": f"127.0.0.1:{number}", "Connection": "close", "Content-Length": str(len(body))} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
    reply = parse(await exchange(number, f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body))
    found = dict(line.split(": ", 1) for line in reply.headers)
    return int(reply.status.split()[1]), json.loads(reply.body) if reply.body else None, found


BEARER = {"Authorization": f"Bearer {TOKEN}"}


# ---------------------------------------------------------------- who may ask


async def test_only_who_has_the_token_is_answered(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        for wrong in (
            "",
            "Bearer",
            "Bearer ",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Bearer  {TOKEN}",
            f"Basic {TOKEN}",
            TOKEN,
            "Bearer \xff\xfe",
        ):
            for method in ("GET", "POST", "PUT"):
                for path in (PATH, f"{PATH}/snapshot"):
                    status, answer, headers = await ask(
                        member, {"Authorization": wrong}, method, b'{"heal": true}', path
                    )
                    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), wrong
                    assert TOKEN not in str(answer)
        for right in (f"Bearer {TOKEN}", f"bearer {TOKEN}"):
            status, answer, headers = await ask(member, {"Authorization": right})
            assert (status, answer["member"]) == (200, "n1")
            assert headers["Cache-Control"] == "no-store"
            assert not [name for name in headers if name.startswith("Access-Control")]
        status, _, _ = await ask(member, BEARER, path=f"{PATH}?token={TOKEN}")
        assert status == 200


async def test_two_tokens_are_none(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        status, _, _ = await ask(
            member, {"Authorization": f"Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}"}
        )
        assert status == 401


async def test_pages_of_other_sites_are_refused_even_with_the_token(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        for wanted, headers in (
            (200, {"Host": "localhost"}),
            (200, {"Host": "localhost:1"}),
            (200, {"Host": "[::1]:2379"}),
            (200, {"Host": "127.9.9.9"}),
            (403, {"Host": "evil.example"}),
            (403, {"Host": "127.0.0.1.evil.example"}),
            (403, {"Host": "localhost.evil.example:2379"}),
            (403, {"Host": "10.0.0.1"}),
            (403, {"Host": "me@127.0.0.1"}),
            (403, {"Host": "0.0.0.0"}),
            (200, {"Host": "localhost:1", "Origin": "http://localhost:1"}),
            (403, {"Host": "localhost:1", "Origin": "http://localhost:2"}),
            (403, {"Host": "localhost:1", "Origin": "https://localhost:1"}),
            (403, {"Origin": "http://evil.example"}),
            (403, {"Origin": "null"}),
            (403, {"Host": "localhost:1", "Origin": "http://localhost:1\r\nOrigin: http://evil.example"}),
        ):
            status, answer, sent = await ask(member, BEARER | headers)
            assert status == wanted, (headers, answer)
            assert not [name for name in sent if name.startswith("Access-Control")]


async def test_a_peer_from_elsewhere_is_refused_even_with_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port forwarded to the network, say."""
    async with running(configs(tmp_path)) as [member]:
        asked: list[str] = []

        def is_of_this_machine(host: str) -> bool:
            asked.append(host)
            return False

        monkeypatch.setattr(page, "is_loopback", is_of_this_machine)
        status, answer, _ = await ask(member, BEARER)
        assert (status, answer["error"]) == (403, "fault verbs are for whoever is on this machine")
        assert asked == ["127.0.0.1"]  # the address that the socket has


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("127.1", False),
        ("2130706433", False),
        ("localhost.", False),
        ("localhost.example", False),
        ("n1", False),
    ],
)
def test_what_is_of_this_machine_is_known_by_its_address(host: str, is_local: bool) -> None:
    assert is_loopback(host) == is_local


# ---------------------------------------------------------------- whether there are verbs


async def test_without_chaos_there_is_nothing(tmp_path: Path) -> None:
    settings = configs(tmp_path, chaos="false", chaos_token_file="")
    async with running(settings) as [member]:
        for path in (PATH, f"{PATH}/snapshot", f"{PATH}/"):
            for method in ("GET", "POST"):
                async with (
                    aiohttp.ClientSession() as session,
                    session.request(method, member.url + path, headers=BEARER) as reply,
                ):
                    assert reply.status == 404
        with pytest.raises(VerbRefused, match="404: 404 page not found"):
            await member.verbs.look()
        assert isinstance(member.server.node.wal._disk, FileDisk)
        assert "takes orders" not in member.log


@pytest.mark.parametrize(
    "url",
    ["http://0.0.0.0:0", "http://192.0.2.1:0", "http://[::]:0", "http://n1.example:0", "http://127.1:0"],
)
async def test_client_urls_that_others_can_reach_are_refused(tmp_path: Path, url: str) -> None:
    [config] = configs(tmp_path, listen_client_urls=f"http://127.0.0.1:0,{url}")
    with pytest.raises(
        ConfigError, match=r"--listen-client-urls .*: with --chaos clients are served on this"
    ):
        await build(config, EventLog(config, None))  # type: ignore[arg-type]
    assert not Path(config.data_folder).exists()


def refused(folder: Path, **changes: str) -> str:
    [config] = configs(folder, **changes)
    with pytest.raises(ConfigError) as caught:
        asyncio.run(_build(config))
    return str(caught.value)


async def _build(config: Config) -> None:
    await build(config, EventLog(config, None))  # type: ignore[arg-type]


def test_it_does_not_start_without_a_token_that_nobody_else_knows(tmp_path: Path) -> None:
    assert "--chaos needs a token" in refused(tmp_path, chaos_token_file="")
    assert "No such file" in refused(tmp_path, chaos_token_file=str(tmp_path / "none"))
    assert "not a regular file" in refused(tmp_path, chaos_token_file=str(tmp_path))
    assert "use one of them" in refused(tmp_path, chaos_token=TOKEN)
    with pytest.raises(ConfigError, match="needs --enable-raftkv-api"):
        configs(tmp_path, enable_raftkv_api="false")
    with pytest.raises(ConfigError, match="of no use without --chaos"):
        configs(tmp_path, chaos="false")
    assert not (tmp_path / "n1").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_token_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    [config] = configs(tmp_path)
    token_file(tmp_path, mode=mode)
    with pytest.raises(ConfigError, match="others may read or write it; do: chmod 600"):
        asyncio.run(_build(config))


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 257, "with a space in it", "sch\u00fcssel-schl\u00fcssel", "a\nb" * 9]
)
def test_a_token_that_is_none_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    [config] = configs(tmp_path)
    token_file(tmp_path, text)
    with pytest.raises(ConfigError, match="a token has 16 to 256 printable characters") as caught:
        asyncio.run(_build(config))
    assert not text or text not in str(caught.value)


def test_a_pipe_is_no_token_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "not a regular file" in refused(tmp_path, chaos_token_file=str(tmp_path / "pipe"))


async def test_the_token_may_come_from_the_environment_and_is_shown_nowhere(tmp_path: Path) -> None:
    settings = configs(tmp_path, chaos_token_file="", chaos_token=TOKEN)
    assert TOKEN not in repr(settings)
    async with running(settings) as [member]:
        assert (await member.verbs.look())["member"] == "n1"
        await member.verbs.order(Orders(clock=ClockFault(jump_ms=1)))
        assert TOKEN not in member.log


# ---------------------------------------------------------------- what is answered


async def test_what_is_in_force_and_what_it_did_is_shown(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        assert await member.verbs.look() == {
            "member": "n1",
            "disk": {"log": NO_DISK_FAULT, "snapshots": NO_DISK_FAULT},
            "links": [],
            "clock": {
                "jump_ms": 0.0,
                "drift_ppm": 0.0,
                "seconds_left": None,
                "offset_ms": 0.0,
                "effects": {"reads": 0, "largest_offset_ms": 0.0},
            },
        }
        told = await member.verbs.order(
            Orders(disks={"snapshots": DiskFault(slow_fsync_ms=5, full=True, seconds=100)})
        )
        found = told["disk"]["snapshots"]
        assert (found["slow_fsync_ms"], found["full"]) == (5, True)
        assert 0 < found["seconds_left"] <= 100
        assert told["disk"]["log"] == NO_DISK_FAULT
        told = await member.verbs.order(Orders(disks={"snapshots": DiskFault(fail_fsyncs=7)}))
        assert told["disk"]["snapshots"] == {**NO_DISK_FAULT, "fail_fsyncs": 7}
        told = await member.verbs.heal()
        assert told["disk"] == {"log": NO_DISK_FAULT, "snapshots": NO_DISK_FAULT}
        for text in (
            "fault of the disk of the snapshots: slow fsync ms 5, full, for 100 s",
            "fault of the disk of the snapshots: fail fsyncs 7",
            "fault of the disk of the snapshots: it is over",
        ):
            assert f"warning n1: {text}\n" in member.log


async def test_faults_end_by_themselves_in_time(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        order = Orders(
            disks={
                "log": DiskFault(slow_fsync_ms=1, seconds=0.05),
                "snapshots": DiskFault(full=True, seconds=3600),
            },
            clock=ClockFault(jump_ms=1000, seconds=0.05),
        )
        await member.verbs.order(order)

        async def are_over() -> bool:
            shown = await member.verbs.look()
            return not shown["disk"]["log"]["slow_fsync_ms"] and not shown["clock"]["jump_ms"]

        await until(are_over)
        shown = await member.verbs.look()
        assert shown["disk"]["snapshots"]["full"]
        assert (shown["disk"]["log"]["seconds_left"], shown["clock"]["offset_ms"]) == (None, 0)
        # one that takes the place of another has its own end, or none
        await member.verbs.order(Orders(clock=ClockFault(jump_ms=1, seconds=0.02)))
        await member.verbs.order(Orders(clock=ClockFault(jump_ms=2)))
        await asyncio.sleep(0.1)
        assert (await member.verbs.look())["clock"]["jump_ms"] == 2


async def test_an_order_with_a_mistake_is_refused_whole(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member]:
        clock = ClockFault(jump_ms=5)
        for links, text in (
            ((LinkFault("n1", "n9"),), "links: to: there is no member 'n9'; there are n1"),
            ((LinkFault("n1", "n1"),), "one of them, not both, has to be n1, the member that is asked"),
        ):
            with pytest.raises(VerbRefused, match=text) as caught:
                await member.verbs.order(Orders(heal=True, links=links, clock=clock))
            assert caught.value.status == 400
        status, answer, _ = await ask(
            member, BEARER, "POST", b'{"clock": {"jump_ms": 5}, "disk": {"log": 1}}'
        )
        assert (status, answer) == (400, {"error": "disk.log: 1 is not an object"})
        assert (await member.verbs.look())["clock"]["jump_ms"] == 0
        assert "fault of" not in member.log


async def test_methods_and_bodies_that_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "LINGER_SECONDS", 0.1)
    async with running(configs(tmp_path)) as [member]:
        for method in ("PUT", "DELETE", "HEAD", "PATCH"):
            status, _, headers = await ask(member, BEARER, method)
            assert (status, headers["Allow"]) == (405, "GET, POST")
        status, _, headers = await ask(member, BEARER, path=f"{PATH}/snapshot")
        assert (status, headers["Allow"]) == (405, "POST")
        status, answer, headers = await ask(member, BEARER, "POST", b" " * (page.MOST_BYTES + 1))
        assert (status, headers["Connection"]) == (413, "close")
        assert "too large" in answer["error"]
        status, _, _ = await ask(member, BEARER, "POST", b" " * (page.MOST_BYTES - 2) + b"{}")
        assert status == 200
        # who has no token is not read: the answer comes while the body is still to come
        status, _, _ = await ask(member, {"Content-Length": "999999"}, "POST")
        assert status == 401


async def test_strangers_leave_nothing_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(configs(tmp_path)) as [member]:
        before = member.log
        with caplog.at_level(logging.DEBUG):
            await ask(member, {"Authorization": "Bearer guess"}, "POST", b"{}")
        assert (member.log, caplog.records) == (before, [])


async def test_a_client_says_what_it_was_told(tmp_path: Path) -> None:
    async with running(configs(tmp_path)) as [member], aiohttp.ClientSession() as session:
        with pytest.raises(
            VerbRefused, match=f"{member.url}: 401: send Authorization: Bearer TOKEN"
        ) as caught:
            await FaultVerbs(session, member.url, "wrong").look()
        assert caught.value.status == 401
