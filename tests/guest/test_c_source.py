"""Building an agent from a C or C++ file."""

import shutil
from pathlib import Path

import pytest
from agent_driver import AgentDriver

from tickwork.core.errors import ModuleError
from tickwork.guest.c_source import build_c

ECHO = Path(__file__).parents[2] / "sdk" / "c" / "examples" / "echo.c"


def test_the_example_echoes() -> None:
    agent = AgentDriver.load(build_c(ECHO))
    agent.setup("parrot", b"41")
    assert agent.step([("s", "t", b"polly", 9)], tick=6) == [
        ("send", "s", "t", b"polly", 9),
        ("log", 1, "parrot has answered 42 by tick 6"),
    ]


def test_cpp_constructors_run_once(tmp_path: Path) -> None:
    source = tmp_path / "agent.cpp"
    source.write_text(
        '#include "tickwork.h"\n'
        "struct Count { int64_t n; Count() : n(41) {} ~Count() { n = 0; } };\n"
        "static Count global;\n"
        "static tw_result on_step(const tw_context *, tw_inbox) {\n"
        "  static Count local;\n"
        '  tw_output(tw_str("out"), tw_decimal(global.n++ * 1000 + local.n++));\n'
        "  return TW_OK;\n"
        "}\n"
        "TICKWORK_AGENT(tw_no_setup, on_step)\n"
    )
    agent = AgentDriver.load(build_c(source))
    agent.setup()
    assert [agent.step()[0][2] for _ in range(2)] == [b"41041", b"42042"]


def test_builds_are_the_same_in_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '#include "tickwork.h"\n#include "part.h"\nTICKWORK_AGENT(tw_no_setup, on_step)\n'
    part = (
        "static tw_result on_step(const tw_context *now, tw_inbox inbox) {\n"
        "  (void)now; (void)inbox;\n"
        "  tw_log(TW_INFO, tw_str(__FILE__ __BASE_FILE__));\n"
        "  return TW_OK;\n}\n"
    )
    built = []
    for directory in (tmp_path / "a", tmp_path / "b" / "longer name"):
        directory.mkdir(parents=True)
        (directory / "agent.c").write_text(text)
        (directory / "part.h").write_text(part)
        monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "cache"))
        built.append(build_c(directory / "agent.c"))
    assert built[0] == built[1]
    assert str(tmp_path).encode() not in built[0]


def test_a_change_of_the_source_or_of_what_it_includes_is_built_anew(tmp_path: Path) -> None:
    source = tmp_path / "agent.c"
    source.write_text(
        '#include "tickwork.h"\n#include "inner/word.h"\n'
        "static tw_result on_step(const tw_context *now, tw_inbox inbox) {\n"
        "  (void)now; (void)inbox; tw_log(TW_INFO, tw_str(WORD)); return TW_OK;\n}\n"
        "TICKWORK_AGENT(tw_no_setup, on_step)\n"
    )
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "word.h").write_text('#include "deeper.h"\n')
    for word in ("one", "two"):
        (tmp_path / "inner" / "deeper.h").write_text(f'#define WORD "{word}"\n')
        agent = AgentDriver.load(build_c(source))
        agent.setup()
        assert agent.step() == [("log", 1, word)]


def test_a_build_is_taken_from_the_cache_unless_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = build_c(ECHO)
    (stored,) = (tmp_path / "tickwork" / "c").iterdir()
    before = stored.stat().st_mtime_ns
    assert build_c(ECHO) == built
    assert stored.stat().st_mtime_ns == before
    stored.write_bytes(b"damaged")
    assert build_c(ECHO) == built
    assert stored.read_bytes() != b"damaged"


def test_a_compiler_error_is_shown_with_its_file_and_line(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text('#include "tickwork.h"\nint oops(\n')
    with pytest.raises(ModuleError, match=r"broken\.c does not compile") as error:
        build_c(source)
    assert "broken.c:2:" in str(error.value)


def test_a_missing_include_is_the_compilers_to_report(tmp_path: Path) -> None:
    source = tmp_path / "agent.c"
    source.write_text('#include "absent.h"\n')
    with pytest.raises(ModuleError, match=r"'absent\.h' file not found"):
        build_c(source)


def test_calls_of_a_c_library_do_not_link(tmp_path: Path) -> None:
    source = tmp_path / "agent.c"
    shutil.copy(ECHO, source)
    source.write_text("int puts(const char *);\n" + source.read_text().replace("answered++;", 'puts("x");'))
    with pytest.raises(ModuleError, match="undefined symbol: puts"):
        build_c(source)


@pytest.mark.parametrize(("name", "words"), [("absent.c", "cannot be read"), ("agent.rs", r"\.cpp")])
def test_a_file_that_is_no_c_source_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ModuleError, match=words):
        build_c(tmp_path / name)


def test_the_environment_does_not_change_what_is_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "word.h").write_text("")
    monkeypatch.setenv("CPATH", str(tmp_path / "elsewhere"))
    source = tmp_path / "agent.c"
    source.write_text('#include "word.h"\n')
    with pytest.raises(ModuleError, match=r"'word\.h' file not found"):
        build_c(source)


def test_a_name_that_looks_like_an_option_is_a_name(tmp_path: Path) -> None:
    source = tmp_path / "-c.c"
    shutil.copy(ECHO, source)
    assert build_c(source) == build_c(ECHO)
