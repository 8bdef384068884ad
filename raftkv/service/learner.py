"""What a learner answers: the rest of the API is for members that vote."""

from typing import Any

from raftkv.errors import NotSupportedForLearner
from raftkv.node.node import Node
from raftkv.schema.kv import RangeRequest
from raftkv.schema.maintenance import SnapshotRequest, StatusRequest

ANSWERED = (StatusRequest, SnapshotRequest)
"""Requests that a learner answers as any member does."""


def check_learner(node: Node, request: Any) -> None:
    """Raise NotSupportedForLearner if ``node`` is a learner and ``request`` is not for one.

    As in etcd it is one once it has applied its own addition.
    """
    if isinstance(request, ANSWERED) or (isinstance(request, RangeRequest) and request.serializable):
        return
    if node.is_learner:
        raise NotSupportedForLearner(f"{type(request).__name__} on a learner")
