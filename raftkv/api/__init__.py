"""The door for clients: etcd's JSON gateway over HTTP/1.1, and what belongs beside it."""

from raftkv.api.gateway import Gateway
from raftkv.api.port import ClientPort
from raftkv.node.node import Node

__all__ = ["ClientPort", "Gateway", "build"]


def build(node: Node) -> ClientPort:
    """Return the client port of a node: ``await port.start(urls)``, later ``await port.stop()``."""
    return ClientPort(Gateway(node).handle)
