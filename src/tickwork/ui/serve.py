"""Runs the viewer's server until it is interrupted."""

import asyncio
import logging
import os
import socket

import uvicorn

from tickwork.ui.access import is_loopback, new_token
from tickwork.ui.answers import Viewer
from tickwork.ui.app import create_app
from tickwork.ui.connection import HEAD_BYTES_MAX, BoundedConnection
from tickwork.ui.forks import Forks
from tickwork.ui.library import Library

# Beyond it requests are refused with 503. A page takes one or two.
CONNECTIONS_MAX = 256
# Of 0 to 19; a process at 15 gets about a thirtieth of what one at 0 gets of a processor that both want.
_NICENESS = 15


class Served:
    """A viewer that is about to be served on a socket that listens.

    There is a token where others than this machine's user could ask, or where asking can change something.
    """

    def __init__(
        self, library: Library, host: str, listener: socket.socket, version: str, *, allow_fork: bool
    ) -> None:
        self.listener = listener
        self.viewer = Viewer(library, version, Forks(library) if allow_fork else None)
        self.host = host
        self.port: int = listener.getsockname()[1]
        self.token = None if is_loopback(host) and not allow_fork else new_token()

    @property
    def address(self) -> str:
        """The address to open, with the token if there is one."""
        name = self.host if self.host not in {"0.0.0.0", "::"} else socket.gethostname()
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/" + ("" if self.token is None else f"?token={self.token}")


def serve(served: Served, *, last_words_s: int) -> None:
    """Serve until SIGINT or SIGTERM; `last_words_s` is how long answers under way may still take then."""
    _give_way()
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    try:
        app = create_app(served.viewer, host=served.host, port=served.port, token=served.token)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=last_words_s,
            ws="none",
            limit_concurrency=CONNECTIONS_MAX,
            http=BoundedConnection,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        uvicorn.Server(config).run(sockets=[served.listener])
    except KeyboardInterrupt:
        pass  # uvicorn shuts down and raises again what ended it: that is how a server is meant to end
    finally:
        served.viewer.close()
        served.listener.close()


def _give_way() -> None:
    """Leave the processors to whoever records: what is shown may come later, what runs may not.

    Forks that are made from the page give way, too: they are processes of this one.
    """
    if hasattr(os, "nice"):
        os.nice(_NICENESS)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a record is worth a line: that answers under way were cut off at the end is not.

    Streams of events never end by themselves, so with every page that is open there are some.
    """
    if record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError):
        return False
    return "timeout graceful shutdown exceeded" not in record.getMessage()
