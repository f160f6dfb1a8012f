"""The shell around an author's agent: loads its source, takes its turns, and turns exceptions into text.

Runs inside the sandbox; nothing in it needs the sandbox, so it is tested in plain Python.

`setup` is given one line of JSON, the preamble, `{"file": ..., "source": ..., "modules": {name: source}}`,
and after it the author's config (JSON, or nothing for `{}`).
"""

import json
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tickwork_agent.agent import Agent
from tickwork_agent.effects import Effect
from tickwork_agent.messages import Message, Now
from tickwork_agent.modules import Bundle, bundle
from tickwork_agent.state import answer, is_asked
from tickwork_agent.tracebacks import describe, remember_source

ABI_MAJOR = "1"
# Of no use to an author, and unlike any file's: it can hide no module of the standard library or a bundle.
AGENT_MODULE = "__agent__"


class AgentFailure(Exception):  # noqa: N818 - it carries the text that the runtime shows, and is never printed
    """What an agent did wrong: a traceback through the author's files, or a sentence."""


class Shell:
    """One agent and its life: `setup` once, then `step` for every turn. All raise only `AgentFailure`."""

    def __init__(self) -> None:
        self._agent = Agent()
        self._files: list[str] = []

    def setup(self, agent_id: str, envelope: bytes, abi: str) -> None:
        """Load the agent's class from the envelope's source, make the agent and call its `setup`."""
        if abi.partition(".")[0] != ABI_MAJOR:
            raise AgentFailure(f"the Python guest speaks ABI {ABI_MAJOR}.x, the runtime {abi}")
        preamble, _, config = envelope.partition(b"\n")
        program = json.loads(preamble)
        file, source = program["file"], program["source"]
        modules = Bundle(program.get("modules", {}))
        self._files = [file, *modules.files]
        bundle(modules)
        remember_source(file, source)
        try:
            agent = find_class(load(file, source), file)()
            agent.id = agent_id
            self._agent = agent
            agent.setup(parse_config(config))
        except AgentFailure:
            raise
        except BaseException as error:
            raise AgentFailure(describe(error, self._files)) from None

    def step(self, now: Now, inbox: Sequence[Message]) -> list[Effect]:
        """Take one turn and return its effects; or, if the runtime asks for it, the agent's state."""
        if not is_asked(inbox):
            return self.turn(now, inbox)
        try:
            return answer(self._agent)
        except BaseException as error:
            raise AgentFailure(describe(error, self._files)) from None

    def turn(self, now: Now, inbox: Sequence[Message]) -> list[Effect]:
        """Take one turn and return its effects; `inbox` holds no question of the runtime."""
        try:
            return self._agent._turn(now, inbox)  # noqa: SLF001 - the other half of the class
        except BaseException as error:
            raise AgentFailure(describe(error, self._files)) from None


def load(file: str, source: str) -> ModuleType:
    """Run the author's source as a module and return it."""
    module = ModuleType(AGENT_MODULE)
    module.__file__ = file
    sys.modules[AGENT_MODULE] = module
    exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    return module


def find_class(module: ModuleType, file: str) -> type[Agent]:
    """Return the one class in the module that extends `Agent` and that no other extends."""
    classes: list[type[Agent]] = []
    for value in vars(module).values():
        defined_here = isinstance(value, type) and value.__module__ == module.__name__
        if defined_here and issubclass(value, Agent) and value not in classes:
            classes.append(value)
    last = [each for each in classes if not any(issubclass(o, each) and o is not each for o in classes)]
    if not last:
        raise AgentFailure(f"{file} defines no agent: write one class that extends `tickwork_agent.Agent`")
    if len(last) > 1:
        names = ", ".join(each.__name__ for each in last)
        raise AgentFailure(f"{file} defines {len(last)} agents ({names}): keep one to a file")
    return last[0]


def parse_config(config: bytes) -> Any:
    """Return the config's JSON value, `{}` for an empty one."""
    if not config:
        return {}
    try:
        return json.loads(config.decode())
    except ValueError as error:
        raise AgentFailure(f"the agent's config is not JSON: {error}") from None
