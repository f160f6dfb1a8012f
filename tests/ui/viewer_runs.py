"""Run files for the tests of the viewer: a usual one, a hostile one, a crowd, a fork, broken ones."""

import json
from collections.abc import Iterator
from pathlib import Path

from shell_projects import agent, project, tickwork_here
from tickwork.core.digest import Digests, advance, content_hash
from tickwork.core.effects import Send
from tickwork.core.entry import Entry, Fuel, TurnEntry, encode, encode_entry
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.journal.header import Header, header_of
from tickwork.journal.reader import RunReader
from tickwork.journal.writer import RunWriter

EVIL = "<img src=x onerror=window.evil='image'><script>window.evil='script'</script>"
EVIL_LINK = "javascript:window.evil='link'"
CROWD = 1_000
LONG = 100_000
_MEMO = """
from tickwork_agent import Agent


class Memo(Agent):
    def setup(self, config):
        self.seen = []

    def on_line(self, message):
        self.seen.append(message.json())
        self.log.warn(f"seen {message.json()}")
        self.timer("later", b"note", after_ticks=4, request=1)
        self.send("sink", "best", max(self.seen))
"""


def usual(folder: Path) -> Path:
    """Record agents in C and Python, one that fails, one that is spawned, snapshots on the way."""
    made = project(
        folder / "usual",
        agent("sink", "sink"),
        agent("frail", "fail"),
        agent("spawner", "spawner", "spawn:worker"),
        agent("echo", "echo", "send:sink", "output:out"),
        lines="".join(f"{number}\n" for number in range(8)),
        more='[kinds.worker]\nmodule = "puppet.wasm"\nconfig = "echo"\n[snapshots]\nevery = 3\n',
    )
    (made / "memo.py").write_text(_MEMO)
    to = 'to = ["memo", "frail", "spawner", "echo"]'
    text = (made / "tickwork.toml").read_text().replace('to = "sink"', to)
    text += '[[agents]]\nid = "memo"\nmodule = "memo.py"\ngrants = ["send:sink", "timer"]\n'
    (made / "tickwork.toml").write_text(text)
    file = folder / "usual.tick"
    assert tickwork_here("run", made, "--out", file, "--allow-failures").code == 0
    return file


def forked(folder: Path, parent: Path) -> Path:
    """Fork a run in which one message is another."""
    edits = folder / "edits.toml"
    edits.write_text('[[replace]]\nto = "sink"\ntopic = "seen"\nbody = "77"\n')
    file = folder / "fork.tick"
    done = tickwork_here("fork", parent, "--at", 4, "--edit", edits, "--out", file, "--allow-failures")
    assert done.code == 0, done.err
    return file


def hostile(folder: Path) -> Path:
    """Record agents whose every word is an attack on a page."""
    made = project(
        folder / "hostile",
        agent("echo", "echo", "send:sink", "output:out"),
        agent("sink", "sink"),
        agent("loud", "fail"),
        lines="".join(
            f"{json.dumps(line, ensure_ascii=False)}\n"
            for line in (EVIL, EVIL_LINK, "\u202edesrever", "=1+1")
        ),
    )
    text = (made / "tickwork.toml").read_text().replace('to = "echo"', 'to = ["echo", "loud"]')
    (made / "tickwork.toml").write_text(text)
    file = folder / "hostile.tick"
    assert tickwork_here("run", made, "--out", file, "--allow-failures").code == 0
    return file


def crowd(folder: Path, ticks: int = 30) -> Path:
    """Record a thousand agents that all act in every tick."""
    agents = [agent(f"n{number}", "ticker", "output:out", every_tick=True) for number in range(CROWD)]
    made = project(folder / "crowd", *agents)
    file = folder / "crowd.tick"
    assert tickwork_here("run", made, "--out", file, "--ticks", ticks).code == 0
    return file


def torn(folder: Path, parent: Path) -> Path:
    """Cut a run file off in its middle."""
    file = folder / "torn.tick"
    content = parent.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    return file


# ---- written without running anybody

_CODE = b"\0asm\x01\0\0\0" + bytes(range(256))
MODULES = {content_hash(_CODE): _CODE}
_SENDERS = 6


def plain_header() -> Header:
    agents = tuple(AgentSpec(f"a{number}", "a", content_hash(_CODE), b"") for number in range(_SENDERS))
    spec = RunSpec("plain", 1, 0, 1_000, "portable", agents)
    return header_of(spec, tickwork="0", engine="none 1", engine_config="00" * 32, isa="x", os="y")


def plain_ticks(count: int) -> Iterator[tuple[int, Digests, bytes, bytes]]:
    """Yield the arguments of `RunWriter.append` for small ticks of six agents that send to each other."""
    digests = plain_header().genesis()
    for tick in range(count):
        turns = tuple(
            TurnEntry(n, OutcomeKind.OK, (Send(f"a{(n + tick) % _SENDERS}", "t", b"%d" % tick),))
            for n in range(_SENDERS)
            if (tick + n) % 3 == 0
        )
        entry, fuel = encode_entry(Entry(tick, NO_ARRIVALS, turns)), encode(Fuel((9,) * len(turns)))
        digests = advance(digests, entry, fuel)
        yield tick, digests, entry, fuel


def plain(file: Path, ticks: int = LONG) -> Path:
    """Write a run of so many ticks; nothing in it can be retold, as nobody had a reason to act."""
    with RunWriter.create(file, plain_header(), MODULES) as writer:
        for row in plain_ticks(ticks):
            writer.append(*row)
        writer.finish("ticks")
    return file


def ticks_of(file: Path) -> int:
    with RunReader.open(file) as reader:
        assert reader.last_tick is not None
        return reader.last_tick + 1
