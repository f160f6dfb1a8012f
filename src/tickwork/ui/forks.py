"""Forks made at a page's wish: only where the viewer was started with --allow-fork."""

import re
import subprocess
import sys
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tickwork.core.errors import InputError
from tickwork.ui.library import SUFFIX, Library

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
_EDITS_CHARS_MAX = 1_000_000
_RUNNING_MAX = 2
_JOBS_MAX = 50
_TOLD_CHARS = 4_000
_END_S = 5


class ForkOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to fork, before which tick, under which name, with the text of a file of edits.

    `ticks` ends the fork after so many; without it, it goes on until its run ends by itself.
    """

    run: str
    tick: int
    name: str
    edits: str = ""
    ticks: int | None = None


class ForkJob(msgspec.Struct, frozen=True):
    """A fork that is being made, or was. `state` is `running`, `done` or `failed`; `told` what it said."""

    job: int
    state: str
    run: str
    fork: str
    told: str = ""


@dataclass(slots=True)
class _Job:
    run: str
    fork: str
    out: Path
    process: "subprocess.Popen[str]"
    told: str | None = None


class Forks:
    """Makes forks beside their parents, each by the command `tickwork fork` in a process of its own."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._jobs: dict[int, _Job] = {}
        self._next = 1

    def start(self, order: ForkOrder) -> ForkJob:
        """Write the file of edits and start the fork; `InputError` if that cannot be."""
        path = self._library.path(order.run)
        if not _NAME.fullmatch(order.name):
            raise InputError(
                "a fork's name may hold letters, digits, '_', '-' and '.', and begins with no '-' or '.'"
            )
        if order.tick < 0 or (order.ticks is not None and order.ticks < 1):
            raise InputError("a fork needs a tick from 0 on, and at least one tick to run")
        _check_edits(order.edits)
        out = path.parent / f"{order.name.removesuffix(SUFFIX)}{SUFFIX}"
        edits = out.with_suffix(".edits.toml")
        with self._lock:
            if sum(job.process.poll() is None for job in self._jobs.values()) >= _RUNNING_MAX:
                raise InputError(f"{_RUNNING_MAX} forks are being made; wait for one of them")
            if out.exists():
                raise InputError(f"{out.name} exists already; give the fork another name")
            try:
                with edits.open("x", encoding="utf-8") as file:
                    file.write(order.edits)
            except OSError as error:
                raise InputError(f"{edits.name} cannot be written: {error.strerror}") from None
            job = _Job(order.run, out.name, out, _process(path, order, edits, out))
            number, self._next = self._next, self._next + 1
            self._jobs[number] = job
            while len(self._jobs) > _JOBS_MAX:
                del self._jobs[min(self._jobs)]
        threading.Thread(target=self._attend, args=(job,), daemon=True).start()
        return self._told(number, job)

    def job(self, number: int) -> ForkJob:
        """Return how a fork stands; `InputError` if there is no such."""
        with self._lock:
            job = self._jobs.get(number)
        if job is None:
            raise InputError(f"there is no fork number {number}")
        return self._told(number, job)

    def close(self) -> None:
        """End what is being made; a fork that is cut off can be resumed."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            if job.process.poll() is None:
                job.process.terminate()
        for job in jobs:
            try:
                job.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                job.process.kill()

    def _attend(self, job: _Job) -> None:
        told, _ = job.process.communicate()
        if job.out.exists():
            self._library.admit(job.out)
        job.told = told[-_TOLD_CHARS:].replace(str(job.out.parent) + "/", "")

    def _told(self, number: int, job: _Job) -> ForkJob:
        name = job.fork
        if job.out.is_relative_to(self._library.root):
            name = job.out.relative_to(self._library.root).as_posix()
        if job.told is None:
            return ForkJob(number, "running", job.run, name)
        state = "done" if job.process.returncode == 0 else "failed"
        return ForkJob(number, state, job.run, name, job.told)


def _process(path: Path, order: ForkOrder, edits: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tickwork", "fork", str(path), "--at", str(order.tick)]
    command += ["--edit", str(edits), "--out", str(out), "--allow-failures"]
    command += [] if order.ticks is None else ["--ticks", str(order.ticks)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _check_edits(text: str) -> None:
    """Refuse edits that would read other files of this machine into the fork."""
    if len(text) > _EDITS_CHARS_MAX:
        raise InputError(f"the edits are longer than {_EDITS_CHARS_MAX} characters")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"the edits are no TOML: {error}") from None
    faults = document.get("faults", {})
    if isinstance(faults, dict) and "path" in faults:
        raise InputError(
            "faults.path: faults are read from a file, which the viewer does not do; use the command "
            "`tickwork fork`"
        )
    agents = document.get("agents", {})
    for name, edit in agents.items() if isinstance(agents, dict) else ():
        if isinstance(edit, dict) and edit.keys() & {"module", "modules"}:
            raise InputError(
                f"agents.{name}: a new program is read from a file, which the viewer does not do; "
                "use the command `tickwork fork`"
            )
