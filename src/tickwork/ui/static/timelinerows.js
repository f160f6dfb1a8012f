// The timeline's answer as rows for a file: turns where it is near, counts where it is far.

export function rowsOf(answer) {
  const id = new Map(answer.rows.map((row) => [row.index, row.id]));
  if (answer.detail)
    return answer.detail.turns.map(([tick, lane, marks, fuel, effects]) => ({
      tick,
      agent: id.get(lane) ?? lane,
      effects,
      fuel,
      marks: answer.detail.marks.filter((_, place) => marks & (1 << place)).join(" "),
    }));
  const { first, width, columns, turns, messages } = answer.density;
  return answer.rows
    .flatMap((row, place) =>
      Array.from({ length: columns }, (_, column) => ({
        tick: first + column * width,
        ticks: width,
        agent: row.id,
        agents: row.count,
        turns: turns[place * columns + column],
        messages: messages[place * columns + column],
      })),
    )
    .filter((row) => row.turns > 0);
}
