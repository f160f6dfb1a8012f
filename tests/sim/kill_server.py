"""Runs lives of a run, each in a process of its own that dies when it is told to; a script.

Reads one `Order` a line from standard input and answers each with what became of the life. Processes are
forked from here because starting Python takes ten times as long as a life; nothing of tickwork's engine is
alive in this process.
"""

import os
import resource
import signal
import sqlite3
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

import travel_worlds
from tickwork.core.errors import TickworkError
from tickwork.journal.writer import Durability
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.resume import resume
from tickwork.runtime.schedule import SnapshotSettings

_SQL_STEPS = 20
# The functions that a life can be told to die in.
PLACES = (
    "append_snapshot",
    "retain",
    "_commit",
    "release",
    "finish",
    "close",
    "create",
    "reopen",
    "continued",
)


class Order(msgspec.Struct, frozen=True):
    """One life: of which run, and how it is to die.

    `how` is `call` (after `amount` calls of Python functions), `sql` (after `amount` times 20 steps of
    SQLite's machine), one of `PLACES` (after `amount` of both within that function), `torn` (at the first
    byte written beyond `amount` of any file), `clock` (after `amount` microseconds) or `never`.
    """

    folder: str
    language: str
    lines: int
    every: int | None
    durability: str
    how: str
    amount: int


class Fate(msgspec.Struct, frozen=True):
    """What became of a life: the signal it died of, or its error, or neither where it came to its end."""

    signal: int = 0
    error: str = ""


class Death:
    """Counts what is done, all of it or only what is done within a function, and kills at a number."""

    def __init__(self, within: str, amount: int) -> None:
        self._within = within
        self._left = amount
        self._depth = 0

    def profile(self, frame: FrameType, event: str, _argument: object) -> None:
        if frame.f_code.co_name == self._within:
            self._depth += {"call": 1, "return": -1}.get(event, 0)
        self.step()

    def step(self) -> int:
        if self._depth > 0 or not self._within:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def watch_sql(self) -> None:
        plain = sqlite3.connect

        def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
            database: sqlite3.Connection = plain(*arguments, **options)
            database.set_progress_handler(self.step, _SQL_STEPS)
            return database

        sqlite3.connect = connect


def arm(order: Order) -> None:
    death = Death(order.how if order.how in PLACES else "", order.amount)
    if order.how == "torn":
        # The kernel writes up to the limit, and kills at the next byte.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.amount, order.amount))
    if order.how == "sql" or order.how in PLACES:
        death.watch_sql()
    if order.how == "call" or order.how in PLACES:
        sys.setprofile(death.profile)


def live(order: Order, project: Project) -> None:
    path = Path(order.folder) / "run.tick"
    begun = path.exists() and path.stat().st_size > 0
    arm(order)
    with resume(path) if begun else Run(project, path, force=True) as run:
        run.run_to_end()


def fate_of(order: Order, project: Project) -> Fate:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        error = ""
        try:
            live(order, project)
        except TickworkError as raised:
            error = str(raised)
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
        finally:
            os.write(write, error.encode())
            os._exit(0)
    os.close(write)
    if order.how == "clock":
        threading.Event().wait(order.amount / 1e6)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read, "rb") as told:
        error = told.read().decode()
    _, status = os.waitpid(child, 0)
    return Fate(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, error)


def main() -> None:
    projects: dict[tuple[object, ...], Project] = {}
    for text in sys.stdin.buffer:
        order = msgspec.json.decode(text, type=Order)
        key = (order.folder, order.language, order.lines, order.every, order.durability)
        if key not in projects:
            made = travel_worlds.project(
                Path(order.folder),
                order.language,
                lines=order.lines,
                snapshots=SnapshotSettings(every=order.every),
            )
            projects = {key: replace(made, durability=Durability(order.durability))}
        sys.stdout.buffer.write(msgspec.json.encode(fate_of(order, projects[key])) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
