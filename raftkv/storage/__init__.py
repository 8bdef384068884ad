"""Durable storage: the write-ahead log, behind a port to the disk."""
