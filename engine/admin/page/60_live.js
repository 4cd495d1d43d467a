// Looks at the engine once a second while somebody looks at the page, and sends it commands.

const EVERY_MS = 1000, LATER_MS = 5000, LEAST_SECONDS = 0.4, CONFIG_EVERY = 30;

const seen = { before: null, now: null, graph: null, of: '', config: '', configAge: 0, chosen: null, lost: false, paused: false };
let timer = 0, busy = false, again = false;

function choose(id) {
  seen.chosen = seen.chosen === id ? null : id;
  show();
}

function showHead(s) {
  document.title = `${s.name} – rkpipe`;
  say(byId('name'), s.name);
  showHeadState(s.state);
  const m = s.memory, c = s.checkpoints;
  const facts = [s.mode, `generation ${count(s.generation)}`, `up ${span(s.uptime_seconds)}`, `${count(s.workers)} ${s.workers === 1 ? 'worker' : 'workers'}`,
    `batches ${mib(m.batches)} of ${mib(m.batches_limit)}`];
  if (m.state_limit) facts.push(`state ${mib(m.state)} of ${mib(m.state_limit)}`);
  if (c) facts.push(`${count(c.count)} checkpoints`);
  say(byId('facts'), facts.join(' · '));
}

function showHeadState(state) {
  const e = byId('run-state'), running = state === 'running';
  say(e, `${running ? '●' : '◑'} ${state}`);
  look(e, `state ${running ? 'is-good' : 'is-wait'}`);
  byId('drain').hidden = !running;
}

function show() {
  if (!seen.now || !seen.graph) return;
  const model = modelOf(seen.before, seen.now);
  showHead(seen.now);
  showGraph(model, seen.graph, seen.chosen, choose);
  showChosen(model, seen.chosen, send);
  showKernels(model, send);
  showEdges(model, seen.graph);
}

function found() {
  const t = new Date();
  say(byId('link'), `${seen.paused ? 'Paused' : 'Live'}, ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`);
  look(byId('link'), 'link');
  if (seen.lost) good('The engine answers again.');
  seen.lost = false;
}

function missed(e) {
  const why = e.status ? e.message : 'The engine does not answer; what is shown is what it said last.';
  say(byId('link'), 'Not connected');
  look(byId('link'), 'link lost');
  if (!seen.lost) bad(why);
  seen.lost = true;
}

// The graph, when it may be another one; configurations, when something has come of a reload, and now and then.
async function lookFurther(s) {
  const of = JSON.stringify([s.generation, s.kernels.map((k) => k.kernel)]);
  if (of !== seen.of) {
    seen.graph = await ask('/v1/graph');
    seen.of = of;
  }
  const config = JSON.stringify([s.generation, s.reloads]);
  if (config !== seen.config || seen.configAge-- <= 0) {
    seen.config = config;
    seen.configAge = CONFIG_EVERY;
    lookAtConfig().catch(noConfig);
  }
}

// A run that cannot be reloaded has none; who is too busy to tell is asked again soon.
function noConfig(e) {
  const never = e.status === 501;
  seen.configAge = never ? Infinity : 3;
  byId('reload').hidden = never;
  byId('no-generations').hidden = !never;
  if (never) say(byId('no-generations'), 'This run cannot be reloaded.');
}

async function lookAtConfig() {
  const [g, c] = await Promise.all([ask('/v1/generations'), ask('/v1/config')]);
  showGenerations(g, rollBack);
  showRejected(c.rejected);
}

async function lookOnce() {
  const [s, alerts] = await Promise.all([ask('/v1/status'), ask('/v1/alerts')]);
  if (seen.now && s.uptime_seconds < seen.now.uptime_seconds) { // another engine
    seen.before = seen.now = null;
    seen.of = seen.config = '';
  }
  await lookFurther(s);
  if (seen.now && s.uptime_seconds - seen.now.uptime_seconds >= LEAST_SECONDS) seen.before = seen.now;
  seen.now = s;
  show();
  showAlerts(alerts);
}

async function tick() {
  clearTimeout(timer);
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    await lookOnce();
    found();
  } catch (e) {
    missed(e);
  }
  busy = false;
  if (again) {
    again = false;
    tick();
  } else if (!seen.paused && !document.hidden) {
    timer = setTimeout(tick, seen.lost ? LATER_MS : EVERY_MS);
  }
}

async function post(path, said) {
  try {
    good(said(await ask(path, 'POST')));
  } catch (e) {
    bad(e.status ? e.message : 'The engine does not answer.');
  }
  tick();
}

const send = (id, command) => post(`/v1/kernels/${encodeURIComponent(id)}:${command}`, (a) => a.message);

const reloaded = (a) => {
  const parts = Object.entries(a.diff ?? {}).filter(([, v]) => v.length).map(([what, v]) => `${what}: ${v.join(', ')}`);
  return `Generation ${a.generation} runs. ${parts.join('; ')}`;
};

async function rollBack(n) {
  if (await sure(`Roll back to generation ${n}?`, 'The pipeline that ran then takes the place of the one that runs; no row is lost.', 'Roll back'))
    await post(`/v1/config:rollback?generation=${n}`, reloaded);
}

async function reload() {
  if (await sure('Reload the file?', 'The pipeline as it stands in its file takes the place of the one that runs; if it is rejected, nothing changes.', 'Reload'))
    await post('/v1/config:apply', reloaded);
}

async function drain() {
  if (await sure('Drain the pipeline?', 'Sources end, what was read is delivered, and the engine ends.', 'Drain'))
    await post('/v1/shutdown', () => 'The pipeline drains.');
}

byId('pause').addEventListener('click', () => {
  seen.paused = !seen.paused;
  put(byId('pause'), 'aria-pressed', String(seen.paused));
  say(byId('pause'), 'Pause updates');
  tick();
});
byId('drain').addEventListener('click', drain);
byId('reload').addEventListener('click', reload);
document.addEventListener('visibilitychange', () => { if (!document.hidden && !seen.paused) tick(); });
new ResizeObserver(() => requestAnimationFrame(show)).observe(byId('graph'));
tick();
