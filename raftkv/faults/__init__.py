"""Faults that a member started with ``--chaos`` can be told to have: of its disks, peer links and wall clock.

Each is a wrapper around the real thing, put in by ``server.build`` and by nobody else: no module of the node
knows that there are faults. They are told over HTTP (``page``), to whoever has the token and is on this
machine, and end with the process at the latest.
"""
