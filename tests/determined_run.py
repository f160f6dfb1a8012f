"""A small run with a bit of everything, for the laws of determinism; as a script it prints its digests.

Three agents pass bodies round a ring, each a function of its seed and all that it ever got; one of them and a
fourth read an input; a fifth answers as it is told: timers, refused sends, a spawn.
"""

import json
import sys
from pathlib import Path

from guests import Answers, chatter, image_guest, wat
from tickwork.core.digest import content_hash
from tickwork.core.effects import Log, Metric, Output, Send, Spawn, Timer
from tickwork.core.grants import Capability, Grant
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run

RING = ("r0", "r1", "r2")
TICKS = 8
LINES = [b'{"n": %d, "text": "line %d"}' % (number, number) for number in range(9)]


def idler(work: int = 0) -> bytes:
    """Return an agent that does nothing, for `work` rounds of a loop."""
    return wat(
        step=f"""(local $i i32) (local.set $i (i32.const {work}))
          (block $end (loop $l (br_if $end (i32.eqz (local.get $i)))
            (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br $l)))
          (i32.const 16)"""
    )


def _talker() -> bytes:
    answers = Answers("talker")
    answers.effects(Timer("wake", b"w", 2, 1), Log(1, "hello"), Metric("m", 0.25))
    answers.effects(Send("r0", "chat", b"not granted"), Output("out", b'{"tick": 2}'))
    answers.effects(Spawn("idle/1", "idle", b""), Send("idle/1", "hi", b"there"))
    answers.effects(Send("nobody", "t", b""), Output("out", b"text"))
    answers.effects()
    return answers.config()


def modules() -> dict[str, bytes]:
    return {content_hash(code): code for code in (chatter(), image_guest(), idler())}


def spec() -> RunSpec:
    ring = tuple(
        AgentSpec(
            name,
            "ring",
            content_hash(chatter()),
            RING[(place + 1) % len(RING)].encode(),
            (Grant(Capability.SEND, "r*"),),
            every_tick=place == 0,
        )
        for place, name in enumerate(RING)
    )
    grants = (
        Grant(Capability.TIMER),
        Grant(Capability.OUTPUT, "out"),
        Grant(Capability.SPAWN, "idle"),
        Grant(Capability.SEND, "idle/*"),
        Grant(Capability.SEND, "nobody"),
    )
    talker = AgentSpec("talker", "talker", content_hash(image_guest()), _talker(), grants, every_tick=True)
    idle = AgentSpec("idle", "idle", content_hash(idler()), b"")
    return RunSpec(
        name="determined",
        seed=42,
        start_ns=1_700_000_000_000_000_000,
        tick_ns=1_000_000,
        floats="portable",
        agents=(*ring, idle, talker),
        kinds=(idle,),
        inputs=(InputSpec("line", "line", ("r1", "idle"), 1),),
        outputs=("out",),
    )


def project(folder: Path, *, backwards: bool = False) -> Project:
    """Return the project, its input written into `folder`; with `backwards` its modules come in reverse."""
    lines = folder / "lines.jsonl"
    lines.write_bytes(b"\n".join(LINES) + b"\n")
    loaded = list(modules().items())
    if backwards:
        loaded.reverse()
    return Project(
        spec(), dict(loaded), {"line": str(lines)}, {"out": str(folder / "out.jsonl")}, ticks=TICKS
    )


def record(folder: Path, name: str = "run.tick", *, backwards: bool = False) -> tuple[str, str]:
    """Record the run into `folder`; return its two digests in hex."""
    with Run(project(folder, backwards=backwards), folder / name, force=True) as run:
        run.run_to_end()
        return run.digests.digest.hex(), run.digests.exact.hex()


if __name__ == "__main__":
    json.dump(record(Path(sys.argv[1]), backwards=sys.argv[2:] == ["backwards"]), sys.stdout)
