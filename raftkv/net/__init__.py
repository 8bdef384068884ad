"""Peers over HTTP: one long-lived stream a direction, opened by the sender.

``transport`` is the whole, ``outgoing`` what this member sends, ``incoming`` the peer port;
``handshake`` says who may talk to whom and ``frames`` cuts the byte stream into messages. ``snapshots``
carries the files for members that are too far behind.
"""
