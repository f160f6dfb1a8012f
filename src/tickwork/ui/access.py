"""Who may ask: the Host, the Origin and, where it is needed, a token are checked before anything else.

A page of another site cannot reach the viewer: a name that it had resolve to this machine is no Host of ours
(DNS rebinding), and its Origin is not ours either. Nor can the answers do anything but show: the policy
allows scripts and styles from this server alone, and none of them in the page's text.
"""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_BYTES = 32
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_SAFE_METHODS = ("GET", "HEAD")


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Gate:
    """An ASGI middleware that lets through who may ask. `token` None is for a loopback address only."""

    def __init__(self, app: Asgi, *, host: str, port: int, token: str | None) -> None:
        self._app = app
        self._port = port
        self._token = token
        self._cookie = f"tickwork-{port}"
        self._any_address = host in {"0.0.0.0", "::"}
        names = [*_LOOPBACK_NAMES, host.strip("[]").lower()]
        if self._any_address:
            names.append(socket.gethostname().lower())
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on with the protective headers added to its answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no other protocol is spoken here
        headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")
        if given is not None and self._token is not None and scope["path"] == "/":
            await self._welcome(scope, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: list[tuple[str, str]]) -> tuple[int, str] | None:
        """Return the status and the reason for which a request is refused, or None."""
        hosts = [value for name, value in headers if name == "host"]
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return 403, "the Host of this request is not this server's; use the address that it printed"
        for name, value in headers:
            if name == "origin" and not self._is_own_origin(value):
                return 403, "a page of another origin may not ask this server"
            if name == "sec-fetch-site" and value not in {"same-origin", "none"} and scope["path"] != "/":
                return 403, "a page of another site may not ask this server"
        if scope["method"] not in _SAFE_METHODS and not any(name == "origin" for name, _ in headers):
            return 403, "a request that changes something must state its Origin"
        if self._token is not None and not self._has_token(scope, headers):
            return 401, "this server asks for its token: open the address that it printed, with `?token=`"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            split = urlsplit(f"//{host}")
            name, port = (split.hostname or ""), split.port
        except ValueError:
            return False
        if (
            split.username is not None
            or split.path
            or port not in {self._port, *([None] if self._port == 80 else [])}
        ):
            return False
        return name in self._names or (self._any_address and _is_address(name))

    def _is_own_origin(self, origin: str) -> bool:
        scheme, _, rest = origin.partition("://")
        return scheme == "http" and self._is_ours(rest)

    def _has_token(self, scope: Scope, headers: list[tuple[str, str]]) -> bool:
        assert self._token is not None
        given: list[str] = []
        for name, value in headers:
            if name == "authorization" and value.lower().startswith("bearer "):
                given.append(value[len("bearer ") :])
            if name == "cookie":
                given += _cookie_values(value, self._cookie)
        if scope["path"] == "/":
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            given += [query["token"]] if "token" in query else []
        return any(hmac.compare_digest(value.encode(), self._token.encode()) for value in given)

    async def _welcome(self, scope: Scope, send: Send) -> None:
        """Turn the token of the address into a cookie, so that it stays in no history and no referrer."""
        query = [item for item in parse_qsl(scope["query_string"].decode("latin-1")) if item[0] != "token"]
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        place = "/" + (f"?{urlencode(query)}" if query else "")
        headers = {"location": place, "set-cookie": cookie, "cache-control": "no-store", **HEADERS}
        await _send(send, 303, headers, b"")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookie_values(header: str, name: str) -> list[str]:
    try:
        jar = SimpleCookie(header)
    except CookieError:
        return []
    return [jar[name].value] if name in jar else []


async def _answer(send: Send, status: int, reason: str) -> None:
    body = msgspec.json.encode({"error": reason})
    headers = {"content-type": "application/json", "cache-control": "no-store", **HEADERS}
    await _send(send, status, headers, body)


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    headers = {**headers, "content-length": str(len(body))}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
