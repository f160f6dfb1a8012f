// Sends every message back to its sender, numbered, on the topic it came by.

let received = 0;

// `config`, if there is any, is the number to count from, in ASCII digits.
export function setup(me) {
  const digits = String.fromCharCode(...me.config);
  if (!/^\d*$/.test(digits)) {
    throw `config must be a number, not ${JSON.stringify(digits)}`;
  }
  received = Number(digits);
}

export function step(now, inbox) {
  return inbox.map((message) => {
    received += 1;
    const text = `#${received} at tick ${now.tick}`;
    return [
      { tag: "log", val: { level: "info", text } },
      {
        tag: "send",
        val: { to: message.sender, topic: message.topic, body: message.body, replyTo: message.replyTo },
      },
    ];
  }).flat();
}
