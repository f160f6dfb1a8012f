"""Modules made ready to run, by their hash."""

from collections.abc import Mapping

from tickwork.core.errors import ModuleError
from tickwork.core.spec import RunSpec
from tickwork.guest.engine import Engine, reservation
from tickwork.guest.program import Program
from tickwork.runtime.project import Project


def agents_by_module(spec: RunSpec) -> dict[str, str]:
    """Return, for each module hash, the id of the first agent (else kind) that is made from it."""
    users: dict[str, str] = {}
    for agent in (*spec.agents, *spec.kinds):
        users.setdefault(agent.module, agent.id)
    return users


def engine_for(spec: RunSpec) -> Engine:
    """Return the engine that a run asks for: by how it computes floats, and how many agents it may have."""
    caps = [agent.limits.memory_bytes for agent in (*spec.agents, *spec.kinds)]
    return Engine(floats=spec.floats, reserved_bytes=reservation(spec.limits.agents, max(caps, default=0)))


def compile_project(project: Project) -> dict[str, Program]:
    """Return a program for each of the project's modules, for `Run`; raise `ModuleError`."""
    return open_programs(engine_for(project.spec), project.spec, project.modules)


def open_programs(engine: Engine, spec: RunSpec, modules: Mapping[str, bytes]) -> dict[str, Program]:
    """Return a program for each module; raise `ModuleError` that names an agent of the one that fails."""
    programs: dict[str, Program] = {}
    users = agents_by_module(spec)
    for name, data in modules.items():
        try:
            programs[name] = Program(engine, data)
        except ModuleError as error:
            raise ModuleError(f"agent {users.get(name, name)!r}: {error}") from error
    return programs
