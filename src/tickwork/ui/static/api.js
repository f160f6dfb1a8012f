// The server's answers. Everything goes through here, so that there is one place for errors.

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function address(path, asked) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return `/api/${path}${text ? `?${text}` : ""}`;
}

async function answer(response) {
  let content;
  try {
    content = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("the server's answer cannot be read", response.status);
  }
  if (!response.ok) throw new Refused(content.error ?? `the server says ${response.status}`, response.status);
  return content;
}

/** Ask; `signal` gives up. Rejects with `Refused`, whose message is for people. */
export async function ask(path, asked = {}, signal = undefined) {
  try {
    return await answer(await fetch(address(path, asked), { signal }));
  } catch (error) {
    if (error instanceof Refused || error.name === "AbortError") throw error;
    throw new Refused("the viewer's server does not answer; is `tickwork ui` still running?", 0);
  }
}

export async function order(path, content) {
  const headers = { "content-type": "application/json" };
  return answer(await fetch(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(content) }));
}

/** Listen to a stream; returns how to stop. `listeners` are by event; `error` hears of a lost connection. */
export function listen(path, asked, listeners, error = () => {}) {
  const source = new EventSource(address(path, asked));
  for (const [kind, listener] of Object.entries(listeners)) {
    source.addEventListener(kind, (event) => listener(JSON.parse(event.data)));
  }
  source.addEventListener("error", () => error(source.readyState === EventSource.CLOSED));
  return () => source.close();
}

/** Runs only the last of many wishes: each gives up the one before. */
export class Latest {
  #running = null;

  async ask(path, asked) {
    this.cancel();
    const mine = (this.#running = new AbortController());
    try {
      return await ask(path, asked, mine.signal);
    } catch (error) {
      if (error.name === "AbortError") return null;
      throw error;
    } finally {
      if (this.#running === mine) this.#running = null;
    }
  }

  cancel() {
    this.#running?.abort();
    this.#running = null;
  }
}
