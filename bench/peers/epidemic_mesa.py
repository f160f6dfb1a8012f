"""The model of examples/epidemic in Mesa: the same people, contacts, chances and order of events.

    python bench/peers/epidemic_mesa.py [PEOPLE] [SEED]

In a step, who was sick before it meets its contacts and may recover; who was infected in the step before
becomes sick, and meets others from the next step on. Only the sick are visited, as with tickwork.
"""

import enum
import json
import math
import sys
from dataclasses import dataclass

import mesa

NEAR_FAR = 4
MILLION = 1_000_000
_MASK = (1 << 64) - 1


class Status(enum.Enum):
    """Where a person stands."""

    SUSCEPTIBLE = enum.auto()
    SICK = enum.auto()
    RECOVERED = enum.auto()


@dataclass(frozen=True)
class Summary:
    """What an epidemic came to: people who were ever sick, the most at once, and the tick of that."""

    size: int
    peak: int
    peak_tick: int


def splitmix(state: int) -> int:
    """Return SplitMix64's first number from this state, as tw_random of the agents' header."""
    mixed = (state + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
    return mixed ^ mixed >> 31


def contacts_of(person: int, people: int) -> list[int]:
    """Return whom a person knows: four next door on a torus, four anywhere."""
    side = math.isqrt(people)
    near = [(person + step) % people for step in (1, people - 1, side, people - side)]
    return near + [splitmix(person * NEAR_FAR + which) % people for which in range(NEAR_FAR)]


class Person(mesa.Agent):
    """One person of the model."""

    def __init__(self, model: "Epidemic", index: int) -> None:
        super().__init__(model)
        self.status = Status.SUSCEPTIBLE
        self.contacts = contacts_of(index, model.people)

    def meet(self) -> None:
        """Cough at every contact, and perhaps recover."""
        model = self.model
        for contact in self.contacts:
            if model.random.random() < model.catch:
                model.coughed_at[contact] = None
        if model.random.random() < model.recover:
            self.status = Status.RECOVERED


class Epidemic(mesa.Model):
    """`people` persons of whom `patients` are sick in the first step."""

    def __init__(
        self,
        people: int,
        seed: int,
        *,
        patients: int = 20,
        catch_ppm: int = 60_000,
        recover_ppm: int = 200_000,
    ) -> None:
        super().__init__(seed=seed)
        self.people = people
        self.catch, self.recover = catch_ppm / MILLION, recover_ppm / MILLION
        self.persons = [Person(self, index) for index in range(people)]
        first = self.random.randrange(people)
        self.coughed_at = dict.fromkeys(
            (first + patient * people // patients) % people for patient in range(patients)
        )
        self.sick: list[Person] = []
        self.recovered = 0

    def step(self) -> None:
        """Take one day."""
        coughed_at, self.coughed_at = self.coughed_at, {}
        for person in self.sick:
            person.meet()
        still = [person for person in self.sick if person.status is Status.SICK]
        self.recovered += len(self.sick) - len(still)
        for index in coughed_at:
            person = self.persons[index]
            if person.status is Status.SUSCEPTIBLE:
                person.status = Status.SICK
                still.append(person)
        self.sick = still


def simulate(people: int, seed: int, **parameters: int) -> Summary:
    """Run one epidemic to its end."""
    model = Epidemic(people, seed, **parameters)
    peak, peak_tick, tick = 0, 0, 2
    while model.sick or model.coughed_at:
        model.step()
        # The census of tickwork's model counts what was reported to it: a tick later.
        if len(model.sick) > peak:
            peak, peak_tick = len(model.sick), tick + 1
        tick += 1
    return Summary(model.recovered, peak, peak_tick)


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    people, seed = [*given, *(10_000, 1)[len(given) :]]
    found = simulate(people, seed)
    print(json.dumps({"size": found.size, "peak": found.peak, "peak_tick": found.peak_tick}))
