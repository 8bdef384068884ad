"""Streams over a WebSocket: both ways at once, a message a request and a message a reply."""

import json
from typing import Any, TypeAlias

import aiohttp
import pytest

from tests.differential import normalise
from tests.differential.calls import compact, delete, put
from tests.differential.cases.lease import grant, revoke
from tests.differential.cases.watch import PROGRESS, cancel, create
from tests.differential.report import TALLY
from tests.differential.steps import Call
from tests.differential.systems import SECONDS, Pair, Run

pytestmark = pytest.mark.e2e

LINES = "2.4.websocket"
Story: TypeAlias = list[dict[str, Any] | Call | int]
"""What is sent, what is done meanwhile, and how many messages are then waited for."""

WATCH: Story = [
    create("a"),
    1,
    put("a", "1"),
    1,
    create("b", prev_kv=True),
    1,
    put("b", "2"),
    delete("b"),
    2,
    PROGRESS,
    1,
    cancel(0),
    1,
    put("a", "3"),
    create("a", start_revision="@{r+1}", watch_id=7),
    2,
    compact("@{r+4}"),
    create("a", start_revision="@{r+2}"),
    2,
    create("b", "a"),
    1,
]
KEEP_ALIVE: Story = [grant(7), {"ID": 7}, 1, {"ID": 9}, {"ID": "7"}, 2, revoke(7), {"ID": 7}, 1]


async def told(run: Run, url: str, story: Story) -> list[str]:
    """Play a story over a socket and return the messages that came."""
    seen: list[str] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        for step in story:
            if isinstance(step, dict):
                await socket.send_str(run.filled(Call("", json.dumps(step))).body)  # type: ignore[arg-type]
            elif isinstance(step, Call):
                run.take(step)
            else:
                seen += [await socket.receive_str(timeout=SECONDS) for _ in range(step)]
    return [normalise.body(text, run.base, {}) for text in seen]


@pytest.mark.parametrize(
    ("path", "story"),
    [("/v3/watch", WATCH), ("/v3/lease/keepalive", KEEP_ALIVE)],
    ids=["watch", "keepalive"],
)
async def test_both_tell_the_same_over_a_socket(shared: Pair, path: str, story: Story) -> None:
    """An observed election is not among them: etcd reads its one request to an end that never comes."""
    TALLY.cases += 1
    etcd, raftkv = [await told(Run(one, fresh=False), one.place.client_url + path, story) for one in shared]
    assert raftkv == etcd
    TALLY.same += 1
