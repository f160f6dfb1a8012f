"""The viewer's server: routes, errors as answers, and the page with everything that belongs to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tickwork.core.errors import InputError, TickworkError
from tickwork.ui.access import Asgi, Gate
from tickwork.ui.answers import Viewer
from tickwork.ui.endpoints import COMPARE, ENDPOINTS, FOLLOW, Endpoint, Stream, openapi
from tickwork.ui.events import standings

# Questions that are answered at once; each may hold some MiB.
_AT_ONCE = 8
_BODY_BYTES_MAX = 2_000_000
_BODY_S = 10.0
_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def create_app(viewer: Viewer, *, host: str, port: int, token: str | None) -> Asgi:
    """Return the viewer as an ASGI application that answers only who may ask; see `Gate`."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(viewer.close)

    limiter = anyio.CapacityLimiter(_AT_ONCE)
    routes = [_route(viewer, endpoint, limiter) for endpoint in ENDPOINTS]
    routes.append(Route(FOLLOW.path, _following(viewer)))
    routes.append(Route(COMPARE.path, _comparing(viewer)))
    described = _json(openapi())
    routes.append(Route("/api/openapi.json", lambda _: described))
    routes += [Route(path, _file(content, kind)) for path, content, kind in _pages()]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _not_found})
    return Gate(app, host=host, port=port, token=token)


def _pages() -> list[tuple[str, bytes, str]]:
    """Return all that the page is made of. Read once: a request never names a file."""
    found = []
    for file in sorted(_STATIC.iterdir()):
        kind = _TYPES.get(file.suffix)
        if kind is not None:
            path = "/" if file.name == "index.html" else f"/static/{file.name}"
            found.append((path, file.read_bytes(), kind))
    return found


def _file(content: bytes, kind: str) -> Callable[[Request], Response]:
    headers = {"cache-control": "no-cache", "content-type": kind}
    return lambda _: Response(content, headers=headers)


def _json(answer: object, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    body = msgspec.json.encode(answer)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def _refusal(status: int, reason: str) -> Response:
    return _json({"error": reason}, status)


def _not_found(_: Request, __: Exception) -> Response:
    return _refusal(404, "there is nothing at this address")


def _route(viewer: Viewer, endpoint: Endpoint, limiter: anyio.CapacityLimiter) -> Route:
    missing = 400 if endpoint.method == "POST" else 404

    async def answer(request: Request) -> Response:
        try:
            async with asyncio.timeout(_BODY_S):
                query = await _asked(request, endpoint)
        except TimeoutError:
            return _refusal(408, f"{endpoint.path}: the body did not come within {_BODY_S:.0f} s")
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            return _refusal(400, f"{endpoint.path}: {error}")
        try:
            found = await anyio.to_thread.run_sync(endpoint.handler, viewer, query, limiter=limiter)
            return _json(found)
        except InputError as error:
            return _refusal(missing, _without_places(viewer, str(error)))
        except (TickworkError, OSError) as error:
            return _refusal(422, _without_places(viewer, str(error)))

    return Route(endpoint.path, answer, methods=[endpoint.method])


def _without_places(viewer: Viewer, reason: str) -> str:
    """Return a reason without where on this machine the files lie."""
    return reason.replace(f"{viewer.library.root}/", "")


async def _asked(request: Request, endpoint: Endpoint) -> msgspec.Struct:
    if endpoint.method != "POST":
        found: msgspec.Struct = _converted(request, endpoint.query)
        return found
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ValueError("the body must be JSON, and say so")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY_BYTES_MAX:
            raise ValueError(f"the body is longer than {_BODY_BYTES_MAX} bytes")
    asked: msgspec.Struct = msgspec.json.decode(body, type=endpoint.query)
    return asked


def _converted(request: Request, kind: type[msgspec.Struct]) -> Any:
    return msgspec.convert(dict(request.query_params), kind, strict=False)


def _streamed(events: AsyncIterator[bytes]) -> Response:
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def _stream_query(request: Request, stream: Stream) -> Any:
    return _converted(request, stream.query)


def _following(viewer: Viewer) -> Callable[[Request], Any]:
    async def follow(request: Request) -> Response:
        try:
            query = _stream_query(request, FOLLOW)
            # Once: the file may go and come back while somebody listens.
            path = viewer.library.path(query.run)
        except (msgspec.ValidationError, InputError) as error:
            return _refusal(404, str(error))
        return _streamed(standings(lambda: viewer.followers.get(path)))

    return follow


def _comparing(viewer: Viewer) -> Callable[[Request], Any]:
    async def compare(request: Request) -> Response:
        try:
            query = _stream_query(request, COMPARE)
            a, b = viewer.library.path(query.a), viewer.library.path(query.b)
        except (msgspec.ValidationError, InputError) as error:
            return _refusal(404, str(error))
        return _streamed(viewer.comparisons.watch(a, b, (query.a, query.b)))

    return compare
