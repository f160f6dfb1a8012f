"""From a manifest to something that runs: sources become modules, names become hashes."""

from collections.abc import Callable
from pathlib import Path

from tickwork.core.digest import content_hash
from tickwork.core.edits import Edits
from tickwork.core.errors import ManifestError, ModuleError
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec, with_faults
from tickwork.guest.c_source import build_c
from tickwork.guest.python_guest import python_guest
from tickwork.guest.python_source import python_preamble
from tickwork.journal.writer import Durability
from tickwork.manifest.edits import AgentSource, BuiltSource, EditsFile
from tickwork.manifest.fault_plan import load_faults
from tickwork.manifest.files import FileFault, read_regular
from tickwork.manifest.load import load_manifest
from tickwork.manifest.run_section import DAG
from tickwork.manifest.schema import Agent, Language, Manifest
from tickwork.runtime.models import resolve_model
from tickwork.runtime.project import Project
from tickwork.runtime.schedule import SnapshotSettings, policy_of


def _silently(_: str) -> None:
    return None


def load_project(path: Path, announce: Callable[[str], None] = _silently) -> Project:
    """Read a project (its folder or its manifest) and build every module that it needs.

    What takes long is told to `announce` in a sentence before it starts, and so is a model's fall back to
    another provider than the first. Raises `ManifestError` for what the manifest says and `ModuleError` for a
    source that does not build.
    """
    return assemble(load_manifest(path), announce)


def assemble(manifest: Manifest, announce: Callable[[str], None] = _silently) -> Project:
    """Return the project of a manifest. Equal sources give equal hashes, whatever their place and order."""
    models = [resolve_model(model, announce) for model in manifest.models]
    build = _Build(manifest.path.parent, manifest.limits.module_bytes, announce)
    spec = RunSpec(
        name=manifest.name,
        seed=manifest.seed,
        start_ns=manifest.start_ns,
        tick_ns=manifest.tick_ns,
        floats=manifest.floats,
        agents=tuple(build.agent(agent) for agent in manifest.agents),
        kinds=tuple(build.agent(kind) for kind in manifest.kinds),
        inputs=tuple(InputSpec(item.name, item.topic, item.to, item.rate) for item in manifest.inputs),
        outputs=tuple(item.name for item in manifest.outputs),
        limits=manifest.limits,
        edges=manifest.edges if manifest.schedule == DAG else (),
        models=tuple(spec for spec, _ in models),
    )
    if manifest.faults is not None:
        spec = with_faults(spec, load_faults(manifest.faults, spec))
    return Project(
        spec=spec,
        modules=build.modules,
        inputs={item.name: item.path for item in manifest.inputs if item.path is not None},
        outputs={item.name: item.path for item in manifest.outputs if item.path is not None},
        ticks=manifest.ticks,
        until_idle=manifest.until_idle,
        stop_at_bad_input=manifest.stop_at_bad_input,
        durability=Durability(manifest.durability),
        models={spec.name: place for spec, place in models},
        snapshots=SnapshotSettings(
            every=manifest.snapshots.every,
            share=manifest.snapshots.share,
            keep=policy_of(manifest.snapshots.keep),
        ),
        edges=manifest.edges,
    )


def build_edits(
    file: EditsFile, module_bytes_max: int, announce: Callable[[str], None] = _silently
) -> tuple[Edits, dict[str, bytes]]:
    """Return the edits of a file, every source built, and the modules that they need by hash.

    Raises and announces as `load_project` does.
    """
    build = _Build(file.path.parent, module_bytes_max, announce)
    built = {agent_id: build.source(agent_id, source) for agent_id, source in file.sources.items()}
    return file.resolve(built), build.modules


class _Build:
    """The modules of one project, each source read and built once."""

    def __init__(self, root: Path, module_bytes_max: int, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self.modules: dict[str, bytes] = {}
        self._root = root
        self._module_bytes_max = module_bytes_max
        self._built: dict[Path, str] = {}
        self._sources: dict[Path, str] = {}

    def agent(self, agent: Agent) -> AgentSpec:
        """Return the agent resolved, with its module among `modules`."""
        built = self.source(agent.id, agent)
        return AgentSpec(
            id=agent.id,
            kind=agent.kind,
            module=built.module,
            config=agent.config,
            grants=agent.grants,
            preamble=built.preamble,
            subscribe=agent.subscribe,
            limits=agent.limits,
            every_tick=agent.every_tick,
            supervision=agent.supervision,
        )

    def source(self, agent_id: str, source: Agent | AgentSource) -> BuiltSource:
        """Return what an agent's source is built to, with its module among `modules`."""
        try:
            preamble = self._preamble(source) if source.language is Language.PYTHON else b""
            return BuiltSource(self._module(source), preamble)
        except ModuleError as error:
            raise ModuleError(f"agent {agent_id!r}: {error}") from error

    def _module(self, agent: Agent | AgentSource) -> str:
        # All Python agents are one module.
        key = Path(Language.PYTHON) if agent.language is Language.PYTHON else agent.module
        if key not in self._built:
            data = self._bytes_of(agent)
            if len(data) > self._module_bytes_max:
                raise ModuleError(
                    f"{self._shown(agent.module)} is a module of {len(data)} bytes; "
                    f"limits.module_bytes is {self._module_bytes_max}"
                )
            name = content_hash(data)
            self.modules[name] = data
            self._built[key] = name
        return self._built[key]

    def _bytes_of(self, agent: Agent | AgentSource) -> bytes:
        match agent.language:
            case Language.PYTHON:
                return python_guest(self._announce)
            case Language.C | Language.CPP:
                return build_c(agent.module)
            case Language.WASM:
                return _read(agent.module, self._module_bytes_max)

    def _preamble(self, agent: Agent | AgentSource) -> bytes:
        modules = {module.name: self._source(module.path) for module in agent.modules}
        return python_preamble(self._shown(agent.module), self._source(agent.module), modules)

    def _source(self, path: Path) -> str:
        if path not in self._sources:
            try:
                self._sources[path] = _read(path, self._module_bytes_max).decode()
            except UnicodeDecodeError:
                raise ModuleError(f"{self._shown(path)} is not UTF-8 text") from None
        return self._sources[path]

    def _shown(self, path: Path) -> str:
        """Return a path as it may stand in a run: relative to the project, the same on every machine."""
        try:
            return path.relative_to(self._root).as_posix()
        except ValueError:
            return path.name


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        return read_regular(path, bytes_max)
    except FileFault as fault:
        raise ManifestError(f"{path} {fault}") from None
