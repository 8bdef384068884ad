"""A Raft key-value store in pure Python that speaks etcd v3's API."""

__version__ = "0.1.0"
