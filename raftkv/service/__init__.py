"""etcd's services over a node: schema request in, schema response with a full header out.

Free of HTTP and gRPC; both are adapters on top.
"""

from raftkv.service.cluster import ClusterService
from raftkv.service.kv import KvService
from raftkv.service.lease import LeaseService
from raftkv.service.maintenance import MaintenanceService
from raftkv.service.watch import WatchService

__all__ = ["ClusterService", "KvService", "LeaseService", "MaintenanceService", "WatchService"]
