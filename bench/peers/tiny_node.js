// The tiny agents on Node.js: one WASM instance for each (without metering), worker threads, shared buffers,
// Atomics between them; the main thread takes a share of the turns and routes all messages in agent order.
//
//   node tiny_node.js MODULE AGENTS MESSAGES TICKS WARM THREADS DIGEST
//
// With DIGEST 1 every tick's messages go into a chain of SHA-256 hashes. Prints JSON.
'use strict';
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');
const crypto = require('crypto');
const fs = require('fs');

const WORDS_PER_AGENT = 1024;
const SPINS = 20000;
const GO = 0, TICK = 1, QUIT = 2, DONE = 3; // words of the control block; a done counter for each worker follows

function makeAgents(code, first, end, count, messages) {
  const module = new WebAssembly.Module(code);
  const agents = [];
  for (let index = first; index < end; index++) {
    const found = new WebAssembly.Instance(module, {}).exports;
    found.init(index, count, messages);
    const words = new Uint32Array(found.memory.buffer);
    agents.push({ step: found.step, words, inbox: found.inbox() >>> 2, outbox: found.outbox() >>> 2 });
  }
  return agents;
}

// Short runs of words are faster in a loop than by `set`.
function copy(from, at, to, where, size) {
  if (size > 64) to.set(from.subarray(at, at + size), where);
  else for (let word = 0; word < size; word++) to[where + word] = from[at + word];
}

function runShare(agents, first, tick, inboxes, starts, outboxes, used) {
  for (let place = 0; place < agents.length; place++) {
    const agent = agents[place], index = first + place;
    copy(inboxes, starts[index], agent.words, agent.inbox, starts[index + 1] - starts[index]);
    const size = agent.step(tick) >>> 0;
    copy(agent.words, agent.outbox, outboxes, index * WORDS_PER_AGENT, size);
    used[index] = size;
  }
}

// Lays the next tick's inboxes out: two passes over all outboxes, in agent order.
function route(count, outboxes, inboxes, starts, sizes, counts, cursors) {
  sizes.fill(1);
  counts.fill(0);
  for (let sender = 0; sender < count; sender++) {
    let at = sender * WORDS_PER_AGENT;
    for (let left = outboxes[at++]; left > 0; left--) {
      const words = 2 + ((outboxes[at + 1] + 3) >>> 2), to = outboxes[at];
      sizes[to] += words;
      counts[to]++;
      at += words;
    }
  }
  let start = 0, messages = 0;
  for (let index = 0; index < count; index++) {
    starts[index] = start;
    inboxes[start] = counts[index];
    messages += counts[index];
    cursors[index] = start + 1;
    start += sizes[index];
  }
  starts[count] = start;
  for (let sender = 0; sender < count; sender++) {
    let at = sender * WORDS_PER_AGENT;
    for (let left = outboxes[at++]; left > 0; left--) {
      const words = 2 + ((outboxes[at + 1] + 3) >>> 2), cursor = cursors[outboxes[at]];
      inboxes[cursor] = sender;
      copy(outboxes, at + 1, inboxes, cursor + 1, words - 1);
      cursors[outboxes[at]] = cursor + words;
      at += words;
    }
  }
  return messages;
}

function waitFor(control, word, value) {
  for (let spins = 0; Atomics.load(control, word) !== value; spins++) {
    if (spins > SPINS) Atomics.wait(control, word, Atomics.load(control, word), 1);
  }
}

// FNV-1a over the last tick's messages: receiver, then body, in the senders' order.
function checksum(count, outboxes) {
  const bytes = new Uint8Array(outboxes.buffer);
  let hash = 14695981039346656037n;
  const add = (byte) => { hash = ((hash ^ BigInt(byte)) * 1099511628211n) & 0xffffffffffffffffn; };
  for (let sender = 0; sender < count; sender++) {
    let at = sender * WORDS_PER_AGENT;
    for (let left = outboxes[at++]; left > 0; left--) {
      for (let byte = 0; byte < 4; byte++) add((outboxes[at] >>> (8 * byte)) & 255);
      for (let byte = 0; byte < outboxes[at + 1]; byte++) add(bytes[4 * (at + 2) + byte]);
      at += 2 + ((outboxes[at + 1] + 3) >>> 2);
    }
  }
  return hash.toString(16).padStart(16, '0');
}

function shared(count, threads) {
  const words = (size) => new Uint32Array(new SharedArrayBuffer(4 * size));
  return {
    inboxes: words(count * WORDS_PER_AGENT), outboxes: words(count * WORDS_PER_AGENT),
    starts: words(count + 1), used: words(count), control: new Int32Array(new SharedArrayBuffer(4 * (DONE + threads))),
  };
}

async function main() {
  const [path, ...rest] = process.argv.slice(2);
  const [count, messages, ticks, warm, threads, digest] = rest.map(Number);
  const code = fs.readFileSync(path);
  const held = shared(count, threads);
  const { inboxes, outboxes, starts, used, control } = held;
  for (let index = 0; index <= count; index++) starts[index] = index;
  const ends = Array.from({ length: threads + 1 }, (_, share) => Math.floor((count * share) / threads));
  const workers = [];
  for (let share = 1; share < threads; share++) {
    const data = { code, held, first: ends[share], end: ends[share + 1], count, messages, share };
    const worker = new Worker(__filename, { workerData: data });
    await new Promise((ready) => worker.once('message', ready));
    workers.push(worker);
  }
  const agents = makeAgents(code, 0, ends[1], count, messages);
  const sizes = new Uint32Array(count), counts = new Uint32Array(count), cursors = new Uint32Array(count);
  let began = 0n, chain = Buffer.alloc(32), delivered = 0;
  for (let tick = 1; tick <= warm + ticks; tick++) {
    if (tick === warm + 1) began = process.hrtime.bigint();
    Atomics.store(control, TICK, tick);
    Atomics.add(control, GO, 1);
    Atomics.notify(control, GO);
    runShare(agents, 0, tick, inboxes, starts, outboxes, used);
    for (let share = 1; share < threads; share++) waitFor(control, DONE + share, tick);
    delivered = route(count, outboxes, inboxes, starts, sizes, counts, cursors);
    if (digest) {
      const hash = crypto.createHash('sha256').update(chain);
      hash.update(new Uint8Array(inboxes.buffer, 0, 4 * starts[count]));
      chain = hash.digest();
    }
  }
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  Atomics.store(control, QUIT, 1);
  Atomics.add(control, GO, 1);
  Atomics.notify(control, GO);
  const found = { turns_per_s: (count * ticks) / seconds, checksum: checksum(count, outboxes), delivered };
  console.log(JSON.stringify({ ...found, version: process.version }));
}

function work() {
  const { code, held, first, end, count, messages, share } = workerData;
  const { inboxes, outboxes, starts, used, control } = held;
  const agents = makeAgents(code, first, end, count, messages);
  parentPort.postMessage('ready');
  for (let seen = 0; ; seen++) {
    for (let spins = 0; Atomics.load(control, GO) === seen; spins++) {
      if (spins > SPINS) Atomics.wait(control, GO, seen);
    }
    if (Atomics.load(control, QUIT)) return;
    const tick = Atomics.load(control, TICK);
    runShare(agents, first, tick, inboxes, starts, outboxes, used);
    Atomics.store(control, DONE + share, tick);
    Atomics.notify(control, DONE + share);
  }
}

if (isMainThread) main();
else work();
