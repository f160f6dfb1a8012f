"""A specification's bytes follow from its value, and fields that nobody uses leave no trace in them."""

import enum

import msgspec
import pytest

from tickwork.core.limits import Limits, RunLimits
from tickwork.core.spec import AgentSpec, RunSpec

encode = msgspec.msgpack.encode


def agent(**fields):
    return AgentSpec("a", "a", "0" * 64, b"", **fields)


def run(**fields):
    return RunSpec("run", 7, 0, 1, "portable", (agent(),), **fields)


@pytest.mark.parametrize("spec", [AgentSpec, RunSpec])
def test_every_default_is_a_value_of_which_there_is_only_one(spec):
    for field in msgspec.structs.fields(spec):
        if field.default is msgspec.NODEFAULT:
            continue
        default = field.default
        only_one = default is None or default in ((), b"", "", False) or isinstance(default, enum.Enum)
        assert only_one, field.name


@pytest.mark.parametrize("spec", [agent(), run()])
def test_equal_specifications_have_equal_bytes(spec):
    made_again = type(spec)(
        **{
            field.name: msgspec.msgpack.decode(encode(getattr(spec, field.name)), type=field.type)
            for field in msgspec.structs.fields(spec)
        }
    )
    assert made_again == spec
    assert encode(made_again) == encode(spec)
    assert encode(msgspec.msgpack.decode(encode(spec), type=type(spec))) == encode(spec)


def test_defaults_other_than_limits_leave_no_trace():
    assert msgspec.msgpack.decode(encode(agent())).keys() == {"id", "kind", "module", "config", "limits"}
    assert "limits" in msgspec.msgpack.decode(encode(agent(limits=Limits())))
    assert encode(agent(limits=Limits())) == encode(agent())
    assert encode(run(limits=RunLimits())) == encode(run())
    assert "kinds" not in msgspec.msgpack.decode(encode(run()))
