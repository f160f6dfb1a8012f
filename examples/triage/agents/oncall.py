"""A team's people on call: the gravest incident first, and all hands while a major is in progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tickwork_agent import Agent, Message, Now

# Minutes of work by severity, 1 to 4.
EFFORT = {1: 18, 2: 12, 3: 6, 4: 3}
# At this level the duty manager steps in, whether anybody is free or not.
MANAGED = 2


@dataclass
class Job:
    """One incident as the people on call know it."""

    incident: str
    arrived: int
    severity: int
    level: int = 0
    state: str = "waiting"

    def urgency(self) -> tuple[int, int, int, str]:
        return (-self.level, self.severity, self.arrived, self.incident)


class OnCall(Agent):
    """Config: `team`, and `staff`, the number of people."""

    def setup(self, config: Any) -> None:
        self.team: str = config["team"]
        self.staff: int = config["staff"]
        self.jobs: dict[str, Job] = {}
        self.majors: set[str] = set()

    def step(self, now: Now, inbox: Sequence[Message]) -> None:
        """Take note of everything first, then hand out work."""
        super().step(now, inbox)
        waiting = sorted((job for job in self.jobs.values() if job.state == "waiting"), key=Job.urgency)
        busy = sum(job.state == "working" for job in self.jobs.values())
        for job in waiting:
            if job.level >= MANAGED or (busy < self.staff and not (self.majors and job.severity == 4)):
                self.start(job)
                busy += 1
        self.metric("busy", busy)

    def on_graded(self, message: Message) -> None:
        name, severity = message.json()["incident"], message.json()["severity"]
        job = self.jobs.setdefault(name, Job(name, self.now.tick, severity))
        job.severity = severity
        if severity == 1 and job.state == "resolved":
            self.all_clear(job)

    def on_escalated(self, message: Message) -> None:
        self.jobs[message.json()["incident"]].level = message.json()["level"]

    def on_incident_major(self, message: Message) -> None:
        self.majors.add(message.json()["incident"])

    def on_incident_over(self, message: Message) -> None:
        self.majors.discard(message.json()["incident"])

    def on_done(self, message: Message) -> None:
        job = self.jobs[message.json()["incident"]]
        job.state = "resolved"
        note = {"incident": job.incident, "tick": self.now.tick}
        self.send(f"triage-{self.team}", "resolved", note)
        self.send("reporter", "resolved", note)
        if job.severity == 1:
            self.all_clear(job)

    def on_tickwork_rejected(self, message: Message) -> None:
        # An all-clear can cross a war room that has just closed.
        self.log.debug(message.text())

    def start(self, job: Job) -> None:
        job.state = "working"
        note = {"incident": job.incident, "tick": self.now.tick}
        self.send(f"escalation-{self.team}", "started", note)
        self.send("reporter", "started", note)
        self.timer("done", note, after_ticks=EFFORT[job.severity])

    def all_clear(self, job: Job) -> None:
        self.publish("incident.over", {"incident": job.incident, "tick": self.now.tick})
