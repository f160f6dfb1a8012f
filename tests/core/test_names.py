import pytest

from tickwork.core.names import NAME_BYTES_MAX, name_fault, spawned_id_fault


@pytest.mark.parametrize(
    "name", ["a", "_", "9", "A.b-c_d", "x" * NAME_BYTES_MAX, "input", "tickwork2", "a..b"]
)
def test_a_name_of_letters_digits_and_marks_is_fine(name):
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("x" * (NAME_BYTES_MAX + 1), "is longer than 128 bytes"),
        ("tickwork", "is reserved for the runtime"),
        *[
            (name, "may hold only letters, digits, '_', '-' and '.', and must not begin with '-' or '.'")
            for name in (
                "-a",
                ".a",
                "a b",
                "a/b",
                "a\n",
                "\u00e9",
                "a:b",
                "input:x",
                "*",
                "a*",
                "\u0661",
                "a\0",
            )
        ],
    ],
)
def test_what_could_be_mistaken_for_something_else_is_no_name(name, fault):
    assert name_fault(name) == fault


@pytest.mark.parametrize("agent_id", ["k/1", "k/" + "x" * NAME_BYTES_MAX, "k/k"])
def test_a_spawned_id_is_its_kind_and_a_name(agent_id):
    assert spawned_id_fault(agent_id, "k") is None


@pytest.mark.parametrize(
    ("agent_id", "fault"),
    [
        ("", "must begin with 'k/'"),
        ("k", "must begin with 'k/'"),
        ("kk/1", "must begin with 'k/'"),
        ("K/1", "must begin with 'k/'"),
        ("/1", "must begin with 'k/'"),
        ("k/", "has a last part that is empty"),
        ("k/tickwork", "has a last part that is reserved for the runtime"),
        ("k/" + "x" * (NAME_BYTES_MAX + 1), "has a last part that is longer than 128 bytes"),
    ],
)
def test_a_spawned_id_that_is_not_is_explained(agent_id, fault):
    assert spawned_id_fault(agent_id, "k") == fault


def test_a_spawned_id_has_one_slash():
    assert spawned_id_fault("k/a/b", "k") is not None


def test_no_declared_name_is_a_spawned_id_or_a_sender_of_the_runtime():
    for name in ("k/1", "tickwork", "input:lines"):
        assert name_fault(name) is not None
