"""The replicated state machine: a multi-version key-value store, members and request ids.

Pure: no clock, chance, files or tasks, and nothing known of Raft. The node feeds it committed
entries through ``Machine``; every member that applied the same entries holds the same content.
"""
