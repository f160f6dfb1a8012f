"""What tests do on a page, whichever browser shows it."""

import json

from browser import Browser, until
from viewer_server import Server

PAGES = ("timeline", "tick", "search", "inference", "compare", "fork")


def address(server: Server, name: str, **asked: object) -> str:
    query = "&".join(f"{key}={value}" for key, value in asked.items())
    return f"{server.origin}/#/{name}?{query}"


def text(page: Browser) -> str:
    return str(page.evaluate("document.body.innerText"))


def drawn(page: Browser, how: str) -> None:
    until(page, f"document.querySelector('.timeline')?.dataset.drawn === {json.dumps(how)}")


def click(page: Browser, kind: str, told: str) -> None:
    """Click the element of a kind with this text, as soon as there is one."""
    every = f"[...document.querySelectorAll({json.dumps(kind)})]"
    found = f"{every}.find((one) => one.textContent === {json.dumps(told)})"
    until(page, f"Boolean({found})")
    page.evaluate(f"{found}.click()")
