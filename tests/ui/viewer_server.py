"""A viewer in a process of its own, as a user starts it, and a client that can ask anything."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

COMMAND = (sys.executable, "-m", "tickwork", "ui")


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    process: "subprocess.Popen[str]"
    address: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return self.address.split("/?")[0].rstrip("/")

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port
        return port

    def request(
        self, path: str, *, method: str = "GET", body: object = None, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def ask(self, path: str, **asked: object) -> Any:
        """Return the answer; fails the test unless there is one."""
        reply = self.request(f"/api/{path}" + (f"?{urlencode(asked)}" if asked else ""))
        assert reply.status == 200, reply.body
        return reply.json

    def refused(self, path: str, **asked: object) -> tuple[int, str]:
        reply = self.request(f"/api/{path}?{urlencode(asked)}")
        assert reply.status >= 400
        return reply.status, reply.json["error"]

    @contextmanager
    def events(self, path: str, **asked: object) -> Iterator[Iterator[tuple[str, Any]]]:
        """Listen; yields the events as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/api/{path}?{urlencode(asked)}", headers=self.headers)
            yield _events(connection.getresponse())
        finally:
            connection.close()


def all_read(served: Server, run: str) -> None:
    """Wait until all of a finished run was read."""
    with served.events("events", run=run) as events:
        for _, standing in events:
            if standing["indexed"] == standing["end_tick"] > standing["first_tick"]:
                return


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    kind = ""
    while line := answer.readline():
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            kind = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield kind, json.loads(text.removeprefix("data: "))


@contextmanager
def viewer(place: Path, *options: object, command: Sequence[str] = COMMAND) -> Iterator[Server]:
    """Serve `place` on a free port until the block ends, which must end the process too."""
    process = subprocess.Popen(
        [*command, str(place), "--port", "0", *map(str, options)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=place if place.is_dir() else place.parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(r"tickwork ui: (http://\S+)\n", line)
        assert found, line
        served = Server(process, found[1])
        # Answered by whoever serves, which says that Ctrl-C is heard as well.
        served.request("/")
        yield served
        process.send_signal(signal.SIGINT)
        # It gives way to everything else on the machine.
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
