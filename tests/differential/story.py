"""What members of a cluster answer, told so that two clusters can be compared.

Ids and URLs follow from ports, which differ: each member's are told by its name.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from raftkv.local.processes import wait_until
from tests.differential import normalise
from tests.differential.cases.members import LIST
from tests.differential.report import TALLY
from tests.differential.steps import Call
from tests.differential.systems import SECONDS, System
from tests.e2e.members import ETCD, RAFTKV, Place

LOGS = r'"raft\w+":"\d+"|"dbSize\w*":"\d+"|"(?:cluster_id|raft_term)":"\d+"'
NEW = "http://127.0.0.1:1"


Told = tuple[str, int, str]
"""Who was asked what; status; body."""


def urls_of(place: Place) -> dict[str, str]:
    return {"initial_advertise_peer_urls": place.peer_url, "advertise_client_urls": place.client_url}


class Story:
    """Asks the members of one cluster, and writes down what they answer."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._members = {place.name: System((), place, urls_of(place)) for place in places}
        self._names = {place.client_url: f"<{place.name} client>" for place in places}
        self._names |= {place.peer_url: f"<{place.name} peer>" for place in places}
        self.told: list[Told] = []

    def learn_ids(self) -> dict[str, str]:
        """Return the id of each member that has a name, and tell ids by names from now on."""
        first = next(iter(self._members.values()))
        listed = json.loads(first.ask(LIST)[2])["members"]
        ids = {member["name"]: member["ID"] for member in listed if "name" in member}
        self._names |= {number: f"<{name}>" for name, number in ids.items()}
        return ids

    def ask(self, name: str, request: Call) -> None:
        """Ask a member; the answer is a part of the story."""
        self.told.append(self._asked(name, request))

    def ask_until(self, name: str, request: Call, status: int) -> None:
        """Ask until the status is this one; only that answer is a part of the story."""

        def answered() -> bool:
            last = self._asked(name, request)
            if last[1] == status:
                self.told.append(last)
            return last[1] == status

        assert wait_until(answered, SECONDS), self._asked(name, request)

    def _asked(self, name: str, request: Call) -> Told:
        status, _, body = self._members[name].ask(request)
        text = re.sub(LOGS, '"#"', body.decode())
        for value, told in self._names.items():
            text = text.replace(value, told)
        text = normalise.in_order(re.sub(r'"ID":"\d+"', '"ID":"#"', text))
        return f"{name} {request.path}", status, text

    def peek(self, name: str, request: Call) -> Any:
        """Ask a member; the answer is no part of the story."""
        return json.loads(self._members[name].ask(request)[2])

    def until(self, name: str, request: Call, holds: Callable[[Any], bool]) -> None:
        assert wait_until(lambda: holds(self.peek(name, request)), SECONDS), self.peek(name, request)

    def close(self) -> None:
        for member in self._members.values():
            member.close()


def by_role(told: Sequence[Told], roles: dict[str, str]) -> list[Told]:
    """Tell members by what they are in the story, since who is elected first is chance."""

    def renamed(text: str) -> str:
        return re.sub(r"\bn[123]\b", lambda match: roles[match[0]], text)

    return [(renamed(what), status, normalise.in_order(renamed(text))) for what, status, text in told]


def check_alike(story: Callable[[Sequence[str], Path], list[Told]], folder: Path) -> None:
    """Let both systems tell the story, one after the other; fail at the first answer that differs."""
    TALLY.cases += 1
    wanted = story(ETCD, folder / "etcd")
    got = story(RAFTKV, folder / "raftkv")
    for theirs, ours in zip(wanted, got, strict=True):
        assert ours == theirs
    TALLY.same += 1
