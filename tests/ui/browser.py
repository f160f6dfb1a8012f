"""Real browsers, headless: Chromium by the DevTools protocol, Firefox by WebDriver BiDi."""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any, Protocol
from urllib.request import urlopen

import pytest

WIDE, HIGH = 1360, 850
_START_TRIES = 400
_WAIT_TRIES = 500
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_FIREFOX = ("firefox-esr", "firefox")
# Keys that are no characters: their names, and their code points in WebDriver.
_KEYS = {
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
    "Home": "\ue011",
    "End": "\ue010",
    "Enter": "\ue007",
    "Escape": "\ue00c",
}


class Browser(Protocol):
    """One page. `complaints` are its errors so far: exceptions, and what its policy refused."""

    complaints: list[str]

    def open(self, address: str) -> None: ...
    def evaluate(self, script: str) -> Any: ...
    def press(self, key: str) -> None: ...
    def resize(self, wide: int, high: int) -> None: ...
    def screenshot(self, path: Path) -> None: ...


def until(browser: Browser, script: str) -> Any:
    """Return the first value of `script` that is true; fails the test if none comes in half a minute."""
    found = None
    for _ in range(_WAIT_TRIES):
        found = browser.evaluate(script)
        if found:
            return found
        Event().wait(0.05)
    shown = browser.evaluate("document.body?.innerText.slice(0, 1500)")
    pytest.fail(f"never came true: {script}\nthe page says:\n{shown}\ncomplaints: {browser.complaints}")
    return found


class _Socket:
    """Commands and their answers over a WebSocket; what else comes is given to `heard`."""

    def __init__(self, address: str) -> None:
        websockets = pytest.importorskip("websockets.sync.client", reason="needs the package websockets")
        self._open = ExitStack()
        self._socket = self._open.enter_context(websockets.connect(address, max_size=None))
        self._last = 0

    def command(self, heard: Any, method: str, **params: object) -> Any:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._last:
                assert "error" not in message, (method, message)
                return message.get("result")
            heard(message)

    def close(self) -> None:
        self._open.close()


class Chromium:
    """A tab of Chromium."""

    def __init__(self, port: int) -> None:
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            pages = [page for page in json.load(answer) if page["type"] == "page"]
        self._socket = _Socket(pages[0]["webSocketDebuggerUrl"])
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self._command(f"{domain}.enable")
        self.resize(WIDE, HIGH)

    def _command(self, method: str, **params: object) -> Any:
        return self._socket.command(self._heard, method, **params)

    def _heard(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    def open(self, address: str) -> None:
        self._command("Page.navigate", url="about:blank")
        self._command("Page.navigate", url=address)
        if address != "about:blank":
            until(self, "location.href !== 'about:blank' && document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        found = self._command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self._command("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._command("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._command("Page.captureScreenshot", format="png")["data"]))

    def resize(self, wide: int, high: int) -> None:
        size = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", **size)

    def close(self) -> None:
        self._socket.close()


class Firefox:
    """A tab of Firefox."""

    def __init__(self, port: int) -> None:
        self._socket = _Socket(f"ws://127.0.0.1:{port}/session")
        self.complaints: list[str] = []
        self._command("session.new", capabilities={})
        self._command("session.subscribe", events=["log.entryAdded"])
        self._context = self._command("browsingContext.getTree")["contexts"][0]["context"]
        self.resize(WIDE, HIGH)

    def _command(self, method: str, **params: object) -> Any:
        return self._socket.command(self._heard, method, **params)

    def _heard(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "log.entryAdded" and params["level"] == "error":
            self.complaints.append(str(params.get("text")))

    def open(self, address: str) -> None:
        for place in ("about:blank", address):
            self._command("browsingContext.navigate", context=self._context, url=place, wait="complete")

    def evaluate(self, script: str) -> Any:
        target = {"context": self._context}
        # By JSON: BiDi's own values are typed trees.
        asked = f"Promise.resolve({script}).then((found) => JSON.stringify(found ?? null))"
        found = self._command("script.evaluate", expression=asked, target=target, awaitPromise=True)
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])

    def press(self, key: str) -> None:
        value = _KEYS.get(key, key)
        actions = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        keys = {"type": "key", "id": "keys", "actions": actions}
        self._command("input.performActions", context=self._context, actions=[keys])

    def screenshot(self, path: Path) -> None:
        found = self._command("browsingContext.captureScreenshot", context=self._context)
        path.write_bytes(base64.b64decode(found["data"]))

    def resize(self, wide: int, high: int) -> None:
        size = {"width": wide, "height": high}
        self._command("browsingContext.setViewport", context=self._context, viewport=size)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browser(name: str) -> Iterator[Browser]:
    """Start a browser of this name with a fresh profile; skips the test where there is none."""
    names = _CHROMIUM if name == "chromium" else _FIREFOX
    program = next((found for each in names if (found := shutil.which(each))), None)
    if program is None:
        pytest.skip(f"no {name} here; on Debian: apt-get install {names[0]}")
    pytest.importorskip("websockets", reason="needs the package websockets")
    with tempfile.TemporaryDirectory(prefix="tickwork-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            _command(name, program, profile), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        page: Chromium | Firefox | None = None
        try:
            port = _port(process)
            page = Chromium(port) if name == "chromium" else Firefox(port)
            yield page
        finally:
            if page is not None:
                page.close()
            process.terminate()
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _command(name: str, program: str, profile: str) -> list[str]:
    if name == "firefox":
        return [program, "--headless", "--profile", profile, "--remote-debugging-port", "0"]
    # Chromium's own sandbox cannot be set up by root, as whom containers often run tests.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    options = ["--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    place = [f"--user-data-dir={profile}", "--remote-debugging-port=0"]
    return [program, *options, *sandbox, *place, f"--window-size={WIDE},{HIGH}", "about:blank"]


def _port(process: "subprocess.Popen[str]") -> int:
    """Return the port that a browser says it listens on."""
    assert process.stderr
    for _ in range(_START_TRIES):
        line = process.stderr.readline()
        found = re.search(r"(?:DevTools|WebDriver BiDi) listening on ws://[^:]+:(\d+)", line)
        if found:
            return int(found[1])
        if process.poll() is not None:
            break
    pytest.fail("the browser did not start")
    return 0
