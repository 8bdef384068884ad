"""The two directions of etcd's JSON mapping under one name."""

from raftkv.schema.json_decode import decode
from raftkv.schema.json_encode import encode, encode_chunks, quote

__all__ = ["decode", "encode", "encode_chunks", "quote"]
