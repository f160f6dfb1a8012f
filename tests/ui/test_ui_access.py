"""Nobody but who may ask gets an answer, and no answer is more than an answer."""

import http.client
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from urllib.parse import quote

import pytest
from viewer_server import Server, viewer

from tickwork.runtime.clock import monotonic_s
from tickwork.ui.access import POLICY, is_loopback
from tickwork.ui.library import Library
from tickwork.ui.serve import CONNECTIONS_MAX


def raw(port: int, request: bytes, timeout_s: float = 10) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        connection.sendall(request)
        return connection.recv(65536)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "x@127.0.0.1:{port}", ""]
)
def test_a_request_to_another_host_is_refused(server: Server, host: str) -> None:
    reply = server.request("/api/runs", headers={"Host": host.format(port=server.port)})
    assert reply.status == 403
    assert "runs" not in reply.json


def test_a_request_with_two_hosts_is_refused(server: Server) -> None:
    ours = f"127.0.0.1:{server.port}"
    reply = raw(server.port, f"GET /api/runs HTTP/1.1\r\nHost: {ours}\r\nHost: evil\r\n\r\n".encode())
    assert reply.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_every_name_of_the_loopback_address_is_served(server: Server, name: str) -> None:
    assert server.request("/api/runs", headers={"Host": f"{name}:{server.port}"}).status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_a_page_of_another_origin_is_refused(server: Server, origin: str) -> None:
    reply = server.request("/api/runs", headers={"Origin": origin.format(port=server.port)})
    assert reply.status == 403


def test_a_request_that_another_site_made_the_browser_send_is_refused(server: Server) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert server.request("/api/runs", headers=headers).status == 403
    assert server.request("/static/main.js", headers=headers).status == 403
    # Following a link to the page is no harm: the page is no secret, and asks for itself.
    assert server.request("/", headers=headers).status == 200


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/runs", "/api/nothing", "/api/run?run=x"])
def test_every_answer_has_the_policy(server: Server, path: str) -> None:
    headers = server.request(path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_the_policy_allows_no_script_from_elsewhere_and_none_in_the_text() -> None:
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(
    "name",
    [
        "../secret.tick",
        "sub/../../secret.tick",
        "/etc/passwd",
        "..",
        ".",
        "",
        "usual.tick/../usual.tick",
        "usual.tick\0",
        "..\\secret.tick",
        "link.tick",
        "linked/secret.tick",
        "usual",
        "notes.txt",
    ],
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "inner"
    (inner / "sub").mkdir(parents=True)
    (inner / "usual.tick").write_bytes(b"x")
    (inner / "notes.txt").write_bytes(b"x")
    (tmp_path / "secret.tick").write_bytes(b"x")
    (inner / "link.tick").symlink_to(tmp_path / "secret.tick")
    (inner / "linked").symlink_to(tmp_path)
    library = Library(inner)
    assert library.path("usual.tick") == (inner / "usual.tick").resolve()
    with pytest.raises(Exception, match="no run file"):
        library.path(name)


def test_a_link_to_a_run_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.tick").write_bytes(b"x")
    (tmp_path / "link.tick").symlink_to(tmp_path / "real.tick")
    assert Library(tmp_path).path("link.tick").name == "real.tick"


@pytest.mark.parametrize(
    "path", ["/static/../answers.py", "/static/%2e%2e/app.py", "/static/", "/..", "/static/x"]
)
def test_no_path_leads_to_another_file(server: Server, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n"
    assert raw(server.port, request.encode()).startswith(b"HTTP/1.1 404")


def test_a_viewer_of_one_file_shows_no_other(runs: Path) -> None:
    with viewer(runs / "usual.tick") as served:
        assert [row["file"] for row in served.ask("runs")["runs"]] == ["usual.tick"]
        assert served.refused("run", run="fork.tick")[0] == 404


def test_no_error_says_where_the_files_lie(server: Server, runs: Path) -> None:
    for path in (
        "run?run=torn.tick",
        "tick?run=usual.tick&tick=9999",
        "run?run=text.tick",
        "turn?run=torn.tick&tick=1&agent=a",
    ):
        reply = server.request(f"/api/{path}")
        assert reply.status >= 400
        assert str(runs) not in reply.json["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written_without_allow_fork(server: Server, runs: Path, method: str) -> None:
    before = sorted(found.name for found in runs.iterdir())
    order = {"run": "usual.tick", "tick": 1, "name": "made"}
    headers = {"Origin": server.origin, "Content-Type": "application/json"}
    for path in ("/api/forks", "/api/runs", "/api/run", "/"):
        assert server.request(path, method=method, body=order, headers=headers).status >= 400
    assert sorted(found.name for found in runs.iterdir()) == before


def test_looking_at_every_run_changes_no_byte_of_it(server: Server, runs: Path) -> None:
    files = {found: found.read_bytes() for found in runs.glob("*.tick")}
    for name in ("usual.tick", "fork.tick", "hostile.tick"):
        server.ask("timeline", run=name)
        server.ask("tick", run=name, tick=1 if name == "hostile.tick" else 5)
        server.ask("search", run=name, text="e")
    assert {found: found.read_bytes() for found in runs.glob("*.tick")} == files
    assert sorted(runs.glob("*.tick")) == sorted(files)


# ---- requests that are long, slow or many


def closed_after(connection: socket.socket, limit_s: float) -> float:
    """Return how long it takes until the other side closes; fails the test beyond the limit."""
    connection.settimeout(limit_s)
    begin = monotonic_s()
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return monotonic_s() - begin


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /api/runs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: "],
    ids=["nothing", "half a head"],
)
def test_a_request_that_does_not_come_is_not_waited_for(quick: Server, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", quick.port), 10) as connection:
        connection.sendall(begun.replace(b"{port}", b"%d" % quick.port))
        assert closed_after(connection, 5) < 4
    assert quick.ask("server")["api"] == 1


def test_a_body_that_does_not_come_is_not_waited_for(quick: Server) -> None:
    host = f"127.0.0.1:{quick.port}"
    head = f"POST /api/forks HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Length: 9\r\n"
    reply = raw(quick.port, f"{head}Content-Type: application/json\r\n\r\n[".encode())
    assert reply.startswith(b"HTTP/1.1 408")


def test_a_request_that_trickles_in_is_not_waited_for(quick: Server) -> None:
    with socket.create_connection(("127.0.0.1", quick.port), 10) as connection:
        begin = monotonic_s()
        with suppress(ConnectionError):
            while monotonic_s() - begin < 5:
                connection.sendall(b"G")
                Event().wait(0.05)
        assert monotonic_s() - begin < 4
        assert quick.ask("server")["api"] == 1


def test_an_answer_that_nobody_reads_is_let_go(quick: Server) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", quick.port))
        asked = (
            "GET /api/timeline?run=crowd.tick&lanes=1000&columns=60&rows=1000 HTTP/1.1\r\nHost: {}\r\n\r\n"
        )
        connection.sendall(asked.format(f"127.0.0.1:{quick.port}").encode() * 20)
        Event().wait(3)
        assert closed_after(connection, 10) < 8
    assert quick.ask("server")["api"] == 1


def test_a_reader_who_is_slow_gets_everything(quick: Server) -> None:
    path = "/api/timeline?run=crowd.tick&lanes=1000&columns=60&rows=1000"
    whole = len(quick.request(path).body)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", quick.port))
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{quick.port}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        got = 0
        while part := connection.recv(2_048):
            got += len(part)
            Event().wait(0.02)
    assert got > whole > 100_000


@pytest.fixture(scope="module")
def quick(runs: Path) -> Iterator[Server]:
    """A viewer that waits for a second where the usual one waits for ten or thirty."""
    patience = "import tickwork.ui.connection as c; c.REQUEST_S = c.STALLED_S = 1.0"
    patience += "; import tickwork.ui.app as a; a._BODY_S = 1.0"
    command = (sys.executable, "-c", f"{patience}; from tickwork.cli.main import main; main()", "ui")
    with viewer(runs, command=command) as served:
        yield served


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /api/runs?x={long} HTTP/1.1\r\nHost: {host}\r\n\r\n", b"400"),
        ("GET /api/runs HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\n\r\n", b"400"),
        ("GET /api/run?run={name} HTTP/1.1\r\nHost: {host}\r\n\r\n", b"400"),
    ],
    ids=["line", "header", "name"],
)
def test_what_is_too_long_is_refused(server: Server, head: str, status: bytes) -> None:
    host = f"127.0.0.1:{server.port}"
    request = head.format(host=host, long="x" * 600_000, name="y" * 2_000).encode()
    assert raw(server.port, request).split()[1] == status


def test_a_body_that_is_too_long_is_refused(server: Server) -> None:
    headers = {"Origin": server.origin, "Content-Type": "application/json"}
    order = {"run": "usual.tick", "tick": 1, "name": "made", "edits": "#" * 2_100_000}
    reply = server.request("/api/forks", method="POST", body=order, headers=headers)
    assert reply.status == 400
    assert "longer than" in reply.json["error"]


def test_more_connections_than_can_be_served_are_told_so(quick: Server) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS_MAX):
            stack.enter_context(socket.create_connection(("127.0.0.1", quick.port), 10))
        assert quick.request("/api/server").status == 503
    for _ in range(100):
        if quick.request("/api/server").status == 200:
            return
        Event().wait(0.05)
    pytest.fail("the server did not recover")


# ---- the token


def test_with_host_every_request_needs_the_token(runs: Path) -> None:
    with viewer(runs, "--host", "0.0.0.0") as served:
        address, _, token = served.address.partition("?token=")
        assert token
        assert address.startswith("http://")
        for path in ("/", "/static/main.js", "/api/runs", "/?token=wrong", f"/api/runs?token={token}"):
            assert served.request(path).status == 401, path
        for given in (f"Bearer {token}x", f"Bearer {token[:-1]}", "Bearer ", f"Basic {token}", token):
            assert served.request("/api/runs", headers={"Authorization": given}).status == 401
        assert served.request("/api/runs", headers={"Authorization": f"Bearer {token}"}).status == 200


def test_the_address_with_the_token_becomes_a_cookie_that_scripts_cannot_read(runs: Path) -> None:
    with viewer(runs, "--host", "0.0.0.0") as served:
        token = served.address.partition("?token=")[2]
        reply = served.request(f"/?token={token}")
        assert (reply.status, reply.headers["location"]) == (303, "/")
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        given = {"Cookie": f"other=1; {cookie.partition(';')[0]}"}
        assert served.request("/api/runs", headers=given).status == 200
        # Whoever has the cookie but comes from another page or under another name is still refused.
        assert served.request("/api/runs", headers={**given, "Host": "evil.example"}).status == 403
        assert served.request("/api/runs", headers={**given, "Origin": "http://evil.example"}).status == 403


def test_two_viewers_have_two_tokens(runs: Path) -> None:
    with viewer(runs, "--allow-fork") as one, viewer(runs, "--allow-fork") as two:
        tokens = [served.address.partition("?token=")[2] for served in (one, two)]
    assert len(tokens[0]) >= 40
    assert tokens[0] != tokens[1]


def test_only_loopback_addresses_go_without_a_token() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(
        is_loopback(host) for host in ("0.0.0.0", "::", "192.0.2.1", "example.org", "127.0.0.1.nip.io")
    )


def test_a_garbled_request_does_not_end_the_server(server: Server) -> None:
    for request in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [\r\n\r\n",
        b"G" * 100_000,
        os.urandom(500),
    ):
        try:
            raw(server.port, request, 0.5)
        except (ConnectionError, TimeoutError):
            continue
    assert server.request(f"/api/run?run={quote('usual.tick')}").status == 200


def test_other_protocols_are_not_spoken(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "eA==",
        "Sec-WebSocket-Version": "13",
    }
    connection.request(
        "GET", "/api/events?run=usual.tick", headers={**headers, "Origin": "http://evil.example"}
    )
    assert connection.getresponse().status in {400, 403, 404}
    connection.close()


def test_open_starts_the_browser_with_the_address(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, program = tmp_path / "told", tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    with viewer(runs, "--open", "--host", "127.0.0.1", "--allow-fork") as served:
        assert told.read_text() == f"{served.address}\n"
        assert "token=" in served.address
