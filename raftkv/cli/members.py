"""``raftkv member list``, ``add``, ``remove``, ``update`` and ``promote``: what they print is etcdctl's."""

import argparse
from collections.abc import Sequence
from typing import Any

from raftkv.cli.endpoints import client_of, endpoints
from raftkv.cli.exits import Exit
from raftkv.cli.output import print_json
from raftkv.client import SyncClient
from raftkv.errors import ConfigError


def list_members(arguments: argparse.Namespace) -> int:
    """Print the members, one a line."""
    client = client_of(endpoints(arguments))
    members = [_Shown(member) for member in client.members(serializable=arguments.serializable)]
    if arguments.json:
        print_json([member.fields() for member in members])
    for member in () if arguments.json else members:
        fields = member.fields()
        started = "started" if member.name else "unstarted"
        urls = ",".join(fields["peer_urls"]), ",".join(fields["client_urls"])
        print(", ".join([fields["id"], started, member.name, *urls, str(fields["is_learner"]).lower()]))
    return Exit.OK


def add(arguments: argparse.Namespace) -> int:
    """Add a member, and print what it is to be started with."""
    client = client_of(endpoints(arguments))
    urls = _urls(arguments)
    answer = client.change_members("add", {"peerURLs": urls, "isLearner": arguments.learner})
    added = int(answer["member"]["ID"])
    variables = _variables(arguments.name, added, urls, answer["members"])
    if arguments.json:
        print_json({**_changed(answer, added), "environment": variables})
        return Exit.OK
    print(f"Member {added:x} added to cluster {_cluster(answer):x}\n")
    for name, value in variables.items():
        print(f'{name}="{value}"')
    return Exit.OK


def _variables(
    name: str, added: int, urls: Sequence[str], members: Sequence[dict[str, Any]]
) -> dict[str, str]:
    """Return the environment in which ``raftkv serve`` joins; one not started yet is called by its id."""
    cluster = []
    for member in members:
        number = int(member["ID"])
        called = name if number == added else member.get("name") or f"{number:x}"
        cluster += [f"{called}={url}" for url in member["peerURLs"]]
    return {
        "RAFTKV_NAME": name,
        "RAFTKV_INITIAL_CLUSTER": ",".join(cluster),
        "RAFTKV_INITIAL_ADVERTISE_PEER_URLS": ",".join(urls),
        "RAFTKV_INITIAL_CLUSTER_STATE": "existing",
    }


def remove(arguments: argparse.Namespace) -> int:
    """Remove a member for good."""
    return _change(arguments, "remove", "removed from cluster")


def promote(arguments: argparse.Namespace) -> int:
    """Let a learner vote."""
    return _change(arguments, "promote", "promoted in cluster")


def update(arguments: argparse.Namespace) -> int:
    """Give a member other peer URLs."""
    return _change(arguments, "update", "updated in cluster", {"peerURLs": _urls(arguments)})


def _change(arguments: argparse.Namespace, verb: str, words: str, more: dict[str, Any] | None = None) -> int:
    client = client_of(endpoints(arguments))
    member = member_id(client, arguments.member)
    answer = client.change_members(verb, {"ID": str(member), **(more or {})})
    if arguments.json:
        print_json(_changed(answer, member))
    else:
        print(f"Member {member:x} {words} {_cluster(answer):x}")
    return Exit.OK


def member_id(client: SyncClient, text: str) -> int:
    """Return the id of the member that has this name or, in hexadecimal, this id. Raises ConfigError."""
    members = client.members(serializable=True)
    named = [int(member["ID"]) for member in members if member.get("name") == text]
    if named:
        return named[0]
    try:
        return int(text, 16)
    except ValueError:
        names = ", ".join(f"{member.get('name', '')} ({int(member['ID']):x})" for member in members)
        raise ConfigError(f"there is no member {text!r}; the members are {names}") from None


class _Shown:
    """A member of an answer."""

    def __init__(self, member: dict[str, Any]) -> None:
        self._member = member
        self.name = str(member.get("name", ""))

    def fields(self) -> dict[str, Any]:
        """Return it for JSON; ids are in hexadecimal, as these verbs take them."""
        return {
            "id": f"{int(self._member['ID']):x}",
            "name": self.name,
            "peer_urls": list(self._member.get("peerURLs", [])),
            "client_urls": list(self._member.get("clientURLs", [])),
            "is_learner": bool(self._member.get("isLearner", False)),
        }


def _changed(answer: dict[str, Any], member: int) -> dict[str, Any]:
    members = [_Shown(one).fields() for one in answer.get("members", [])]
    return {"cluster": f"{_cluster(answer):x}", "member": f"{member:x}", "members": members}


def _cluster(answer: dict[str, Any]) -> int:
    return int(answer.get("header", {}).get("cluster_id", 0))


def _urls(arguments: argparse.Namespace) -> list[str]:
    return [url for text in arguments.peer_urls for url in text.split(",") if url]
