"""A module ready to be made into agents: flattened, checked, compiled, and its host functions chosen."""

from dataclasses import dataclass

import wasmtime

from tickwork.core.digest import content_hash
from tickwork.core.errors import ModuleError
from tickwork.core.limits import KIB
from tickwork.guest import capi
from tickwork.guest.binary import CORE_HEADER, sections
from tickwork.guest.compiled import load_or_compile
from tickwork.guest.component import flatten
from tickwork.guest.engine import Engine
from tickwork.guest.hosting import host_callback
from tickwork.guest.plan import ExportSource, HostSource, LinkPlan, Source
from tickwork.guest.wasi import resolve

# A component's adapter may have a memory of its own beside the guest's. `limits.memory_bytes` and
# `limits.table_elements` hold for each one, so their number must be small.
MEMORIES_MAX = 4
TABLES_MAX = 16
# An image of a module's data takes two mappings more for each memory, of which a process has few, and more
# time for each instance; a copy takes as many bytes.
COPIED_DATA_BYTES_MAX = 32 * KIB
_DATA_SECTION = 11
# A memory's accessible part and what is reserved behind it; with an image also that, and what follows it.
MAPPINGS_COPIED, MAPPINGS_IMAGED = 2, 4


@dataclass(frozen=True, slots=True)
class Fetch:
    """An export to read from a fresh instance: its name, and the byte offset of the slot it goes to."""

    name: bytes
    offset: int


def _data_bytes(code: bytes) -> int:
    found = sections(code, len(CORE_HEADER), len(code))
    return sum(section.end - section.start for section in found if section.id == _DATA_SECTION)


class Program:
    """One agent module, shared by all of its agents.

    `mappings` is how many of the process's an instance takes at most; `engine` is the one given or, for a
    module of little data, its `without_images`.

    Instances are made from a table of *slots*, one extern each: host functions first, then every export
    that a later instance imports or that a turn uses. `fetches[i]` fills slots from instance i, and
    `wiring[i]` lists the byte offsets of the slots that make up its imports.
    """

    def __init__(self, engine: Engine, data: bytes) -> None:
        """Flatten and compile `data`; raise `ModuleError` if it is not an agent that can run here."""
        self.hash = content_hash(data)
        self.plan: LinkPlan = flatten(data)
        for what, found, most in (
            ("memories", len(self.plan.memories), MEMORIES_MAX),
            ("tables", len(self.plan.tables), TABLES_MAX),
        ):
            if found > most:
                raise ModuleError(
                    f"the module's instances have {found} {what} in all; an agent has at most {most}"
                )
        wide = [kind for _, kind in self.plan.globals if kind not in {"i32", "i64", "f32", "f64"}]
        if wide:
            raise ModuleError(
                f"the module has a mutable global of type {wide[0]}, which no snapshot could hold; keep such "
                "values in memory"
            )
        data_size = sum(_data_bytes(module.code) for module in self.plan.modules)
        # By the module alone, so that it is compiled once however many agents there are.
        self.engine = engine if data_size > COPIED_DATA_BYTES_MAX else engine.without_images
        mappings = MAPPINGS_IMAGED if self.engine.images else MAPPINGS_COPIED
        self.mappings = mappings * len(self.plan.memories)
        self.callbacks = tuple(host_callback(host, resolve(host)) for host in self.plan.hosts)
        self.modules: tuple[wasmtime.Module, ...] = load_or_compile(
            self.engine, [module.code for module in self.plan.modules]
        )
        self.module_pointers = tuple(capi.address_of(module) for module in self.modules)
        self._host_types = tuple(capi.func_type(host.params, host.results) for host in self.plan.hosts)
        self.host_type_pointers = tuple(capi.address_of(kind) for kind in self._host_types)
        self._lay_out_slots()

    def _lay_out_slots(self) -> None:
        plan = self.plan
        self.slots: dict[Source, int] = {}

        def slot(source: Source) -> int:
            if source not in self.slots:
                self.slots[source] = len(self.slots) * capi.EXTERN_BYTES
            return self.slots[source]

        for host in range(len(plan.hosts)):
            slot(HostSource(host))
        # What turns use comes next, so that an agent can drop the slots that only linking needed.
        for used in self._used_by_turns():
            slot(used)
        self.kept_bytes = len(self.slots) * capi.EXTERN_BYTES
        self.wiring = tuple(tuple(slot(source) for source in instance.imports) for instance in plan.instances)
        fetches: list[list[Fetch]] = [[] for _ in plan.instances]
        for source, offset in self.slots.items():
            if isinstance(source, ExportSource):
                fetches[source.instance].append(Fetch(source.export.encode(), offset))
        self.fetches = tuple(tuple(fetch) for fetch in fetches)
        self.slot_bytes = len(self.slots) * capi.EXTERN_BYTES

    def _used_by_turns(self) -> list[ExportSource]:
        plan = self.plan
        used: list[ExportSource | None] = [plan.arena, *plan.initialize]
        for lifted in plan.lifted.values():
            used += (lifted.func, lifted.memory, lifted.realloc, lifted.post)
        for host in plan.hosts:
            used += (host.memory, host.realloc)
        return [source for source in used if source is not None]
