"""Which request goes where: etcd's multiplexer.

A hot route is found by its raw path in one lookup; everything else takes the long way, where paths are
decoded and cleaned and the refusals are made.
"""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from aiohttp import web

from raftkv.api import paths, replies
from raftkv.api.access import Access
from raftkv.api.health import Page, Query
from raftkv.api.json_gateway import JsonGateway
from raftkv.api.metrics import MetricsPage
from raftkv.api.web_pages import WebPages
from raftkv.listeners import Listeners
from raftkv.node.node import Node
from raftkv.node.tally import Traffic

METRICS = "/metrics"


class Gateway:
    """Everything a node serves over HTTP/1.1; ``clock`` tells the seconds since 1970."""

    def __init__(
        self,
        node: Node,
        clock: Callable[[], float],
        events: Listeners | None = None,
        traffic: Traffic | None = None,
        more: Mapping[str, Page] | None = None,
    ) -> None:
        """``more``: pages by their path that look at the method themselves."""
        self._calls = JsonGateway(node, clock)
        self._pages = WebPages(node, events)
        self._metrics = MetricsPage(node, self._calls.calls, self._pages.health, traffic or Traffic())
        self._watched: dict[str, Page] = dict(self._pages.health.routes)
        self._more: dict[str, Page] = {METRICS: self._metrics, **(more or {})}
        self._access = Access(node.config.host_whitelist, node.config.cors)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if not self._access.restricted:
            return await self._route(request)
        if (refusal := self._access.refusal(request)) is not None:
            return refusal
        self._access.note_origin(request)
        response = await self._route(request)
        return response if response.prepared else replies.fit_to_origin(response)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._calls.routes.get(request.raw_path)
        if route is None or request.method == "OPTIONS":
            return await self._handle_other(request)
        return await self._calls.handle(request, route)

    async def _handle_other(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return replies.empty()
        target = paths.parse(request.raw_path)
        cleaned = paths.clean(target.path)
        if cleaned == "/v3":
            cleaned = "/v3/"
        if cleaned != target.path:
            return replies.moved(request.method, paths.location(target._replace(path=cleaned)))
        if target.path.startswith("/v3/"):
            route = self._calls.routes.get(target.path)
            return await self._calls.handle(request, route) if route else replies.text_error(404, "Not Found")
        if (page := self._more.get(target.path)) is not None:
            return await page(request, _query_of(target))
        return await _show(request, target, self._pages.routes.get(target.path))

    async def handle_watched(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to ``--listen-metrics-urls``: metrics and health, and nothing else."""
        target = paths.parse(request.raw_path)
        if target.path == METRICS:
            return replies.without_origin(await self._metrics(request, {}))
        return replies.without_origin(await _show(request, target, self._watched.get(target.path)))


async def _show(request: web.BaseRequest, target: paths.Target, page: Page | None) -> web.StreamResponse:
    if page is None:
        return replies.text_error(404, "404 page not found")
    if request.method != "GET":
        return replies.not_allowed(Allow="GET")
    return await page(request, _query_of(target))


def _query_of(target: paths.Target) -> Query:
    return parse_qs(target.query.removeprefix("?"), keep_blank_values=True)
