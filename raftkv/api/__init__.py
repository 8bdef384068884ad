"""The door for clients: etcd's JSON gateway over HTTP/1.1, and what belongs beside it."""

from collections.abc import Callable, Mapping

from raftkv.api.gateway import Gateway
from raftkv.api.health import Page
from raftkv.api.port import ClientPort
from raftkv.listeners import Listeners
from raftkv.node.node import Node
from raftkv.node.tally import Traffic

__all__ = ["ClientPort", "Gateway", "build", "build_both"]


def build(node: Node, clock: Callable[[], float], events: Listeners | None = None) -> ClientPort:
    """Return the client port of a node: ``await port.start(urls)``, later ``await port.stop()``.

    ``clock`` tells the seconds since 1970. ``events`` is where those of the node can be heard; without it
    there is no page for them.
    """
    return ClientPort(Gateway(node, clock, events).handle)


def build_both(
    node: Node,
    clock: Callable[[], float],
    events: Listeners,
    traffic: Traffic,
    more: Mapping[str, Page] | None = None,
) -> tuple[ClientPort, ClientPort]:
    """Return the client port of a node, and the one for whoever watches it (``--listen-metrics-urls``).

    ``traffic`` is where that with the other members is counted, ``more`` has pages for the client port.
    """
    gateway = Gateway(node, clock, events, traffic, more)
    return ClientPort(gateway.handle), ClientPort(gateway.handle_watched)
