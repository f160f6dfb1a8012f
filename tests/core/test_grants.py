import pytest

from tickwork.core.grants import Capability, Grant, find


@pytest.mark.parametrize(
    ("granted", "target", "covered"),
    [
        ("b", "b", True),
        ("b", "bb", False),
        ("b", "", False),
        ("", "", True),
        ("", "b", False),
        ("*", "", True),
        ("*", "anything\nat all", True),
        ("team.*", "team.x", True),
        ("team.*", "team.", True),
        ("team.*", "teamxx", False),
        ("a*c", "abc", False),
        ("a*c", "a*c", True),
        ("a**", "a*b", True),
        ("a**", "ab", False),
        ("B", "b", False),
        ("[ab]", "a", False),
    ],
)
def test_a_target_is_a_name_or_a_prefix_before_a_star(granted, target, covered):
    assert Grant(Capability.SEND, granted).covers("send", target) is covered


@pytest.mark.parametrize("capability", list(Capability))
def test_a_grant_of_one_capability_covers_no_other(capability):
    grant = Grant(capability, "*")
    assert [other for other in Capability if grant.covers(other, "x")] == [capability]


def test_nothing_is_covered_without_grants():
    assert all(find((), capability, target) is None for capability in Capability for target in ("", "a"))


def test_the_first_grant_that_covers_is_found():
    grants = (Grant(Capability.SEND, "b"), Grant(Capability.SEND, "*"), Grant(Capability.SEND, "c"))
    assert [find(grants, "send", target) for target in "abc"] == [1, 0, 1]


def test_a_grant_is_written_as_in_the_manifest():
    assert [str(Grant(Capability.SEND, "a*")), str(Grant(Capability.TIMER))] == ["send:a*", "timer"]
