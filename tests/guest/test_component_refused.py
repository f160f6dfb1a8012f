import pytest
from agent_files import CORE, EXPORTS, LIFTS, TYPES, component
from wasmtime import wat2wasm

from tickwork.core.errors import ModuleError
from tickwork.guest.binary import COMPONENT_HEADER, encode_name, encode_u32, sections
from tickwork.guest.component import flatten

TYPES_NAME = "tickwork:agent/types@1.0.0"


def changed(text: str, old: str, new: str) -> str:
    """Return `text` with the first `old` replaced, which must be there."""
    assert old in text
    return text.replace(old, new, 1)


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + encode_u32(len(content)) + content


def lifted_with(option: str) -> bytes:
    return component(lifts=changed(LIFTS, "(realloc", f"{option} (realloc"))


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (component() + section(9, b"\0\0\0"), "a component start function"),
        (component() + section(12, b"\x01\x7d\0"), "a component value section"),
        (component() + section(13, b""), "component section 13"),
        (lifted_with("string-encoding=utf16"), "string encoding UTF-16"),
        (lifted_with("string-encoding=latin1+utf16"), r"string encoding latin1\+UTF-16"),
        (lifted_with("async"), "an async lift"),
        (component(before="(type (resource (rep i32)))"), "a resource type defined by a component"),
        (
            component(before='(core type $x (module)) (import "x" (core module (type $x)))'),
            "core module type",
        ),
        (component(before='(import "x" (component))'), "the imported component 'x'"),
        (component(before='(import "x" (value string))'), "a component value"),
        (component(before="(type (list u8 4))"), "a list of fixed length"),
        (component(before='(type (func async (param "a" u8)))'), "an async function type"),
        (component(core=changed(CORE, '"memory") 1', '"memory") i64 1')), "a 64-bit memory"),
        (component(core=CORE + "(elem func)"), "a passive element segment"),
    ],
)
def test_an_unsupported_part_is_refused_by_name_and_place(data: bytes, part: str) -> None:
    with pytest.raises(ModuleError, match=rf"{part}.*\(at byte \d+\)"):
        flatten(data)


@pytest.mark.parametrize("opcode", [0x02, 0x04, 0x26, 0x40, 0x7F])
def test_builtins_that_the_host_lacks_are_refused(opcode: int) -> None:
    with pytest.raises(ModuleError, match=r"canonical built-in .* is not supported \(at byte \d+\)"):
        flatten(component() + section(8, bytes([1, opcode, 0, 0])))


def renamed(code: bytes, old: str, new: str) -> bytes:
    """Change an import's or export's name; wat2wasm itself refuses versions that are not versions."""
    parts = [COMPONENT_HEADER]
    for found in sections(code, 8, len(code)):
        content = code[found.start : found.end].replace(encode_name(old), encode_name(new))
        parts.append(section(found.id, content))
    return b"".join(parts)


IMPORTS_TYPES = component(before=f'(import "{TYPES_NAME}" (instance))')
EXPORTS_TYPES = component(exports=f'{EXPORTS} (instance $e) (export "{TYPES_NAME}" (instance $e))')


@pytest.mark.parametrize("version", ["2.0.0", "0.9.0", "1.1.0", "1.0", "x", "99999999.0.0"])
@pytest.mark.parametrize("data", [IMPORTS_TYPES, EXPORTS_TYPES], ids=["imported", "exported"])
def test_another_abi_version_is_named_with_our_own(version: str, data: bytes) -> None:
    flatten(data)
    with pytest.raises(ModuleError, match=f"wrong ABI version.*types@{version}'.*tickwork:agent@1.0.0"):
        flatten(renamed(data, TYPES_NAME, f"tickwork:agent/types@{version}"))


def test_an_abi_without_a_version_is_refused() -> None:
    with pytest.raises(ModuleError, match=r"wrong ABI version.*'tickwork:agent/types'"):
        flatten(renamed(IMPORTS_TYPES, TYPES_NAME, "tickwork:agent/types"))


def test_a_patch_release_of_the_abi_is_the_same_abi() -> None:
    flatten(component(before='(import "tickwork:agent/types@1.0.7" (instance))'))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"reply-to"',
            '"answer-to"',
            r"step.inbox.element: expected record \{ sender: string, topic: string, body: list<u8>, "
            r"reply-to: option<u64> \}, found record \{ .*answer-to",
        ),
        ('(field "fuel" u64)', '(field "fuel" s64)', "step.now.fuel: expected u64, found s64"),
        ("(type $body (list u8))", "(type $body string)", r"config: expected list<u8>, found string"),
        ('(case "stop" $stop)', "", "step's result.ok.element: expected variant .* found variant"),
        ('"warn" "error"', '"error" "warn"', "ok.element.log.level: expected enum"),
        ('(param "me"', '(param "who"', "setup: expected a parameter 'me', found 'who'"),
        ("(result $set)", "", "setup's result: expected result<_, string>, found nothing"),
        (' (param "inbox" $inbox)', "", "step: expected 2 parameters, found 1"),
    ],
)
def test_a_type_of_another_world_is_found_by_its_path(old: str, new: str, message: str) -> None:
    with pytest.raises(ModuleError, match=f"not the world tickwork:agent@1.0.0: .*{message}"):
        flatten(component(types=changed(TYPES, old, new)))


@pytest.mark.parametrize(
    ("exports", "message"),
    [
        ("", "a component without export 'setup': it exports nothing"),
        (
            '(export "setup" (func $setup)) (export "run" (func $step))',
            "without export 'step': it exports 'run', 'setup'; an agent exports 'setup' and 'step'",
        ),
        ('(export "setup" (func $setup)) (export "step" (type $effect))', "without export 'step'"),
    ],
)
def test_a_component_of_another_world_is_told_by_its_exports(exports: str, message: str) -> None:
    with pytest.raises(ModuleError, match=message):
        flatten(component(exports=exports))


@pytest.mark.parametrize(
    ("lifts", "message"),
    [
        (changed(LIFTS, '"step"', '"setup"'), r"step must be a core function \(i64,"),
        (changed(LIFTS, '"cabi_realloc"', '"setup"'), "setup's realloc must be a core function"),
        (changed(LIFTS, '(realloc (core func $i "cabi_realloc"))', ""), "setup is lifted without a realloc"),
        (
            changed(LIFTS, "(realloc", '(post-return (core func $i "step")) (realloc'),
            r"setup's post-return must be a core function \(i32\) -> \(\)",
        ),
    ],
)
def test_a_lift_with_a_wrong_core_type_is_named(lifts: str, message: str) -> None:
    with pytest.raises(ModuleError, match=message):
        flatten(component(lifts=lifts))


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (
            '(func (export "f") (param i64))',
            r"imports the func 'p' 'f', as \(i32\) -> \(\), but it is \(i64\)",
        ),
        ('(memory (export "f") 1)', "imports the func 'p' 'f', but a memory is provided"),
        ("", "imports the func 'p' 'f', but nothing provides it"),
    ],
)
def test_links_between_core_modules_are_checked(offered: str, message: str) -> None:
    data = component(
        before=f"(core module $p {offered}) (core instance $p (instantiate $p))",
        core='(import "p" "f" (func (param i32)))' + CORE,
        instance='(core instance $i (instantiate $m (with "p" (instance $p))))',
    )
    with pytest.raises(ModuleError, match=message):
        flatten(data)


# ---- files that ask for more than they hold


def raw_component(*parts: tuple[int, bytes]) -> bytes:
    return COMPONENT_HEADER + b"".join(section(number, content) for number, content in parts)


def test_components_that_multiply_are_stopped() -> None:
    code = raw_component()
    for _ in range(8):
        code = raw_component((4, code), (5, b"\x0a" + b"\0\0\0" * 10))
    with pytest.raises(ModuleError, match="more than 200 component instances"):
        flatten(code)


def test_components_nested_without_end_are_stopped() -> None:
    code = raw_component()
    for _ in range(500):
        code = raw_component((4, code), (5, b"\x01\0\0\0"))
    with pytest.raises(ModuleError, match="nested more than 20 deep"):
        flatten(code)


def test_types_nested_without_end_are_stopped() -> None:
    nested = b"\x01\x42" + b"\x01\x01\x42" * 5_000 + b"\x00"
    with pytest.raises(ModuleError, match="nested more than 20 deep"):
        flatten(raw_component((7, nested)))


def test_instances_that_multiply_are_stopped() -> None:
    module = bytes(wat2wasm("(module (memory 1))"))
    with pytest.raises(ModuleError, match="more than 1000 core instances"):
        flatten(raw_component((1, module), (2, encode_u32(5_000) + b"\0\0\0" * 5_000)))


def test_definitions_that_multiply_are_stopped() -> None:
    types = encode_u32(30_000) + b"\x7d" * 30_000
    code = raw_component((4, raw_component((7, types))), (5, b"\x64" + b"\0\0\0" * 100))
    with pytest.raises(ModuleError, match="bytes of component definitions"):
        flatten(code)


def test_types_that_double_at_each_step_cost_no_more_than_their_size() -> None:
    tuples = b"\x6f\x02\x7d\x7d" + b"".join(b"\x6f\x02" + bytes([at, at]) for at in range(31))
    cases = b"".join(
        b"\x71\x02\x01a\x01" + bytes([at]) + b"\0\x01b\x01" + bytes([at]) + b"\0" for at in range(3, 33)
    )
    last = 32 + 30 - 1
    function = b"\x40\x01\x01x" + bytes([last, 0, last])
    data = raw_component((7, bytes([last + 2]) + tuples + cases + function))
    with pytest.raises(ModuleError, match="without export 'setup'"):
        flatten(data)
