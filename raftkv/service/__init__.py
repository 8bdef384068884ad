"""etcd's services over a node: schema request in, schema response with a full header out.

Free of HTTP and gRPC; both are adapters on top.
"""

from raftkv.service.cluster import ClusterService
from raftkv.service.election import ElectionService
from raftkv.service.kv import KvService
from raftkv.service.lease import LeaseService
from raftkv.service.lock import LockService
from raftkv.service.maintenance import MaintenanceService
from raftkv.service.recipes import Events
from raftkv.service.watch import WatchService

__all__ = [
    "ClusterService",
    "ElectionService",
    "Events",
    "KvService",
    "LeaseService",
    "LockService",
    "MaintenanceService",
    "WatchService",
]
