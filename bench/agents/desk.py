"""A Python agent with a JSON turn: reads a ticket, updates its books, answers with JSON."""

from tickwork_agent import Agent, Message


class Desk(Agent):
    """One desk of a ring."""

    def setup(self, config: dict[str, str]) -> None:
        """Learn who comes next."""
        self.next = config["next"]
        self.seen: dict[str, int] = {}

    def on_ticket(self, message: Message) -> None:
        """Note the ticket and pass it on."""
        ticket = message.json()
        service = ticket["service"]
        self.seen[service] = self.seen.get(service, 0) + 1
        ticket["hops"] += 1
        ticket["seen"] = self.seen[service]
        ticket["tags"] = sorted({*ticket["tags"], f"hop-{ticket['hops'] % 5}"})[-4:]
        self.send(self.next, "ticket", ticket)
