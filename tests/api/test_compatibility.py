"""docs/compatibility.md says what is so: its tables against the routes and the declared messages."""

import dataclasses
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from raftkv.api.json_gateway import JsonGateway
from raftkv.schema import cluster, election, kv, lease, lock, maintenance, watch
from raftkv.schema.base import fields_of
from tests.api.http import call
from tests.service.fake_node import FakeNode

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
MODULES = (cluster, election, kv, lease, lock, maintenance, watch)
NOT_FOR_CLIENTS = {"LeaseCheckpoint", "LeaseCheckpointRequest", "LeaseCheckpointResponse"}
"""Messages that are in the log only."""

STATES = ("same", "differs", "not there")


class RouteRow(NamedTuple):
    path: str
    state: str
    note: str


class MessageRow(NamedTuple):
    name: str
    fields: str
    differs: str
    note: str


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its two lines of headers."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


ROUTES = [RouteRow(path.strip("`"), state, note) for path, state, note in rows("Routes")]
MESSAGES = [MessageRow(*cells) for cells in rows("Messages and fields")]


@pytest.fixture
async def gateway(node: FakeNode) -> JsonGateway:
    return JsonGateway(node, lambda: 1e9)  # type: ignore[arg-type]


async def test_every_route_of_the_table_is_there_or_not_as_it_says(gateway: JsonGateway) -> None:
    there = {row.path for row in ROUTES if row.state != "not there"}
    assert there == gateway.routes.keys()
    assert len(ROUTES) == len({row.path for row in ROUTES}) > 50


async def test_a_route_that_is_not_there_is_no_route(port: int) -> None:
    for row in ROUTES:
        if row.state == "not there":
            assert (await call(port, row.path, b"{}")).status.endswith("404 Not Found"), row.path


def test_what_differs_says_why_and_what_is_not_there_is_no_more_than_that() -> None:
    for row in ROUTES:
        assert row.state in STATES, row
        assert row.note or row.state != "differs", row
    for message in MESSAGES:
        assert message.note or not message.differs, message


def declared() -> dict[str, dict[str, int]]:
    """Return the fields of every message that clients see, with their numbers."""
    classes = [
        cls
        for module in MODULES
        for cls in vars(module).values()
        if isinstance(cls, type) and dataclasses.is_dataclass(cls) and cls.__module__ == module.__name__
    ]
    return {
        cls.__name__: {spec.name: spec.number for spec in fields_of(cls)}
        for cls in classes
        if cls.__name__ not in NOT_FOR_CLIENTS
    }


def test_every_message_has_the_fields_of_the_table_and_no_others() -> None:
    table = {
        row.name: {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", row.fields)}
        for row in MESSAGES
    }
    assert table == declared()
    assert all(set(row.differs.split()) <= table[row.name].keys() for row in MESSAGES)
