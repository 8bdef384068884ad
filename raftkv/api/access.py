"""Who may ask: the names under which a member is called, and the origins that a browser may call it from.

``--host-whitelist`` keeps pages of other sites from calling a member through a name of their own that they
let point to it (CVE-2018-5702); ``--cors`` names the sites whose pages may read answers.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web

from raftkv.api import replies

EVERYTHING = "*"

_REFUSAL = """
raftkv received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Use one of the names that the member was started with.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. raftkv serve --host-whitelist "{host}"

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
"""


class Access:
    """The two lists of one member; ``restricted`` tells whether any of them says anything."""

    def __init__(self, hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._any_host = EVERYTHING in hosts or not hosts
        self._any_origin = EVERYTHING in origins
        self.restricted = not (self._any_host and self._any_origin)

    def refusal(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Return the answer to a request under a name that is not listed, None for a good one."""
        if self._any_host:
            return None
        host = host_of(request)
        if host in self._hosts:
            return None
        return replies.without_origin(replies.text_error(421, _REFUSAL.format(host=host)))

    def note_origin(self, request: web.BaseRequest) -> None:
        """Let every answer to ``request`` name its origin if it is listed, and none otherwise."""
        if not self._any_origin:
            origin = request.headers.get("Origin", "")
            replies.origin_allowed.set(origin if origin in self._origins else None)


def is_foreign(request: web.BaseRequest) -> bool:
    """Whether a page of a site that is not listed asks, and not one of this member's own.

    A browser lets every page open a WebSocket and read from it: there it is for the server to look.
    """
    origin = request.headers.get("Origin", "")
    own = origin.partition("://")[2] == request.headers.get("Host", "")
    return bool(origin) and not own and replies.origin_allowed.get() is None


def host_of(request: web.BaseRequest) -> str:
    """Return the name that a request was sent to, without a port: that of an absolute URL comes first.

    Nothing, which is nobody's name, for a URL that is none.
    """
    raw = request.raw_path
    try:
        named = "" if raw.startswith("/") else urlsplit(raw).netloc
    except ValueError:
        return ""
    host: str = named or request.headers.get("Host", "")
    name, colon, port = host.rpartition(":")
    if not colon or not port.isascii() or not (port.isdigit() or not port):
        return host
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name
