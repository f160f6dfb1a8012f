"""The ticks of a run that are exported, retold one by one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tickwork.core.errors import InputError
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import FoldedTick, begin, check_spec, fold


@dataclass(frozen=True, slots=True)
class Range:
    """The ticks from `first` to `last`, both included; `last` None is the run's last."""

    first: int = 0
    last: int | None = None

    def ticks(self, reader: RunReader, progress: Callable[[int], None] | None = None) -> Iterator[FoldedTick]:
        """Yield the ticks of the range; `progress` is told each. `InputError` if there are none."""
        check_spec(reader)
        end = reader.last_tick
        first = max(self.first, reader.header.start_tick)
        if end is None or first > end or (self.last is not None and self.last < first):
            raise InputError(f"{reader.path} has no tick in the range that --from and --to name")
        world, _ = begin(reader, first)
        for folded in fold(reader, world):
            tick = folded.planned.tick
            if self.last is not None and tick > self.last:
                return
            if tick >= first:
                if progress is not None:
                    progress(tick)
                yield folded
