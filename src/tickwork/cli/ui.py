"""`tickwork ui`: see run files in a browser."""

import socket
import webbrowser
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_line, say
from tickwork.core.errors import InputError

_LOOPBACK = "127.0.0.1"
_PORT = 7377
# Streams of events never end by themselves.
_LAST_WORDS_S = 1


def ui(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE|DIR", help="A run file, or a folder of them; . if not given."),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="The port; 0 takes any that is free.")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Another address to be reached at; needs the token that is printed.")
    ] = _LOOPBACK,
    *,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    allow_fork: Annotated[
        bool, typer.Option("--allow-fork", help="Let the page make forks beside the runs; needs the token.")
    ] = False,
) -> None:
    """Serve a page that shows run files: read-only, also while they are being written."""
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"the viewer needs {' and '.join(missing)}; install it with: pip install 'tickwork[ui]'"
        )
    from tickwork.ui.library import Library  # noqa: PLC0415 - needs the extra
    from tickwork.ui.serve import Served, serve  # noqa: PLC0415 - needs the extra

    library = Library(file or Path())
    served = Served(library, host, _listen(host, port), version("tickwork"), allow_fork=allow_fork)
    print_line(f"tickwork ui: {served.address}")
    if served.token is not None:
        say("whoever has this address may read the runs" + (" and make forks" if allow_fork else ""))
    if open_:
        webbrowser.open(served.address)
    serve(served, last_words_s=_LAST_WORDS_S)


def _listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; without a wish, on our port or, if that is taken, on any."""
    for wanted in (_PORT, 0) if port is None else (port,):
        try:
            return _bound(host, wanted)
        except OSError as error:
            if port is not None or wanted == 0:
                place = host if port is None else f"{host}, port {port}"
                raise InputError(f"cannot listen on {place}: {error.strerror or error}") from None
    raise AssertionError


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
