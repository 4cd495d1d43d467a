// What two answers come to: rates, and who blocks whom. A kernel stands still when a queue that it fills is full and lets nobody pass;
// whom others wait for, and who waits for nobody, holds the pipeline up (as in `rkpipe top`).

const STATES = {
  active: ['●', 'is-good'], launched: ['○', 'is-wait'], created: ['○', 'is-wait'], suspended: ['‖', 'is-wait'],
  failed: ['✕', 'is-bad'], terminating: ['◑', 'is-wait'], terminated: ['■', 'is-wait'],
};
const stateOf = (word) => STATES[word] ?? ['?', 'is-wait'];

const edgeKey = (e) => JSON.stringify([e.from, e.to, e.topic ?? null, !!e.removed]);

// Since the answer before; who began again since then, or was not there, counts from 0.
function speed(was, is, key, dt) {
  const before = was?.[key] ?? 0, now = is[key] ?? 0;
  return dt > 0 ? (now >= before ? now - before : now) / dt : 0;
}

function modelOf(before, now) {
  const dt = now.uptime_seconds - (before?.uptime_seconds ?? 0);
  const old = new Map((before?.kernels ?? []).map((k) => [k.kernel, k])), oldEdges = new Map((before?.edges ?? []).map((e) => [edgeKey(e), e]));
  const kernels = new Map(), edges = new Map();
  for (const k of now.kernels) {
    const was = old.get(k.kernel);
    kernels.set(k.kernel, {
      ...k,
      in_rate: speed(was, k, 'rows_in', dt),
      out_rate: speed(was, k, 'rows_out', dt) + speed(was, k, 'absorbed', dt),
      lost_rate: speed(was, k, 'dropped', dt) + speed(was, k, 'dead_lettered', dt),
      blocked: [],
      blocks: false,
    });
  }
  for (const e of now.edges) {
    if (e.from === e.to) continue; // between two halves of one kernel
    const full = e.capacity > 0 && e.messages >= e.capacity;
    const one = { ...e, full, rate: speed(oldEdges.get(edgeKey(e)), e, 'sent', dt) };
    edges.set(edgeKey(e), one);
    if (!full || e.overflow !== 'block') continue;
    const from = kernels.get(e.from), to = kernels.get(e.to);
    if (to) to.blocks = true;
    if (from && !from.blocked.includes(e.to)) from.blocked.push(e.to);
  }
  const held = [...kernels.values()].filter((k) => k.blocks && !k.blocked.length).map((k) => k.kernel);
  return { kernels, edges, held };
}

const lost = (reasons) => Object.entries(reasons ?? {}).map(([why, n]) => `${why} ${count(n)}`).join(', ');

function fill(e) {
  if (!e.capacity) return '';
  if (e.messages >= e.capacity) return 'full';
  return e.messages ? `${Math.max(1, Math.round((100 * e.messages) / e.capacity))} %` : '';
}

