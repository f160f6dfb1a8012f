"""Agent files for the tests of flattening: written in WAT here, or built by the real toolchains and cached.

What is built lies under build/guests, named by the hash of everything it was built from.
"""

import functools
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wasmtime import wat2wasm

ROOT = Path(__file__).parents[2]
WIT = ROOT / "wit"
JS = ROOT / "sdk" / "js"
BUILT = ROOT / "build" / "guests"

# setup answers ok; step answers ok with no effects, after adding the inbox's length to a hidden global.
CORE = """
  (memory (export "memory") 1)
  (global $turns (mut i32) (i32.const 0))
  (global $free (mut i32) (i32.const 1024))
  (table 2 funcref)
  (func (export "setup") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
  (func (export "step") (param i64 i64 i64 i64 i32 i32) (result i32)
    (global.set $turns (i32.add (global.get $turns) (local.get 5)))
    (i32.const 32))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $free (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 3))))
"""

TYPES = """
  (type $body (list u8))
  (type $number (option u64))
  (type $name (option string))
  (type $message (record (field "sender" string) (field "topic" string) (field "body" $body)
    (field "reply-to" $number)))
  (type $context (record (field "tick" u64) (field "now-ns" u64) (field "seed" u64) (field "fuel" u64)))
  (type $identity (record (field "id" string) (field "config" $body) (field "abi" string)))
  (type $send (record (field "to" string) (field "topic" string) (field "body" $body)
    (field "reply-to" $number)))
  (type $publish (record (field "topic" string) (field "body" $body)))
  (type $infer (record (field "model" string) (field "body" $body) (field "request" u64)))
  (type $call (record (field "tool" string) (field "body" $body) (field "request" u64)))
  (type $output (record (field "name" string) (field "body" $body)))
  (type $timer (record (field "topic" string) (field "body" $body) (field "after-ticks" u64)
    (field "request" u64)))
  (type $level (enum "debug" "info" "warn" "error"))
  (type $log (record (field "level" $level) (field "text" string)))
  (type $metric (record (field "name" string) (field "value" f64)))
  (type $spawn (record (field "id" string) (field "kind" string) (field "config" $body)))
  (type $stop (record (field "id" $name) (field "reason" string)))
  (type $effect (variant (case "send" $send) (case "publish" $publish) (case "infer" $infer)
    (case "call" $call) (case "output" $output) (case "timer" $timer) (case "log" $log)
    (case "metric" $metric) (case "spawn" $spawn) (case "stop" $stop)))
  (type $inbox (list $message))
  (type $effects (list $effect))
  (type $set (result (error string)))
  (type $stepped (result $effects (error string)))
  (type $setup-type (func (param "me" $identity) (result $set)))
  (type $step-type (func (param "now" $context) (param "inbox" $inbox) (result $stepped)))
"""

OPTIONS = '(memory (core memory $i "memory")) (realloc (core func $i "cabi_realloc"))'

LIFTS = f"""
  (func $setup (type $setup-type) (canon lift (core func $i "setup") {OPTIONS}))
  (func $step (type $step-type) (canon lift (core func $i "step") {OPTIONS}))
"""

EXPORTS = '(export "setup" (func $setup)) (export "step" (func $step))'


_CALLS_ADD = CORE.replace(
    "(i32.add (global.get $turns) (local.get 5))", "(call $add (global.get $turns) (local.get 5))"
)

# Two instances of one nested component, which call the same core function of the outer one directly.
NESTED = f"""(component
  (component $inner
    (import "add" (func $add (param "a" u32) (param "b" u32) (result u32)))
    (core func $add (canon lower (func $add)))
    (core module $m (import "outer" "add" (func $add (param i32 i32) (result i32)))
      {_CALLS_ADD})
    (core instance $i (instantiate $m (with "outer" (instance (export "add" (func $add))))))
    {TYPES} {LIFTS} {EXPORTS})
  (core module $adder (func (export "sum") (param i32 i32) (result i32)
    (i32.add (i32.mul (i32.const 10) (local.get 0)) (local.get 1))))
  (core instance $adder (instantiate $adder))
  (func $sum (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $adder "sum")))
  (instance $one (instantiate $inner (with "add" (func $sum))))
  (instance $two (instantiate $inner (with "add" (func $sum))))
  (export "setup" (func $two "setup")) (export "step" (func $two "step")))"""


def bare(core: str = CORE, more: str = "") -> bytes:
    return bytes(wat2wasm(f"(module {more} {core})"))


def component(
    *,
    before: str = "",
    core: str = CORE,
    instance: str = "(core instance $i (instantiate $m))",
    types: str = TYPES,
    lifts: str = LIFTS,
    exports: str = EXPORTS,
) -> bytes:
    return bytes(
        wat2wasm(f"(component {before} (core module $m {core}) {instance} {types} {lifts} {exports})")
    )


def _built(name: str, *inputs: Path) -> Path:
    key = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()[:16]
    BUILT.mkdir(parents=True, exist_ok=True)
    return BUILT / f"{name}-{key}.wasm"


@functools.cache
def js_component() -> bytes:
    """Return sdk/js/echo.js as componentize-qjs builds it; skip the test where that cannot be had."""
    built = _built("js", JS / "echo.js", JS / "package.json", WIT / "tickwork-agent.wit")
    if not built.exists():
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            pytest.skip("needs Node.js and npm to build the JavaScript example")
        tools = BUILT / "js-tools"
        tools.mkdir(exist_ok=True)
        for name in ("package.json", ".npmrc"):
            shutil.copy(JS / name, tools / name)
        installed = subprocess.run([npm, "install"], cwd=tools, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            pytest.skip(f"npm could not install componentize-qjs: {installed.stderr[-300:]}")
        fresh = built.with_suffix(".new")
        command = [node, tools / "node_modules/componentize-qjs/bin/componentize-qjs", "--sync"]
        command += ["--wit", WIT, "--world", "agent", "--js", JS / "echo.js", "--output", fresh]
        subprocess.run(command, check=True, capture_output=True)
        fresh.replace(built)
    return built.read_bytes()


@functools.cache
def python_component() -> bytes:
    """Return a component that componentize-py built around a two-line agent (10 s the first time)."""
    built = _built("python", ROOT / "pyproject.toml", WIT / "tickwork-agent.wit")
    if not built.exists():
        source = BUILT / "python-source"
        source.mkdir(exist_ok=True)
        (source / "idle_agent.py").write_text(
            "import wit_world\n\n\n"
            "class WitWorld(wit_world.WitWorld):\n"
            "    def setup(self, me):\n        pass\n\n"
            "    def step(self, now, inbox):\n        return []\n"
        )
        fresh = built.with_suffix(".new")
        command = [Path(sys.executable).with_name("componentize-py"), "--quiet", "--wit-path", WIT]
        command += [
            "--world",
            "agent",
            "componentize",
            "--python-path",
            source,
            "--output",
            fresh,
            "idle_agent",
        ]
        subprocess.run(command, check=True, capture_output=True)
        fresh.replace(built)
    return built.read_bytes()
