"""Watches over a WebSocket: both ways at once, a message a request and a message a reply."""

import json
from typing import Any

import aiohttp
import pytest

from tests.differential import normalise
from tests.differential.calls import compact, delete, put
from tests.differential.cases.watch import PROGRESS, cancel, create
from tests.differential.report import TALLY
from tests.differential.steps import Call
from tests.differential.systems import SECONDS, Pair, Run

pytestmark = pytest.mark.e2e

LINES = "2.4.websocket"
STORY: list[dict[str, Any] | Call | int] = [
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
"""What is sent, what is done meanwhile, and how many messages are then waited for."""


async def told(run: Run, url: str) -> list[str]:
    """Play the story over a socket and return the messages that came."""
    seen: list[str] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/v3/watch") as socket:
        for step in STORY:
            if isinstance(step, dict):
                await socket.send_str(run.filled(Call("", json.dumps(step))).body)  # type: ignore[arg-type]
            elif isinstance(step, Call):
                run.take(step)
            else:
                seen += [await socket.receive_str(timeout=SECONDS) for _ in range(step)]
    return [normalise.body(text, run.base, {}) for text in seen]


async def test_both_tell_the_same_over_a_socket(shared: Pair) -> None:
    TALLY.cases += 1
    etcd, raftkv = [await told(Run(one, fresh=False), one.place.client_url) for one in shared]
    assert raftkv == etcd
    TALLY.same += 1
