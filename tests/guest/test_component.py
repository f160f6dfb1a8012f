import struct
from dataclasses import replace

import agent_files
import wasmtime
from agent_files import CORE, NESTED, component, js_component, python_component
from plan_runner import Runner
from wasmtime import wat2wasm

from tickwork.guest.component import flatten
from tickwork.guest.plan import ExportSource, HostImport, HostSource


def test_a_component_and_the_module_inside_it_give_the_same_plan() -> None:
    # The code differs in its debug names alone.
    inside, outside = (replace(flatten(code), modules=()) for code in (agent_files.bare(), component()))
    assert outside == inside


def test_the_plan_of_a_component_runs() -> None:
    runner = Runner(flatten(component()))
    assert runner.setup("agent", b"config") is None
    result, effects = runner.step(1, [("sender", "topic", b"body", None)])
    runner.finish("step", result)
    assert effects == 0
    assert runner.item(runner.plan.globals[0][0]).value(runner.store) == 1


def test_lowered_imports_carry_interface_version_signature_and_options() -> None:
    before = """
      (import "wasi:cli/environment@0.2.0" (instance $env
        (export "get-environment" (func (result (list (tuple string string)))))
        (export "many" (func (param "a" (list (tuple u64 u64))) (param "b" float64)
          (result (tuple u8 u8))))))
      (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
      (import "plain" (func $plain (param "a" u8) (result s64)))
      (alias export $errors "error" (type $error))
      (core module $own (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
      (core instance $o (instantiate $own))
      (core func $get (canon lower (func $env "get-environment") (memory (core memory $o "memory"))
        (realloc (core func $o "realloc"))))
      (core func $many (canon lower (func $env "many") (memory (core memory $o "memory"))))
      (core func $plain (canon lower (func $plain)))
      (core func $drop (canon resource.drop $error))
    """
    core = (
        """
      (import "env" "get" (func (param i32)))
      (import "env" "many" (func (param i32 i32 f64 i32)))
      (import "env" "plain" (func (param i32) (result i64)))
      (import "env" "drop" (func (param i32)))
    """
        + CORE
    )
    instance = """(core instance $i (instantiate $m (with "env" (instance (export "get" (func $get))
      (export "many" (func $many)) (export "plain" (func $plain)) (export "drop" (func $drop))))))"""
    plan = flatten(component(before=before, core=core, instance=instance))
    memory, realloc = ExportSource(0, "memory"), ExportSource(0, "realloc")
    assert plan.hosts == (
        HostImport("wasi:cli/environment@0.2.0#get-environment", ("i32",), (), memory, realloc),
        HostImport("wasi:cli/environment@0.2.0#many", ("i32", "i32", "f64", "i32"), (), memory, None),
        HostImport("$root#plain", ("i32",), ("i64",), None, None),
        HostImport("resource.drop", ("i32",), (), None, None),
    )
    assert plan.instances[1].imports == tuple(HostSource(index) for index in range(4))


def test_nested_components_are_linked_and_share_their_modules_but_not_their_state() -> None:
    plan = flatten(bytes(wat2wasm(NESTED)))
    assert [instance.module for instance in plan.instances] == [0, 1, 1]
    assert plan.instances[2].imports == (ExportSource(0, "sum"),)
    assert plan.lifted["step"].func == ExportSource(2, "step")
    assert len(plan.memories) == 2
    runner = Runner(plan)
    runner.setup()
    for tick in (1, 2):
        runner.step(tick, [("a", "b", b"", None)] * 3)
    turns = {source.instance: source for source, _ in plan.globals if source.export.endswith("global.0")}
    values = {at: runner.item(source).value(runner.store) for at, source in turns.items()}
    assert values == {1: 0, 2: 33}


def test_a_call_between_components_that_moves_memory_is_left_to_the_host() -> None:
    options = '(memory (core memory $adder "memory")) (realloc (core func $adder "realloc")))'
    adder = """(core module $adder (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))"""
    inner = """(component $inner
      (core module $n (memory (export "m") 1)) (core instance $n (instantiate $n))"""
    wat = NESTED
    for old, new in (
        ('(param "a" u32) (param "b" u32) (result u32)', '(param "a" string) (result u32)'),
        ('(canon lift (core func $adder "sum"))', '(canon lift (core func $adder "sum") ' + options),
        ("(core module $adder", adder),
        ("(canon lower (func $add))", '(canon lower (func $add) (memory (core memory $n "m")))'),
        ("(component $inner", inner),
    ):
        assert old in wat
        wat = wat.replace(old, new)
    plan = flatten(bytes(wat2wasm(wat)))
    assert {(host.name, host.params, host.results) for host in plan.hosts} == {
        ("component.adapter", ("i32", "i32"), ("i32",))
    }


# ---- real components


def test_the_javascript_component_is_planned_with_its_nested_parts() -> None:
    plan = flatten(js_component())
    step = plan.lifted["step"]
    assert step.post is not None
    assert step.memory in plan.memories
    assert len(plan.instances) == 8
    assert "wasi:cli/environment@0.2.12#get-environment" in {host.name for host in plan.hosts}
    assert {host.name for host in plan.hosts if "#" not in host.name} == {
        "resource.drop",
        "component.adapter",
    }


def test_the_javascript_component_echoes_when_its_plan_is_carried_out() -> None:
    runner = Runner(flatten(js_component()))
    assert runner.setup("echo", b"not a number") == 'config must be a number, not "not a number"'
    assert runner.setup("echo", b"40") is None
    for tick, number in ((3, 41), (4, 42)):
        result, effects = runner.step(tick, [("alice", "greeting", b"\x00\xffhi", 99)])
        assert effects == 2
        (at,) = struct.unpack("<I", runner.peek("step", result + 4, 4))
        log, send = at, at + 48
        assert runner.peek("step", log, 1) == b"\x06"
        assert runner.peek_list("step", log + 12) == f"#{number} at tick {tick}".encode()
        assert runner.peek("step", send, 1) == b"\x00"
        fields = [runner.peek_list("step", send + place) for place in (8, 16, 24)]
        assert fields == [b"alice", b"greeting", b"\x00\xffhi"]
        assert struct.unpack("<B7xQ", runner.peek("step", send + 32, 16)) == (1, 99)
        runner.finish("step", result)


def test_the_python_component_is_planned_with_all_its_state() -> None:
    plan = flatten(python_component())
    assert len(plan.memories) == 1
    assert len(plan.globals) > 100
    assert plan.lifted["step"].realloc is not None
    names = {host.name for host in plan.hosts}
    assert {name.partition("@")[0] for name in names if "#" in name} >= {
        "wasi:cli/environment",
        "wasi:random/random",
    }
    assert all(name.startswith("wasi:") or name == "resource.drop" for name in names)


def test_every_piece_of_state_of_a_plan_is_an_export_of_the_engines_own_module() -> None:
    plan = flatten(js_component())
    engine = wasmtime.Engine()
    kinds: dict[ExportSource, object] = {}
    for at, instance in enumerate(plan.instances):
        module = wasmtime.Module(engine, plan.modules[instance.module].code)
        assert len(module.imports) == len(instance.imports)
        kinds |= {ExportSource(at, export.name): export.type for export in module.exports}
    assert all(isinstance(kinds[source], wasmtime.MemoryType) for source in plan.memories)
    assert all(isinstance(kinds[source], wasmtime.TableType) for source in plan.tables)
    for source, value in plan.globals:
        kind = kinds[source]
        assert isinstance(kind, wasmtime.GlobalType)
        assert kind.mutable
        assert str(kind.content) == value
