"""The members' addresses, and which of them is asked first."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit


class Endpoint(NamedTuple):
    """One member's client address."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read ``http://host:port``; raises ``ValueError`` with a text for people."""
        parts = urlsplit(url if "//" in url else f"//{url}")
        if parts.scheme not in ("", "http") or parts.hostname is None or parts.port is None:
            raise ValueError(f"endpoint {url!r}: expected http://HOST:PORT")
        return cls(parts.hostname, parts.port)

    @property
    def url(self) -> str:
        """The address as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class Endpoints:
    """All addresses of a cluster; calls begin at the one that answered last."""

    def __init__(self, urls: Sequence[str]) -> None:
        if isinstance(urls, str) or not urls:
            raise ValueError("a list of at least one endpoint is needed")
        self.all = tuple(Endpoint.parse(url) for url in urls)
        self.first = 0

    def leave(self, place: int) -> None:
        """Let later calls begin at the next one; nothing changes if another call has seen to that."""
        if self.first == place:
            self.first = (place + 1) % len(self.all)
