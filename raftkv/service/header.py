"""The header of a reply: who answered, at which revision, in which term."""

from raftkv.node.node import Node
from raftkv.schema.kv import ResponseHeader


def complete(header: ResponseHeader | None, node: Node) -> None:
    """Add to a header, which holds a revision, the ids and the term of the member that answers."""
    assert header is not None, "a response of the state machine has a header"
    header.cluster_id = node.cluster_id
    header.member_id = node.member_id
    header.raft_term = node.term
