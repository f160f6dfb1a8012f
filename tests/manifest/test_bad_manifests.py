"""Each way to get a manifest wrong has one message that names the line, the key and the fix."""

# ruff: noqa: E501 - a table reads best with a case to a line

import os
from pathlib import Path

import pytest

from tickwork.core.errors import ManifestError
from tickwork.manifest.load import MANIFEST_BYTES_MAX, load_manifest

RUN = '[run]\nname = "r"\n'
A = '[[agents]]\nid = "a"\nmodule = "a.py"\n'
B = '[[agents]]\nid = "b"\nmodule = "a.py"\n'
WORKER = '[kinds.worker]\nmodule = "a.py"\n'
GOOD = RUN + A


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "a.py").write_text("")
    (root / "lib").mkdir()
    (root / "lib" / "a.py").write_text("")
    (root / "lib" / "not-a-name.py").write_text("")
    (root / "b.rs").write_text("")
    (root / "c.c").write_text("")
    (root / "plain").write_text("")
    (root / "big.wasm").write_bytes(bytes(2000))
    (root / "loop.py").symlink_to(root / "loop.py")
    os.mkfifo(root / "fifo.py")
    return root


def message(project: Path, text: str | bytes) -> str:
    path = project / "tickwork.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    told = str(caught.value)
    assert told.startswith(str(path))
    assert "\n" not in told
    return told.removeprefix(str(path))


def test_the_good_parts_are_good(project: Path) -> None:
    path = project / "tickwork.toml"
    for text in (GOOD, RUN + A + B + WORKER):
        path.write_text(text)
        assert load_manifest(path).name == "r"


BAD = {
    # Not TOML, or nothing in it.
    "empty": ("", ": run: is missing; add a table [run]"),
    "syntax": ("[run\n", ":1:5: is not valid TOML: expected ']'"),
    "syntax on a later line": (GOOD + "x = \n", ":6:5: is not valid TOML: invalid value"),
    "open string at the end": (GOOD + 'x = """', "is not valid TOML: "),
    "a key twice": (RUN + 'name = "s"\n', ":3:11: is not valid TOML: cannot overwrite a value"),
    "a table twice": (GOOD + RUN, "is not valid TOML: cannot declare ('run',) twice"),
    "not UTF-8": (GOOD.encode() + b"\xff", ":6: is not UTF-8 text"),
    "too deep": (GOOD + "[x]\ny = " + "[" * 5000, "is nested too deeply"),
    "a number with thousands of digits": (RUN + "seed = " + "1" * 5000, "holds a value that is not possible"),
    "a day that is in no calendar": (RUN + "start = 2026-02-30\n", "is not valid TOML"),
    # Unknown keys.
    "unknown table": (GOOD + "[agent]\n", ":6: agent: unknown key; did you mean 'agents'?; allowed here: run"),
    "tools are not known yet": (GOOD + "[tools.x]\n", ":6: tools: unknown key; allowed here: run,"),
    "unknown run key": (RUN + "sed = 1\n" + A, ":3: run.sed: unknown key; did you mean 'seed'?; allowed here: name"),
    "unknown engine key": (GOOD + "[engine]\nfloat = 1\n", ":7: engine.float: unknown key; did you mean 'floats'?"),
    "unknown agent key": (GOOD + 'modul = "x"\n', ":6: agents[0].modul (agent 'a'): unknown key; did you mean 'module'?"),
    "unknown kind key": (GOOD + WORKER + "count = 2\n", ":8: kinds.worker.count (kind 'worker'): unknown key"),
    "unknown limit": (
        GOOD + "limits = { memory = 1 }\n",
        ":6: agents[0].limits.memory (agent 'a'): unknown key; did you mean 'memory_bytes'?",
    ),
    "an agent's limit for the run": (GOOD + "[limits]\ntimers = 1\n", ":7: limits.timers: unknown key"),
    "unknown default": (GOOD + "[defaults]\ngrants = []\n", ":7: defaults.grants: unknown key"),
    "unknown default limit": (GOOD + "[defaults.limits]\nfuel = 1\n", ":7: defaults.limits.fuel: unknown key; did"),
    "unknown input key": (GOOD + '[inputs.i]\nto = "a"\nfile = "x"\n', ":8: inputs.i.file: unknown key"),
    "unknown output key": (GOOD + "[outputs.o]\nto = 1\n", ":7: outputs.o.to: unknown key"),
    "unknown grant key": (
        GOOD + 'grants = [{ capability = "timer", per_second = 1 }]\n',
        ":6: agents[0].grants[0].per_second (agent 'a'): unknown key; allowed here: capability, per_tick, per_run",
    ),
    "a key that needs quotes": (GOOD + '[run."a b"]\n', ": run.'a b': unknown key"),
    # [run] and [engine].
    "no name": ("[run]\n" + A, ':1: run.name: is missing; add name = "my-run"'),
    "run is no table": ("run = 1\n" + A, ":1: run: must be a table, not a whole number"),
    "bad name": ('[run]\nname = "a b"\n' + A, ":2: run.name: 'a b' may hold only letters"),
    "number for a name": ("[run]\nname = 5\n" + A, ":2: run.name: must be a string such as name"),
    "true for a seed": (RUN + "seed = true\n" + A, ":3: run.seed: must be a whole number, not true or false"),
    "negative seed": (RUN + "seed = -1\n" + A, ":3: run.seed: is -1; it must be between 0 and"),
    "seed beyond 64 bits": (RUN + f"seed = {2**64}\n" + A, ":3: run.seed: is 18446744073709551616; it must"),
    "fraction for a seed": (RUN + "seed = 1.0\n" + A, ":3: run.seed: must be a whole number, not a number with"),
    "start is no time": (RUN + 'start = "soon"\n' + A, ":3: run.start: 'soon' is not a time; write it as"),
    "start without a zone": (RUN + "start = 2026-01-01T00:00:00\n" + A, ":3: run.start: has no time zone"),
    "start is a date": (RUN + "start = 2026-01-01\n" + A, ":3: run.start: must be a time such as"),
    "start before the epoch": (RUN + 'start = "1969-12-31T23:00:00Z"\n' + A, ":3: run.start: must lie between"),
    "start before the epoch by its zone": (
        RUN + 'start = "1970-01-01T00:00:00+02:00"\n' + A,
        ":3: run.start: must lie between",
    ),
    "empty start": (RUN + 'start = ""\n' + A, ":3: run.start: '' is not a time"),
    "tick without unit": (RUN + 'tick = "100"\n' + A, ":3: run.tick: '100' is not a duration"),
    "tick as a number": (RUN + "tick = 100\n" + A, ":3: run.tick: must be a string such as tick"),
    "tick of nothing": (RUN + 'tick = "0ms"\n' + A, ":3: run.tick: is '0ms'; it must be between 1ns and"),
    "tick of two days": (RUN + 'tick = "172800s"\n' + A, ":3: run.tick: is '172800s'; it must be between"),
    "no ticks": (RUN + "ticks = 0\n" + A, ":3: run.ticks: is 0; it must be between 1 and"),
    "schedule nothing known": (RUN + 'schedule = "dga"\n' + A, ":3: run.schedule: is 'dga'; did you mean 'dag'?; it can be: 'lockstep', 'dag'"),
    "dag without edges": (RUN + 'schedule = "dag"\n' + A, ":3: run.schedule: is \"dag\", but no edges are declared; add [dag] with edges = ["),
    "dag with an unknown key": (GOOD + "[dag]\nedge = []\n", ":7: dag.edge: unknown key; did you mean 'edges'?"),
    "edges no array": (GOOD + '[dag]\nedges = "a -> b"\n', ":7: dag.edges: must be an array such as edges = [...], not a string"),
    "edge of one name": (GOOD + '[dag]\nedges = ["a"]\n', ":7: dag.edges[0]: 'a' joins nobody; write it like edges = ["),
    "edge without an end": (GOOD + '[dag]\nedges = ["a -> "]\n', ":7: dag.edges[0]: 'a -> ' lacks a name beside an arrow"),
    "edge to nobody": (GOOD + B + '[dag]\nedges = ["a -> b", "a -> c"]\n', ":10: dag.edges[1]: 'c' is no agent and no kind (there are: a, b)"),
    "edge to no pattern": (GOOD + '[dag]\nedges = ["a -> desk-*"]\n', ":7: dag.edges[0]: 'desk-*' matches no agent and no kind (there are: a)"),
    "edge to one spawned agent": (GOOD + WORKER + '[dag]\nedges = ["a -> worker/1"]\n', ":9: dag.edges[0]: 'worker/1' names single agents of a kind, which are joined together or not at all; write 'worker/*'"),
    "edge with a star within": (GOOD + '[dag]\nedges = ["a -> b*c"]\n', ":7: dag.edges[0]: 'b*c' may have a '*' only at its end"),
    "edges in a cycle": (GOOD + B + '[dag]\nedges = ["a -> b", "b -> a"]\n', ":10: dag.edges: the edges form a cycle: b -> a -> b; take one of these edges out"),
    "edge to oneself": (GOOD + '[dag]\nedges = ["a -> a"]\n', ":7: dag.edges: the edges form a cycle: a -> a; take one of these edges out"),
    "too many edges": (GOOD + '[dag]\nedges = ["' + " -> ".join(["a"] * 1002) + '"]\n', ":7: dag.edges: makes 1001 edges, more than 1000"),
    "until nothing known": (RUN + 'until = "idl"\n' + A, ":3: run.until: is 'idl'; did you mean 'idle'?; it can be"),
    "until an unknown number": (RUN + 'until = "ticks"\n' + A, ":3: run.until: is \"ticks\", but the number is missing"),
    "bad input choice": (RUN + 'on_bad_input = "skip"\n' + A, ":3: run.on_bad_input: is 'skip'; it can be"),
    "other floats": (
        GOOD + '[engine]\nfloats = "fats"\n',
        ":7: engine.floats: is 'fats'; did you mean 'fast'?; it can be: 'portable', 'fast'",
    ),
    "unknown durability": (RUN + 'durability = "ticks"\n' + A, ":3: run.durability: is 'ticks'; did you mean 'tick'?; it can"),
    # [models.NAME].
    "unknown model key": (GOOD + '[models.m]\npath = "m"\nlatency = 1\n', ":8: models.m.latency: unknown key; did you mean"),
    "a model from nowhere": (GOOD + "[models.m]\n", ':6: models.m.path: is missing; add path = "models/tiny"'),
    "a model from two places": (
        GOOD + '[models.m]\npath = "m"\ncached = "m"\n',
        ":8: models.m.cached: names a model, and so does path; remove one of the two",
    ),
    "a model without a name": (GOOD + '[models."a b"]\npath = "m"\n', "models.'a b': the model's name may hold only"),
    "an empty path of a model": (GOOD + '[models.m]\npath = ""\n', ":7: models.m.path: names no model"),
    "a variant of a cached model": (
        GOOD + '[models.m]\ncached = "m"\nvariant = "q4"\n',
        ":8: models.m.variant: was chosen when the model was added",
    ),
    "answers at once": (GOOD + '[models.m]\npath = "m"\nlatency_ticks = 0\n', ":8: models.m.latency_ticks: is 0; it must"),
    "no tokens": (GOOD + '[models.m]\npath = "m"\ntokens_per_tick = 0\n', ":8: models.m.tokens_per_tick: is 0; it must"),
    "a default above the most": (
        GOOD + '[models.m]\npath = "m"\ntokens_default = 9\ntokens_max = 8\n',
        ":8: models.m.tokens_default: is more than tokens_max, which is 8",
    ),
    "unknown provider": (
        GOOD + '[models.m]\npath = "m"\nproviders = ["gpu"]\n',
        ":8: models.m.providers[0]: 'gpu' is none",
    ),
    "a grant of no model": (
        GOOD + 'grants = ["infer:n"]\n[models.m]\npath = "m"\n',
        "agents[0].grants[0] (agent 'a'): 'infer:n' names no model (there are: m); correct it, or add [models.NAME]",
    ),
    "tokens of a timer": (
        GOOD + 'grants = [{ capability = "timer", tokens_per_run = 1 }]\n',
        ":6: agents[0].grants[0].tokens_per_run (agent 'a'): bounds what models answer, and timer asks none; remove it",
    ),
    # [snapshots].
    "unknown snapshot key": (GOOD + "[snapshots]\nevry = 1\n", ":7: snapshots.evry: unknown key; did you mean 'every'?"),
    "snapshots is no table": ("snapshots = 5\n" + GOOD, ":1: snapshots: must be a table, not a whole number"),
    "every nothing known": (
        GOOD + '[snapshots]\nevery = "atuo"\n',
        ":7: snapshots.every: is 'atuo'; did you mean 'auto'?; it can be: 'auto', 'never' or a whole number",
    ),
    "every no tick": (GOOD + "[snapshots]\nevery = 0\n", ":7: snapshots.every: is 0; it must be between 1 and"),
    "every half a tick": (GOOD + "[snapshots]\nevery = 0.5\n", ":7: snapshots.every: must be a whole number, not a number"),
    "every true": (GOOD + "[snapshots]\nevery = true\n", ":7: snapshots.every: must be a whole number, not true"),
    "share of nothing": (GOOD + "[snapshots]\nshare = 0\n", ":7: snapshots.share: is 0; it must be between 0.001 and 1"),
    "share of more than all": (GOOD + "[snapshots]\nshare = 1.5\n", ":7: snapshots.share: is 1.5; it must be between"),
    "share of no number": (GOOD + "[snapshots]\nshare = nan\n", ":7: snapshots.share: is nan; it must be between"),
    "share as text": (GOOD + '[snapshots]\nshare = "5%"\n', ":7: snapshots.share: must be a number, not a string"),
    "share of true": (GOOD + "[snapshots]\nshare = true\n", ":7: snapshots.share: must be a number, not true or false"),
    "share of a fixed interval": (
        GOOD + "[snapshots]\nevery = 10\nshare = 0.1\n",
        ':8: snapshots.share: only counts with every = "auto"; remove one of the two',
    ),
    "keep nothing known": (GOOD + '[snapshots]\nkeep = "last"\n', ":7: snapshots.keep: is 'last'; it can be: 'all', 'thin'"),
    "keep none": (GOOD + "[snapshots]\nkeep = 0\n", ":7: snapshots.keep: is 0; it must be between 1 and"),
    # Limits.
    "a limit too high": (
        GOOD + "[agents.limits]\nmemory_bytes = 9999999999999\n",
        ":7: agents[0].limits.memory_bytes (agent 'a'): is 9999999999999; it must be between 65536 and 4294967296",
    ),
    "a limit too low": (GOOD + "[defaults.limits]\nfuel_per_turn = 0\n", ":7: defaults.limits.fuel_per_turn: is 0"),
    "a text for a limit": (GOOD + '[limits]\nagents = "many"\n', ":7: limits.agents: must be a whole number, not a st"),
    "true for a limit": (GOOD + "[limits]\nagents = true\n", ":7: limits.agents: must be a whole number, not true"),
    "limits is no table": ("limits = 3\n" + GOOD, ":1: limits: must be a table, not a whole number"),
    "more agents than the limit": (GOOD + B + "[limits]\nagents = 1\n", ":6: agents[1]: makes 2 agents, more than limits"),
    "a count over the limit": (GOOD + "count = 50000\n", ":6: agents[0].count (agent 'a'): is 50000; it must be between 1"),
    # Agents.
    "no agents": (RUN, ": there are no agents; add [[agents]] with an id and a module"),
    "an empty list of agents": ("agents = []\n" + RUN, ": there are no agents"),
    "agents is a table": (RUN + "[agents]\n", ":3: agents: must be an array such as agents = [...], not a table"),
    "an agent is no table": ("agents = [1]\n" + RUN, ":1: agents[0]: must be a table, not a whole number"),
    "no id": (RUN + '[[agents]]\nmodule = "a.py"\n', ':3: agents[0].id: is missing; add id = "my-agent"'),
    "a number for an id": (RUN + '[[agents]]\nid = 1\nmodule = "a.py"\n', ":4: agents[0].id: must be a string"),
    "empty id": (RUN + '[[agents]]\nid = ""\nmodule = "a.py"\n', ":4: agents[0].id (agent ''): '' is empty"),
    "reserved id": (RUN + '[[agents]]\nid = "tickwork"\nmodule = "a.py"\n', "'tickwork' is reserved for the runtime"),
    "an id like a spawned one": (RUN + '[[agents]]\nid = "w/1"\nmodule = "a.py"\n', "'w/1' may hold only letters"),
    "control characters in an id": (RUN + '[[agents]]\nid = "\\u001b[1m"\n', "'\\x1b[1m' may hold only letters"),
    "a long id": (RUN + f'[[agents]]\nid = "{"x" * 200}"\nmodule = "a.py"\n', "is longer than 128 bytes"),
    "an id too long by its count": (
        RUN + f'[[agents]]\nid = "{"x" * 127}"\nmodule = "a.py"\ncount = 3\n',
        "which `count` makes of it, is longer than 128 bytes",
    ),
    "duplicate ids": (GOOD + A, ":7: agents[1].id: the id 'a' is taken by agents[0]; every id must be unique"),
    "duplicate ids through count": (
        RUN + A.replace('"a"', '"a-1"') + A + "count = 2\n",
        ":7: agents[1].id: the id 'a-1' is taken by agents[0]",
    ),
    "count of nothing": (GOOD + "count = 0\n", ":6: agents[0].count (agent 'a'): is 0; it must be between 1 and"),
    "true for every_tick as text": (GOOD + 'every_tick = "yes"\n', ":6: agents[0].every_tick (agent 'a'): must be true"),
    "bad kind": (GOOD + 'kind = "a b"\n', ":6: agents[0].kind (agent 'a'): 'a b' may hold only"),
    "bad name of a kind": (GOOD + '[kinds."a b"]\nmodule = "a.py"\n', ":6: kinds.'a b': the kind's name may hold"),
    "kinds is an array": ("kinds = []\n" + GOOD, ":1: kinds: must be a table, not an array"),
    "number for a config": (GOOD + "config = 1\n", ":6: agents[0].config (agent 'a'): must be a table or a string"),
    "infinity in a config": (GOOD + "config = { x = [1, inf] }\n", "agents[0].config.x[1] (agent 'a'): is not a finite"),
    "a huge number in a config": (GOOD + f"config = {{ x = {2**64} }}\n", "agents[0].config.x (agent 'a'): does not fit"),
    "a huge config": (GOOD + f'config = "{"x" * 1048577}"\n', "agents[0].config (agent 'a'): has 1048577 bytes"),
    "a deep config": (GOOD + f"[agents.config]\n{'.'.join('a' * 3000)} = 1\n", "nested too deeply"),
    # Modules.
    "no module": (RUN + '[[agents]]\nid = "a"\n', ":3: agents[0].module (agent 'a'): is missing; add module ="),
    "empty module": (RUN + '[[agents]]\nid = "a"\nmodule = ""\n', ":5: agents[0].module (agent 'a'): is empty"),
    "missing module": (GOOD.replace("a.py", "b.py"), ":5: agents[0].module (agent 'a'): 'b.py' does not exist"),
    "module is a directory": (GOOD.replace("a.py", "lib"), "agents[0].module (agent 'a'): 'lib' is a directory"),
    "module is a pipe": (GOOD.replace("a.py", "fifo.py"), "'fifo.py' is not a regular file"),
    "module is a device": (GOOD.replace("a.py", "/dev/zero"), "'/dev/zero' is not a regular file"),
    "module is a loop": (GOOD.replace("a.py", "loop.py"), "'loop.py' cannot be read (Too many levels"),
    "module below a file": (GOOD.replace("a.py", "a.py/b.py"), "'a.py/b.py' cannot be read (Not a directory)"),
    "module with a NUL": (GOOD.replace("a.py", "a\\u0000.py"), "cannot be read (embedded null byte)"),
    "module in another language": (GOOD.replace("a.py", "b.rs"), "'b.rs' is of no kind that can be run; it can end in .py"),
    "module without suffix": (GOOD.replace("a.py", "plain"), "'plain' is of no kind that can be run"),
    "module too big": (
        GOOD.replace("a.py", "big.wasm") + "[limits]\nmodule_bytes = 1000\n",
        "'big.wasm' has 2000 bytes, more than the 1000 that are allowed",
    ),
    "missing bundled module": (GOOD + 'modules = ["x.py"]\n', ":6: agents[0].modules[0] (agent 'a'): 'x.py' does not"),
    "bundled module that is none": (GOOD + 'modules = ["c.c"]\n', "agents[0].modules[0] (agent 'a'): 'c.c' is not a .py file"),
    "bundled module without a name": (GOOD + 'modules = ["lib/not-a-name.py"]\n', "'not-a-name' cannot be imported"),
    "bundled module under a bad name": (GOOD + 'modules = { "a..b" = "a.py" }\n', "'a..b' cannot be imported"),
    "bundled number": (GOOD + "modules = { b = 1 }\n", "agents[0].modules.b (agent 'a'): must be a path, not a whole"),
    "two bundled modules of one name": (
        GOOD + 'modules = ["a.py", "lib/a.py"]\n',
        "agents[0].modules[1] (agent 'a'): a second file would be imported as 'a'",
    ),
    "bundle for C": (GOOD.replace("a.py", "c.c") + 'modules = ["a.py"]\n', "is only for Python agents; this one is c"),
    # Grants.
    "grants is text": (GOOD + 'grants = "send:b"\n', ":6: agents[0].grants (agent 'a'): must be an array"),
    "a grant is a number": (GOOD + "grants = [1]\n", ":6: agents[0].grants[0] (agent 'a'): must be a string such as"),
    "unknown capability": (GOOD + 'grants = ["sends:a"]\n', "'sends:a' grants nothing that exists; did you mean 'send'?"),
    "a grant for logging": (GOOD + 'grants = ["log"]\n', "'log': every agent may use 'log'; remove this grant"),
    "a grant without target": (GOOD + 'grants = ["send"]\n', "'send' lacks a target; write \"send:NAME\""),
    "an empty target": (GOOD + 'grants = ["output:"]\n', "'output:' lacks a target"),
    "a timer with target": (GOOD + 'grants = ["timer:x"]\n', "'timer:x': a timer has no target; write \"timer\""),
    "a star in the middle": (GOOD + 'grants = ["send:a*b"]\n', "the target 'a*b' may have a '*' only at its end"),
    "a bad target": (GOOD + 'grants = ["publish:a b"]\n', "the target 'a b' may hold only letters"),
    "a grant without capability": (GOOD + "grants = [{ per_tick = 1 }]\n", "grants[0].capability (agent 'a'): is missing"),
    "never per tick": (
        GOOD + 'grants = ["timer", { capability = "send:a", per_tick = 0 }]\n',
        ":6: agents[0].grants[1].per_tick (agent 'a'): is 0; it must be between 1",
    ),
    "a grant twice": (GOOD + 'grants = ["timer", { capability = "timer" }]\n', "grants[1] (agent 'a'): 'timer' is granted twice"),
    "send to nobody": (
        RUN + A + 'grants = ["send:a", "send:router"]\n' + B.replace('"b"', '"route"'),
        ":6: agents[0].grants[1] (agent 'a'): 'send:router' names no agent; did you mean 'route'? (there are: a, route)",
    ),
    "send to a pattern of nobody": (GOOD + 'grants = ["send:team-*"]\n', "'send:team-*' matches no agent"),
    "send to a spawned agent of no kind": (GOOD + WORKER + '[[agents]]\nid = "b"\nmodule = "a.py"\ngrants = ["send:work/1"]\n',
        "'send:work/1' names no kind; did you mean 'worker'?"),
    "send to a kind itself": (GOOD + 'grants = ["send:worker"]\n' + WORKER, "'send:worker' names no agent"),
    "stop nobody": (GOOD + 'grants = ["stop:b"]\n', "'stop:b' names no agent"),
    "spawn nothing": (GOOD + 'grants = ["spawn:worker"]\n', "'spawn:worker' names no kind (there are: none)"),
    "output to nothing": (GOOD + 'grants = ["output:o"]\n', "'output:o' names no output (there are: none); correct it, or add"),
    "publish to nobody": (GOOD + 'grants = ["publish:news"]\n', "'publish:news' names no topic that anyone subscribes to"),
    "a kind's grant": (GOOD + WORKER + 'grants = ["send:b"]\n', ":8: kinds.worker.grants[0] (kind 'worker'): 'send:b' names"),
    # Subscriptions.
    "a bad topic": (GOOD + 'subscribe = ["a b"]\n', ":6: agents[0].subscribe[0] (agent 'a'): the topic 'a b' may hold"),
    "a reserved topic": (GOOD + 'subscribe = ["tickwork.denied"]\n', "the topic 'tickwork.denied' is reserved"),
    "a topic twice": (GOOD + 'subscribe = ["t", "t"]\n', "agents[0].subscribe[1] (agent 'a'): 't' is there twice"),
    # Inputs and outputs.
    "an input to nobody": (GOOD + "[inputs.i]\nto = []\n", ":7: inputs.i.to: names no agent"),
    "an input without to": (GOOD + "[inputs.i]\n", ":6: inputs.i.to: is missing; add to"),
    "an input to an unknown agent": (GOOD + '[inputs.i]\nto = ["a", "c"]\n', ":7: inputs.i.to[1]: 'c' is no declared agent"),
    "an input to a pattern of nobody": (GOOD + '[inputs.i]\nto = "w*"\n', ":7: inputs.i.to: 'w*' matches no declared agent"),
    "an input to a number": (GOOD + "[inputs.i]\nto = [1]\n", ":7: inputs.i.to[0]: must be a string"),
    "an input's star in the middle": (GOOD + '[inputs.i]\nto = "a*b"\n', "'a*b' may have a '*' only at its end"),
    "an input with a reserved topic": (GOOD + '[inputs.i]\nto = "a"\ntopic = "tickwork.x"\n', ":8: inputs.i.topic: the topic"),
    "an input at no rate": (GOOD + '[inputs.i]\nto = "a"\nrate = 0\n', ":8: inputs.i.rate: is 0; it must be"),
    "an input faster than the mailbox": (
        GOOD + "limits = { mailbox_messages = 5 }\n" + '[inputs.i]\nto = "a"\nrate = 6\n',
        ":9: inputs.i.rate: brings 6 lines a tick to agent 'a', whose limits.mailbox_messages is 5",
    ),
    "two inputs faster than the mailbox": (
        GOOD + "limits = { mailbox_messages = 5 }\n" + '[inputs.i]\nto = "a"\nrate = 3\n[inputs.j]\nto = "a"\nrate = 3\n',
        ":12: inputs.j.rate: brings 6 lines a tick to agent 'a'",
    ),
    "two inputs from the stream": (
        GOOD + '[inputs.i]\nto = "a"\npath = "-"\n[inputs.j]\nto = "a"\npath = "-"\n',
        ":11: inputs.j.path: standard input goes to the input i already",
    ),
    "a bad input name": (GOOD + '[inputs."-"]\nto = "a"\n', ":6: inputs.-: the input's name may hold only"),
    "an empty path": (GOOD + '[outputs.o]\npath = ""\n', ":7: outputs.o.path: is not a path"),
    "an output is text": (GOOD + '[outputs]\no = "x"\n', ":7: outputs.o: must be a table, not a string"),
    "two outputs in one file": (
        GOOD + '[outputs.o]\npath = "x"\n[outputs.p]\npath = "lib/../x"\n',
        "outputs.p.path: ",
    ),
    "two outputs on the stream": (
        GOOD + '[outputs.o]\npath = "-"\n[outputs.p]\npath = "-"\n',
        ":9: outputs.p.path: standard output is used by the output o already",
    ),
    "an output over its input": (
        GOOD + '[inputs.i]\nto = "a"\npath = "x"\n[outputs.o]\npath = "x"\n',
        "is used by the input i already; give this output a path of its own",
    ),
    "an output over a module": (GOOD + '[outputs.o]\npath = "a.py"\n', "is used by the module of 'a' already"),
    "an output over the manifest": (GOOD + '[outputs.o]\npath = "tickwork.toml"\n', "is used by the manifest already"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_manifest_is_explained(project: Path, case: str) -> None:
    text, expected = BAD[case]
    assert expected in message(project, text)


def test_there_are_cases_enough() -> None:
    assert len(BAD) >= 60


def test_the_first_fault_in_the_file_is_the_one_told(project: Path) -> None:
    text = '[[agents]]\nid = "a"\nmodul = "a.py"\n[run]\nname = 1\n[outputs.o]\nx = 1\n'
    assert ":3: agents[0].modul" in message(project, text)
    text = "[outputs.o]\nx = 1\n[run]\nname = 1\n" + A
    assert ":2: outputs.o.x" in message(project, text)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.toml", "does not exist; a project is made with: tickwork new NAME"),
        ("fifo.py", "is not a regular file"),
        ("a.py/x", "cannot be read (Not a directory)"),
        ("lib", "tickwork.toml: does not exist"),
        ("nul\0", "cannot be read (embedded null byte)"),
        ("n" * 300, "cannot be read (File name too long)"),
    ],
)
def test_a_path_that_is_no_manifest_is_named(project: Path, name: str, words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load_manifest(project / name)
    assert str(project / name) in str(caught.value)
    assert words in str(caught.value)


def test_a_manifest_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tickwork.toml"
    with path.open("wb") as file:
        file.truncate(MANIFEST_BYTES_MAX + 1)
    with pytest.raises(ManifestError, match="has 4194305 bytes, more than the 4194304 that are allowed"):
        load_manifest(path)
