"""``/raftkv/v1/chaos``: who may ask, and what they are answered; docs/api.md has the shapes."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from raftkv.api import replies
from raftkv.api.access import host_of
from raftkv.api.body import BodyBudget, BodyTooSlow, read_body
from raftkv.api.health import Page, Query
from raftkv.api.own_json import page, refused
from raftkv.api.own_pages import PREFIX
from raftkv.errors import InvalidRequest, MessageTooLarge, NodeStopped, NoSpace, TooManyRequests
from raftkv.faults.control import Faults
from raftkv.faults.orders import decode
from raftkv.faults.token import Token
from raftkv.node.node import Node

MOST_BYTES: Final = 64 * 1024
BUDGET_BYTES: Final = 1024 * 1024
"""Unfinished bodies of all who have the token together."""

LOCALHOST: Final = "localhost"


class FaultPages:
    """The pages of one member's faults. They look at the method themselves."""

    def __init__(self, faults: Faults, token: Token, node: Node) -> None:
        self._faults = faults
        self._token = token
        self._node = node
        self._budget = BodyBudget(BUDGET_BYTES)
        self.routes: dict[str, Page] = {
            f"{PREFIX}chaos": self.chaos,
            f"{PREFIX}chaos/snapshot": self.snapshot,
        }

    async def chaos(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        """Show the faults in force, after doing what a POST orders."""
        if (refusal := self._refusal(request, "GET, POST")) is not None:
            return refusal
        if request.method == "POST":
            try:
                body = await read_body(request, MOST_BYTES, MOST_BYTES, self._budget)
                self._faults.order(decode(body))
            except InvalidRequest as error:
                return _hidden(refused(400, str(error)))
            except (MessageTooLarge, TooManyRequests) as error:
                return _ended(refused(413, f"the body is too large: {error}"))
            except BodyTooSlow:
                return _ended(refused(408, "the body did not come in time"))
        return _hidden(page(self._faults.look()))

    async def snapshot(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        """Take a snapshot now."""
        if (refusal := self._refusal(request, "POST")) is not None:
            return refusal
        try:
            await self._node.snapshot_now()
        except (NoSpace, NodeStopped) as error:
            return _hidden(refused(503, str(error)))
        found = self._node.snapshots()
        if not found:
            return _hidden(refused(503, "nothing is applied yet that a snapshot could hold"))
        index, term, _ = found[-1].snapshot
        return _hidden(page({"index": index, "term": term, "bytes": found[-1].size}))

    def _refusal(self, request: web.BaseRequest, methods: str) -> web.Response | None:
        """Return why a request is not answered, None for a good one."""
        if (reason := _stranger(request)) is not None:
            return _ended(refused(403, reason))
        given = request.headers.getall("Authorization", [])
        if len(given) != 1 or not self._token.fits(given[0]):
            answer = refused(
                401, "send Authorization: Bearer TOKEN, with the token this member was started with"
            )
            answer.headers["WWW-Authenticate"] = "Bearer"
            return _ended(answer)
        if request.method not in methods.split(", "):
            answer = refused(405, f"use {methods}")
            answer.headers["Allow"] = methods
            return _ended(answer)
        return None


def _stranger(request: web.BaseRequest) -> str | None:
    """Return why a request does not come from this machine, by its own will; None if it does."""
    address = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not isinstance(address, tuple) or not is_loopback(str(address[0])):
        return "fault verbs are for whoever is on this machine"
    if not is_loopback(host_of(request)):
        return "call this member by an address of this machine, such as 127.0.0.1"
    own = f"http://{request.headers.get('Host', '')}"
    if any(origin != own for origin in request.headers.getall("Origin", [])):
        return "fault verbs are not for pages of other sites"
    return None


def is_loopback(host: str) -> bool:
    """Whether a name or address is always of this machine itself."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == LOCALHOST
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_local_url(url: str) -> bool:
    """Whether only this machine can reach what listens on a URL."""
    return is_loopback(urlsplit(url).hostname or "")


def _hidden(response: web.Response) -> web.Response:
    """Return an answer that no page of another site may read, and nobody keeps."""
    response.headers["Cache-Control"] = "no-store"
    replies.without_origin(response)
    return response


def _ended(response: web.Response) -> web.Response:
    """Return an answer to a request whose body is not read: the connection ends with it."""
    response.force_close()
    return _hidden(response)
