"""What an agent and a run may use at most. Every number is a manifest key; see docs/reference/limits.md."""

import msgspec

KIB = 1024
MIB = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One agent's limits. Fuel counts instructions, never time: a slow machine traps at the same one."""

    fuel_per_turn: int = 100_000_000
    fuel_setup: int = 2_000_000_000
    memory_bytes: int = 64 * MIB
    table_elements: int = 100_000
    effects_per_turn: int = 1_000
    bytes_per_turn: int = MIB
    mailbox_messages: int = 1_000
    mailbox_bytes: int = 4 * MIB
    timers: int = 1_000


class RunLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole run's limits."""

    agents: int = 30_000
    module_bytes: int = 64 * MIB
    input_line_bytes: int = MIB
