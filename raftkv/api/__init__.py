"""The door for clients: etcd's JSON gateway over HTTP/1.1, and what belongs beside it."""

from collections.abc import Callable

from raftkv.api.gateway import Gateway
from raftkv.api.port import ClientPort
from raftkv.listeners import Listeners
from raftkv.node.node import Node

__all__ = ["ClientPort", "Gateway", "build"]


def build(node: Node, clock: Callable[[], float], events: Listeners | None = None) -> ClientPort:
    """Return the client port of a node: ``await port.start(urls)``, later ``await port.stop()``.

    ``clock`` tells the seconds since 1970. ``events`` is where those of the node can be heard; without it
    there is no page for them.
    """
    return ClientPort(Gateway(node, clock, events).handle)
