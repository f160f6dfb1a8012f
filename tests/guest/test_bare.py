import agent_files
import pytest
from agent_files import bare
from hypothesis import given
from hypothesis import strategies as st
from plan_runner import Runner

from tickwork.core.errors import ModuleError
from tickwork.guest.component import flatten
from tickwork.guest.plan import ExportSource, HostImport, HostSource, LinkPlan

SETUP = '(func (export "setup") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))'
STEP = '(func (export "step") (param i64 i64 i64 i64 i32 i32) (result i32) (i32.const 16))'
REALLOC = '(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))'
MEMORY = '(memory (export "memory") 1)'
ALL = SETUP + STEP + REALLOC + MEMORY


def own(name: str) -> ExportSource:
    return ExportSource(0, name)


def test_a_bare_module_becomes_a_plan_of_one_instance() -> None:
    plan = flatten(bare())
    assert len(plan.modules) == len(plan.instances) == 1
    assert plan.hosts == plan.initialize == ()
    assert plan.arena is None
    step = plan.lifted["step"]
    assert (step.func, step.memory, step.realloc, step.post) == (
        own("step"),
        own("memory"),
        own("cabi_realloc"),
        None,
    )
    assert step.params == ("i64", "i64", "i64", "i64", "i32", "i32")
    assert step.results == ("i32",)
    assert plan.lifted["setup"].params == ("i32",) * 6
    assert plan.memories == (own("memory"),)
    assert [kind for _, kind in plan.globals] == ["i32", "i32"]
    assert len(plan.tables) == 1


def test_the_plan_of_a_bare_module_runs_and_shows_its_state() -> None:
    runner = Runner(flatten(bare()))
    assert runner.setup() is None
    message = ("sender", "topic", b"body", 5)
    for inbox in ([message], [message, message]):
        result, effects = runner.step(1, inbox)
        assert effects == 0
        runner.finish("step", result)
    turns = runner.plan.globals[0][0]
    assert runner.item(turns).value(runner.store) == 3


def test_initialize_is_planned_and_runs_before_setup() -> None:
    core = agent_files.CORE + '(func (export "_initialize") (global.set $turns (i32.const 41)))'
    plan = flatten(bare(core))
    assert plan.initialize == (own("_initialize"),)
    runner = Runner(plan)
    assert runner.item(plan.globals[0][0]).value(runner.store) == 41


def test_post_returns_and_the_arena_are_found_by_name() -> None:
    extra = '(func (export "cabi_post_step") (param i32))'
    extra += '(func (export "tickwork_inbox") (param i32) (result i32) (i32.const 0))'
    plan = flatten(bare(ALL + extra))
    assert plan.lifted["step"].post == own("cabi_post_step")
    assert plan.lifted["setup"].post is None
    assert plan.arena == own("tickwork_inbox")


def test_imports_become_host_functions_that_see_the_modules_own_memory() -> None:
    imports = """
      (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
      (import "env" "f" (func (param i64 f32) (result f64)))
      (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
    """
    plan = flatten(bare(ALL, imports))
    memory, realloc = own("memory"), own("cabi_realloc")
    assert plan.hosts == (
        HostImport("wasi_snapshot_preview1#random_get", ("i32", "i32"), ("i32",), memory, realloc),
        HostImport("env#f", ("i64", "f32"), ("f64",), memory, realloc),
    )
    assert plan.instances[0].imports == (HostSource(0), HostSource(1), HostSource(0))


@pytest.mark.parametrize(
    ("core", "message"),
    [
        (STEP + REALLOC + MEMORY, "a core module without export 'setup'.*exports 'cabi_realloc', 'step'"),
        (SETUP + REALLOC + MEMORY, "a core module without export 'step'"),
        (SETUP + STEP + MEMORY, "a core module without export 'cabi_realloc'"),
        (SETUP + STEP + REALLOC + "(memory 1)", "a core module without export 'memory'"),
        (SETUP + STEP + REALLOC + '(global (export "memory") i32 (i32.const 0))', "without export 'memory'"),
        ("", "a core module without export 'setup': it exports nothing"),
        (
            SETUP.replace("i32 i32 i32 i32 i32 i32", "i32 i32") + STEP + REALLOC + MEMORY,
            r"setup must be a core function \(i32, i32, i32, i32, i32, i32\) -> \(i32\), "
            r"found \(i32, i32\) -> \(i32\)",
        ),
        (
            SETUP + STEP.replace("i64", "i32", 1) + REALLOC + MEMORY,
            r"step must be .*found \(i32, i64, i64, i64, i32, i32\)",
        ),
        (
            SETUP + STEP + REALLOC.replace("i32 i32 i32 i32", "i32") + MEMORY,
            "setup's realloc must be a core function",
        ),
        (ALL + '(func (export "cabi_post_step"))', "step's post-return must be a core function"),
        (
            ALL + '(global (export "cabi_post_step") i32 (i32.const 0))',
            "post-return must .* found no function",
        ),
        (ALL + '(func (export "_initialize") (param i32))', "_initialize must be a core function"),
        (ALL + '(func (export "tickwork_inbox") (result i32) (i32.const 0))', "tickwork_inbox must be"),
    ],
)
def test_a_missing_or_mistyped_export_is_named(core: str, message: str) -> None:
    with pytest.raises(ModuleError, match=message):
        flatten(bare(core))


@pytest.mark.parametrize(
    ("imports", "message"),
    [
        ('(import "env" "memory" (memory 1))', "imports the memory 'env' 'memory'.*--import-memory"),
        ('(import "env" "t" (table 1 funcref))', "imports the table 'env' 't'"),
        ('(import "env" "g" (global i32))', "imports the global 'env' 'g'"),
        ('(import "env" "f" (func (param v128)))', "only numbers can reach the host"),
        ('(import "env" "f" (func)) (import "env" "f" (func (param i32)))', "'env#f' is .* but is used as"),
        ('(import "tickwork:agent/blobs@2.0.0" "read" (func))', "wrong ABI version.*agent@1.0.0"),
        ('(import "tickwork:agent/blobs@1.1.0" "read" (func))', "wrong ABI version.*blobs@1.1.0"),
    ],
)
def test_an_import_that_the_host_cannot_provide_is_named(imports: str, message: str) -> None:
    core = ALL.replace(MEMORY, "") if "memory" in imports else ALL
    with pytest.raises(ModuleError, match=message):
        flatten(bare(core, imports))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a WebAssembly file"),
        (b"#!/bin/sh", "not a WebAssembly file"),
        (b"\0asm\x01", "truncated: a WebAssembly header has 8 bytes"),
        (b"\0asm\x02\0\0\0", "unknown version 02000000"),
        (b"\0asm\x0a\0\x01\0", "unknown version 0a000100"),
        (b"\0asm\x01\0\0\0", "a core module without export 'setup'"),
    ],
)
def test_a_file_that_is_no_module_is_told_apart(data: bytes, message: str) -> None:
    with pytest.raises(ModuleError, match=message):
        flatten(data)


@given(st.data())
def test_a_damaged_bare_module_gives_a_plan_or_a_module_error(data: st.DataObject) -> None:
    code = bytearray(bare())
    for _ in range(data.draw(st.integers(0, 3))):
        code[data.draw(st.integers(0, len(code) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    end = data.draw(st.one_of(st.just(len(code)), st.integers(0, len(code))))
    try:
        plan = flatten(bytes(code[:end]))
    except ModuleError:
        return
    assert isinstance(plan, LinkPlan)


@given(st.binary(max_size=200))
def test_noise_behind_a_core_header_gives_a_module_error(noise: bytes) -> None:
    with pytest.raises(ModuleError):
        flatten(b"\0asm\x01\0\0\0" + noise)
