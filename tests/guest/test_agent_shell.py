"""The guest's shell in plain Python: loading an author's file, and failures as the author sees them."""

import linecache
import sys
from collections.abc import Iterator

import pytest

from tickwork.core.errors import ModuleError
from tickwork.guest.python_source import python_preamble
from tickwork_agent import Log, Message, Now, Send
from tickwork_agent.modules import Absent
from tickwork_agent.shell import AGENT_MODULE, AgentFailure, Shell
from tickwork_agent.tracebacks import FRAMES_MAX, TEXT_CHARACTERS_MAX

NOW = Now(tick=1, now_ns=2, seed=3, fuel=4)
HEAD = "from tickwork_agent import Agent\nclass A(Agent):\n"


@pytest.fixture(autouse=True)
def importers() -> Iterator[None]:
    """The shell changes how this process imports, as it should inside the sandbox; undo it here."""
    finders, loaded = list(sys.meta_path), set(sys.modules)
    sys.meta_path.append(Absent())
    yield
    sys.meta_path[:] = finders
    for name in set(sys.modules) - loaded:
        del sys.modules[name]
    linecache.clearcache()


def shell_of(source: str, config: bytes = b"", modules: dict[str, str] | None = None) -> Shell:
    shell = Shell()
    shell.setup("me", python_preamble("agents/my.py", source, modules) + config, "1.0.0")
    return shell


def failure_in_setup(source: str, config: bytes = b"", modules: dict[str, str] | None = None) -> str:
    with pytest.raises(AgentFailure) as caught:
        shell_of(source, config, modules)
    return str(caught.value)


def failure_in_turn(body: str, modules: dict[str, str] | None = None) -> str:
    shell = shell_of(HEAD + "  def on_go(self, message):\n    " + body.replace("\n", "\n    "), b"", modules)
    with pytest.raises(AgentFailure) as caught:
        shell.step(NOW, [Message("s", "go")])
    return str(caught.value)


def frames(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.lstrip(" |").startswith("File ")]


def test_setup_is_given_the_config_and_turns_reach_the_agent() -> None:
    source = HEAD + (
        "  def setup(self, config): self.who = config['who']\n"
        "  def on_go(self, message): self.send(self.who, self.id, message.body)\n"
    )
    shell = shell_of(source, b'{"who": "you"}')
    assert shell.step(NOW, [Message("s", "go", b"hi")]) == [Send("you", "me", b"hi")]


def test_an_empty_config_is_an_empty_table() -> None:
    shell = shell_of(HEAD + "  def setup(self, c): self.c = c\n  def on_go(self, m): self.log(self.c)")
    assert [str(each.text) for each in shell.step(NOW, [Message("s", "go")]) if isinstance(each, Log)] == [
        "{}"
    ]


def test_a_config_that_is_not_json_is_told() -> None:
    assert "config is not JSON" in failure_in_setup(HEAD + "  pass", b"{")
    assert "config is not JSON" in failure_in_setup(HEAD + "  pass", b"\xff")


def test_another_abi_is_refused() -> None:
    with pytest.raises(AgentFailure, match=r"ABI 1\.x"):
        Shell().setup("me", python_preamble("a.py", HEAD + "  pass"), "2.0.0")


def test_a_file_without_an_agent_is_told() -> None:
    assert "my.py defines no agent" in failure_in_setup("from tickwork_agent import Agent\nx = Agent")


def test_a_file_with_two_agents_is_told_with_their_names() -> None:
    assert "2 agents (A, B)" in failure_in_setup(HEAD + "  pass\nclass B(Agent): pass")


def test_the_last_of_a_line_of_classes_is_the_agent() -> None:
    shell = shell_of(HEAD + "  pass\nclass B(A):\n  def on_go(self, m): self.log(type(self).__name__)")
    assert shell.step(NOW, [Message("s", "go")])[0].text == "B"


def test_an_imported_agent_is_not_the_files_own() -> None:
    base = "from tickwork_agent import Agent\nclass Base(Agent):\n  def on_go(self, m): self.log('b')"
    shell = shell_of("from base import Base\nclass A(Base):\n  pass", modules={"base": base})
    assert shell.step(NOW, [Message("s", "go")])[0].text == "b"


def test_a_traceback_has_the_authors_frames_alone() -> None:
    text = failure_in_turn("self.help()\ndef nothing(): pass\n")
    assert frames(text) == ['File "agents/my.py", line 4, in on_go']
    assert "self.help()" in text
    assert text.endswith("AttributeError: 'A' object has no attribute 'help'")


def test_frames_of_the_library_and_of_the_api_are_left_out() -> None:
    assert frames(failure_in_turn("import json; json.loads('{')")) == [
        'File "agents/my.py", line 4, in on_go'
    ]
    assert frames(failure_in_turn("self.send(1, 't')")) == ['File "agents/my.py", line 4, in on_go']


def test_linked_exceptions_are_trimmed_too() -> None:
    body = "import json\ntry: json.loads('{')\nexcept ValueError as e: raise KeyError('x') from e"
    text = failure_in_turn(body)
    assert frames(text) == ['File "agents/my.py", line 5, in on_go', 'File "agents/my.py", line 6, in on_go']
    assert "direct cause" in text


def test_exception_groups_are_trimmed_too() -> None:
    body = "import json\ntry: json.loads('{')\nexcept ValueError as e: raise ExceptionGroup('many', [e])"
    assert all("my.py" in frame for frame in frames(failure_in_turn(body)))


def test_a_syntax_error_is_shown_in_the_authors_file() -> None:
    text = failure_in_setup("x = 1\ndef f(:\n  pass\n")
    assert frames(text) == ['File "agents/my.py", line 2']
    assert "def f(:" in text
    assert "SyntaxError" in text


def test_a_bundled_module_is_shown_by_its_file() -> None:
    modules = {"pack.inner": "def f():\n  raise ValueError('deep')"}
    text = failure_in_turn("import pack.inner\npack.inner.f()", modules)
    assert frames(text) == ['File "agents/my.py", line 5, in on_go', 'File "pack/inner.py", line 2, in f']


@pytest.mark.parametrize("raised", ["SystemExit(3)", "KeyboardInterrupt", "GeneratorExit", "MemoryError"])
def test_no_exception_leaves_the_shell_as_itself(raised: str) -> None:
    assert raised.split("(", maxsplit=1)[0] in failure_in_turn(f"raise {raised}")


def test_an_exception_that_cannot_be_shown_is_named() -> None:
    body = "class E(Exception):\n  def __str__(self): raise ValueError\nraise E"
    assert "E" in failure_in_turn(body).splitlines()[-1]


def test_a_runaway_recursion_is_cut() -> None:
    text = failure_in_turn("def f(n): return f(n + 1)\nf(0)")
    assert "RecursionError" in text
    assert "are left out)" in text
    assert len(frames(text)) <= FRAMES_MAX


def test_a_long_text_is_cut_and_always_utf8() -> None:
    text = failure_in_turn("raise ValueError('\\ud800' + 'x' * 10**6)")
    assert len(text) <= TEXT_CHARACTERS_MAX
    text.encode()


def test_a_circle_of_causes_ends() -> None:
    assert "ValueError" in failure_in_turn(
        "e, o = ValueError(1), ValueError(2)\ne.__cause__ = o\no.__cause__ = e\nraise e"
    )


def test_a_missing_module_says_how_to_bundle_it() -> None:
    text = failure_in_setup("import surely_not_installed")
    assert "ModuleNotFoundError" in text
    assert "`modules` in the manifest" in text
    assert frames(text) == ['File "agents/my.py", line 1, in <module>']


def test_an_optional_import_can_be_caught() -> None:
    source = HEAD + "  try:\n    import surely_not_installed\n  except ImportError:\n    pass\n"
    assert shell_of(source).step(NOW, []) == []


def test_packages_and_their_modules_import_each_other() -> None:
    modules = {"p": "from p.a import one", "p.a": "from . import b\none = b.half * 2", "p.b": "half = 0.5"}
    shell = shell_of("import p\n" + HEAD + "  def on_go(self, m): self.log(p.one)", modules=modules)
    assert shell.step(NOW, [Message("s", "go")])[0].text == "1.0"


def test_dataclasses_and_annotations_resolve_in_the_authors_module() -> None:
    source = "from __future__ import annotations\nimport dataclasses, typing\n"
    source += "@dataclasses.dataclass\nclass D:\n  x: int\n"
    shell = shell_of(source + HEAD + "  def on_go(self, m): self.log(typing.get_type_hints(D))")
    assert "int" in shell.step(NOW, [Message("s", "go")])[0].text
    assert AGENT_MODULE in sys.modules


def test_the_preamble_is_one_line_whatever_the_order_of_modules() -> None:
    one = python_preamble("a.py", "x = '\n'", {"b": "1", "a": "2"})
    assert one == python_preamble("a.py", "x = '\n'", {"a": "2", "b": "1"})
    assert one.index(b"\n") == len(one) - 1


@pytest.mark.parametrize("name", ["json", "tickwork_agent", "os.path", "a-b", "class", "", "a..b", "1a"])
def test_a_module_that_could_not_be_imported_is_not_bundled(name: str) -> None:
    with pytest.raises(ModuleError, match="cannot bundle"):
        python_preamble("a.py", "", {name: ""})
