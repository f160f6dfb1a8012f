// Fork from here: what is to be different, as a file of edits and the command that uses it.

import { ask, order } from "/static/api.js";
import { announce, empty, failed, fill, h, loading, said } from "/static/dom.js";
import { standing, watch } from "/static/follow.js";
import { brief, count } from "/static/format.js";
import { icon } from "/static/icons.js";
import { go, link, numberOf } from "/static/route.js";
import { download } from "/static/save.js";
import { editsText, shellWord } from "/static/edits.js";
import { editsForm } from "/static/editsform.js";

export function fork(asked, { run, server }) {
  const edits = { seed: "", inject: [], drop: [], replace: [], agents: [] };
  let tick = numberOf(asked, "tick");
  let agent = asked.get("agent") || "";
  let place = run;
  let mailbox = [];
  let byHand = false;
  let closed = false;
  let timer = 0;

  const at = h("input", {
    type: "number",
    min: 0,
    value: tick ?? "",
    "aria-label": "Tick",
    on: { change: () => go("fork", { run, tick: at.value, agent }) },
  });
  const who = h("input", {
    value: agent,
    list: "agents",
    "aria-label": "Agent",
    on: { change: () => go("fork", { run, tick: at.value, agent: who.value }) },
  });
  const names = h("datalist", { id: "agents" });
  const name = h("input", {
    "aria-label": "Name of the fork",
    value: `${run
      .split("/")
      .at(-1)
      .replace(/\.tick$/, "")}-fork`,
    on: { input: () => show() },
  });
  const waiting = h("div", { class: "body" }, loading());
  const made = h("div", { class: "body" });
  const text = h("textarea", {
    rows: 16,
    spellcheck: "false",
    "aria-label": "The file of edits (TOML)",
    on: {
      input: () => {
        byHand = true;
        showCommand();
      },
    },
  });
  const command = h("pre", { class: "content mono", id: "command" });
  const outcome = h("div", { role: "status" });
  const make = h("button", { class: "primary", on: { click: start } }, "Make the fork");
  const node = h(
    "div",
    { class: "page" },
    h(
      "header",
      {},
      h("h1", {}, "Fork from here"),
      h("label", {}, "before tick", at),
      h("label", {}, "name", name),
      names,
      h("span", { class: "grow" }),
      h("a", { href: link("timeline", { run, tick, agent }) }, "on the timeline"),
    ),
    h(
      "div",
      { class: "steps" },
      h(
        "div",
        { class: "stack" },
        h(
          "section",
          { class: "panel" },
          h("header", {}, h("h2", { class: "grow" }, "What waits then"), h("label", {}, "for", who)),
          waiting,
        ),
        h(
          "section",
          { class: "panel" },
          h(
            "header",
            {},
            h("h2", {}, "What is to be different"),
            h("span", { class: "grow" }),
            h(
              "button",
              {
                on: {
                  click: () => {
                    edits.inject.push({ to: agent, topic: "", body: "" });
                    show();
                  },
                },
              },
              "Add a message",
            ),
            h(
              "button",
              {
                on: {
                  click: () => {
                    edits.agents.push({ id: agent, fuel: "", restart: false });
                    show();
                  },
                },
              },
              "Change an agent",
            ),
          ),
          made,
        ),
      ),
      h(
        "section",
        { class: "panel" },
        h(
          "header",
          {},
          h("h2", { class: "grow" }, "The file of edits"),
          h(
            "button",
            {
              class: "plain",
              on: { click: () => download(`${name.value}.edits.toml`, text.value, "application/toml") },
            },
            "Save",
          ),
          h(
            "button",
            {
              class: "plain",
              on: {
                click: () => {
                  byHand = false;
                  show();
                },
              },
            },
            "Start over",
          ),
        ),
        h(
          "div",
          { class: "body" },
          text,
          h("h3", {}, "The command"),
          h(
            "div",
            { class: "command" },
            command,
            h(
              "button",
              {
                class: "plain",
                title: "Copy the command",
                "aria-label": "Copy the command",
                on: { click: copy },
              },
              icon("copy"),
            ),
          ),
          server.allow_fork
            ? h("p", { class: "row" }, make)
            : h(
                "p",
                { class: "dim" },
                "This viewer writes nothing. Save the edits and run the command; or start the viewer with --allow-fork.",
              ),
          outcome,
        ),
      ),
    ),
  );

  function show() {
    fill(made, editsForm(edits, show, showText));
    showText();
  }

  function showText() {
    if (!byHand) text.value = editsText(edits);
    showCommand();
  }

  function showCommand() {
    const parts = ["tickwork", "fork", place, "--at", String(tick ?? 0)];
    if (text.value.trim()) parts.push("--edit", `${name.value}.edits.toml`);
    parts.push("--out", `${name.value}.tick`);
    command.textContent = parts.map(shellWord).join(" ");
    make.disabled = tick === null || name.value === "";
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(command.textContent);
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(command);
    }
  }

  async function start() {
    make.disabled = true;
    fill(outcome, loading("Making the fork"));
    try {
      attend(await order("forks", { run, tick, name: name.value, edits: text.value }));
    } catch (error) {
      make.disabled = false;
      fill(outcome, failed(error));
    }
  }

  async function attend(job) {
    if (closed) return;
    if (job.state === "running") {
      fill(outcome, loading("Running the fork"));
      timer = setTimeout(async () => {
        try {
          attend(await ask("fork", { job: job.job }));
        } catch (error) {
          fill(outcome, failed(error));
        }
      }, 400);
      return;
    }
    make.disabled = false;
    fill(
      outcome,
      h(
        "p",
        {},
        h("span", { class: `chip ${job.state === "done" ? "ok" : "fail"}` }, job.state),
        " ",
        job.state === "done" && [
          h("a", { href: link("timeline", { run: job.fork, tick }) }, said(job.fork)),
          " · ",
          h("a", { href: link("compare", { a: run, b: job.fork }) }, "compare with its parent"),
        ],
      ),
      h("pre", { class: "content" }, said(job.told)),
    );
  }

  async function look(next) {
    [tick, agent] = [numberOf(next, "tick"), next.get("agent") || ""];
    if (tick === null) {
      if (standing === null) return;
      tick = Math.max(standing.end_tick - 1, standing.first_tick);
    }
    at.value = tick;
    who.value = agent;
    Object.assign(edits, { drop: [], replace: [] });
    show();
    if (agent === "") {
      fill(waiting, h("p", { class: "dim" }, "Choose an agent to see what waits for it."));
      return;
    }
    try {
      const turn = await ask("turn", { run, tick, agent });
      mailbox = turn.inbox.filter((message) => message.kind === "message");
      fill(
        waiting,
        mailbox.length
          ? mailbox.map(messageOf)
          : empty(
              "Nothing waits",
              `No message lies in its mailbox before tick ${count(tick)}. Input lines, answers of models and timers come with the tick.`,
            ),
      );
    } catch (error) {
      fill(waiting, failed(error));
    }
  }

  function messageOf(message, index) {
    const chosen = { to: agent, sender: message.sender, topic: message.topic, place: index };
    return h(
      "div",
      { class: "item" },
      h(
        "div",
        { class: "head" },
        h("strong", {}, said(message.topic)),
        h("span", { class: "where" }, "from ", said(message.sender)),
        h("span", { class: "grow" }),
        h(
          "button",
          {
            on: {
              click: () => {
                edits.drop.push(chosen);
                show();
              },
            },
          },
          "Drop",
        ),
        h(
          "button",
          {
            on: {
              click: async () => {
                try {
                  edits.replace.push({ ...chosen, body: await wholeText(message) });
                  show();
                } catch (error) {
                  fill(outcome, failed(error));
                }
              },
            },
          },
          "Replace",
        ),
      ),
      brief(message.body, 200),
    );
  }

  /** A message's body to be edited: all of it, or nothing if it is no text. */
  async function wholeText(message) {
    const { body } = message;
    if (body.kind === "base64") return "";
    if (!body.clipped) return body.text;
    const whole = await ask("body", { run, tick, agent, part: "inbox", place: message.place });
    return whole.kind === "base64" ? "" : whole.text;
  }

  async function begin() {
    try {
      const [details, { agents }] = await Promise.all([
        ask("run", { run }),
        ask("agents", { run, limit: 1000 }),
      ]);
      place = details.place;
      fill(
        names,
        agents.map((member) => h("option", { value: member.id })),
      );
      showCommand();
    } catch (error) {
      fill(outcome, failed(error));
    }
  }

  const unwatch = watch(() => {
    if (tick === null) look(asked);
  });
  begin();
  look(asked);
  return {
    node,
    title: "Fork",
    update: look,
    close: () => {
      closed = true;
      unwatch();
      clearTimeout(timer);
    },
  };
}
