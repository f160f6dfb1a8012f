// Edits as TOML. Everything goes in as a basic string, so whatever is typed stays what it is: text.

/** Return `text` as a basic string of TOML. */
export function tomlString(text) {
  const escaped = String(text).replace(/["\\\u0000-\u001f\u007f-\u009f\ud800-\udfff]/gu, (char) => {
    const named = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r" }[char];
    return (
      named ??
      (/[\ud800-\udfff]/u.test(char) ? "\ufffd" : `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`)
    );
  });
  return `"${escaped}"`;
}

function number(text) {
  const plain = String(text).trim();
  return /^\d{1,20}$/.test(plain) ? plain : null;
}

/** Return the text of a file of edits; empty if nothing is edited. */
export function editsText(edits) {
  const lines = [];
  const seed = number(edits.seed);
  if (seed !== null) lines.push(`seed = ${seed}`, "");
  const select = ({ to, sender, topic, place }) => [
    `to = ${tomlString(to)}`,
    `sender = ${tomlString(sender)}`,
    `topic = ${tomlString(topic)}`,
    `place = ${place}`,
  ];
  for (const item of edits.drop) lines.push("[[drop]]", ...select(item), "");
  for (const item of edits.replace)
    lines.push("[[replace]]", ...select(item), `body = ${tomlString(item.body)}`, "");
  for (const item of edits.inject)
    lines.push(
      "[[inject]]",
      `to = ${tomlString(item.to)}`,
      `topic = ${tomlString(item.topic)}`,
      `body = ${tomlString(item.body)}`,
      "",
    );
  for (const item of edits.agents) {
    const fuel = number(item.fuel);
    if (!item.id || (fuel === null && !item.restart)) continue;
    lines.push(`[agents.${tomlString(item.id)}]`);
    if (fuel !== null) lines.push(`limits = { fuel_per_turn = ${fuel} }`);
    if (item.restart) lines.push("restart = true");
    lines.push("");
  }
  return lines.join("\n");
}

/** Return `text` as one word of a POSIX shell. */
export function shellWord(text) {
  return /^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
