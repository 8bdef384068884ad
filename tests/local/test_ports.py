"""Ports: free or not, and who has them."""

import os
import socket

import pytest

from raftkv.local import ports
from raftkv.local.layout import DEFAULT_PORTS


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_is_free_when_nobody_listens_and_else_its_owner_is_named(host: str) -> None:
    with socket.socket() as listener:
        listener.bind((host, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.owner(port).startswith(f"pid {os.getpid()} (")
    assert ports.is_free(port)


def test_connections_that_linger_after_a_restart_do_not_count() -> None:
    """The server closed first, so its side waits for a minute in the system's tables."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        server, _ = listener.accept()
    server.close()
    client.close()
    assert ports.is_free(port)
    assert ports.owner(port) == "a connection that is closing; try again in a minute"


def test_a_client_s_own_port_has_that_client_as_owner() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as client:
            server, _ = listener.accept()
            with server:
                port = client.getsockname()[1]
                assert ports.owner(port).startswith(f"pid {os.getpid()} (")


def test_the_owner_of_a_port_that_nobody_has_is_not_made_up() -> None:
    assert ports.owner(ports.free_ports(1)[0]) == "a process that this user can't see"


def test_a_long_command_line_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "command_line", lambda pid: "x" * 500)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        text = ports.owner(listener.getsockname()[1])
    assert text.endswith("x...)")
    assert len(text) < 150


def test_free_ports_are_different_free_and_below_those_of_outgoing_connections() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert all(10_000 <= port < 32_768 for port in found)
    assert not set(found) & set(DEFAULT_PORTS)
    assert all(ports.is_free(port) for port in found)
