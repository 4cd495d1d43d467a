// Kernels, edges, alerts and configurations as tables and lists.

function row(heads, first) {
  const tr = make('tr');
  put(tr, 'role', 'row');
  heads.forEach(([head, kind], i) => {
    const cell = make(i === 0 ? 'th' : 'td', kind ?? '');
    put(cell, 'role', i === 0 ? 'rowheader' : 'cell');
    if (i === 0) put(cell, 'scope', 'row');
    put(cell, 'data-head', head);
    tr.append(cell);
  });
  if (first !== undefined) tr.cells[0].append(first);
  return tr;
}

// Text, with a bar before it where there is something to fill.
function showFill(cell, q) {
  let bar = cell.querySelector('progress'), text = cell.querySelector('.text');
  if (!text) {
    const both = make('span');
    bar = make('progress');
    text = make('span', 'text');
    put(bar, 'aria-hidden', 'true'); // the text beside it says the same
    both.append(bar, text);
    cell.append(both);
  }
  bar.hidden = !q.capacity;
  bar.max = q.capacity || 1;
  bar.value = q.messages;
  say(text, q.capacity ? `${count(q.messages)} / ${count(q.capacity)}${q.messages >= q.capacity ? ' full' : ''}` : '–');
}

function showState(e, word, more) {
  const [sign, kind] = stateOf(word);
  say(e, `${sign} ${word}${more ?? ''}`);
  look(e, `state ${kind}`);
}

// ---- commands: the buttons of a kernel, as its `commands` say. The first one stays where it is when suspend turns into activate, and so does the focus.

const BUTTONS = [
  { of: ['suspend', 'activate'], text: { suspend: 'Suspend', activate: 'Activate' } },
  { of: ['restart'], text: { restart: 'Restart…' }, sure: (id) => [`Restart ${id}?`, 'A new instance takes its place, with the same queue and without the state.', 'Restart'] },
  { of: ['terminate'], text: { terminate: 'Terminate…' }, sure: (id) => [`Terminate ${id}?`, 'It ends for good; what still comes for it is dropped and counted.', 'Terminate'] },
];

function newCommands(id, send) {
  const box = make('span', 'tools');
  for (const b of BUTTONS) {
    const e = button('', async () => {
      const command = e.dataset.command;
      if (e.getAttribute('aria-disabled') === 'true' || (b.sure && !(await sure(...b.sure(id))))) return;
      put(e, 'aria-disabled', 'true');
      await send(id, command);
      e.removeAttribute('aria-disabled');
    });
    box.append(e);
  }
  return box;
}

function showCommands(box, k) {
  BUTTONS.forEach((b, i) => {
    const e = box.children[i], command = b.of.find((c) => k.commands.includes(c)), had = e === document.activeElement;
    e.hidden = !command;
    if (command) {
      const text = command === 'activate' && k.state === 'suspended' ? 'Resume' : b.text[command];
      e.dataset.command = command;
      say(e, text);
      put(e, 'aria-label', `${text} ${k.kernel}`);
    } else if (had) {
      (box.querySelector('button:not([hidden])') ?? byId('main')).focus();
    }
  });
}

// ---- kernels

const KERNEL = [['Kernel'], ['State'], ['Rows in/s', 'n'], ['Rows out/s', 'n'], ['Lost/s', 'n'], ['Queue'], ['Batch p99', 'n'], ['Latency p99', 'n'], ['Blocked by'], ['Commands']];

function showKernels(model, send) {
  const ids = [...model.kernels.keys()];
  const rows = keyed(byId('kernels'), ids, (id) => {
    const tr = row(KERNEL, make('span', '', id));
    tr.cells[1].append(make('span'));
    tr.cells[9].append(newCommands(id, send));
    return tr;
  });
  for (const id of ids) {
    const k = model.kernels.get(id), c = rows.get(id).cells;
    showState(c[1].firstChild, k.state, k.restarts ? `, restarted ${count(k.restarts)} ×` : '');
    say(c[2], rate(k.in_rate));
    say(c[3], rate(k.out_rate));
    say(c[4], rate(k.lost_rate));
    showFill(c[5], k.queue);
    say(c[6], seconds(k.batch_seconds?.p99));
    say(c[7], seconds(k.latency_seconds?.p99));
    say(c[8], k.blocked.join(', ') || '–');
    showCommands(c[9].firstChild, k);
  }
}

const EDGE = [['From and to'], ['Topic'], ['Rows/s', 'n'], ['Sent', 'n'], ['In flight', 'n'], ['Queue'], ['When full'], ['Overflowed', 'n'], ['Spilled', 'n'], ['Filtered', 'n']];

// Not those for dead letters by which none have gone.
function listed(model, graph) {
  const dead = new Set(graph.edges.filter((e) => e.dead_letters).map((e) => JSON.stringify([e.from, e.to])));
  return [...model.edges].filter(([, e]) => e.sent > 0 || e.topic !== null || !dead.has(JSON.stringify([e.from, e.to]))).map(([key]) => key);
}

function showEdges(model, graph) {
  const keys = listed(model, graph), rows = keyed(byId('edges'), keys, () => row(EDGE));
  for (const key of keys) {
    const e = model.edges.get(key), c = rows.get(key).cells;
    say(c[0], `${e.from} → ${e.to}${e.removed ? ' (removed)' : ''}`);
    say(c[1], e.topic ?? '–');
    say(c[2], rate(e.rate));
    say(c[3], count(e.sent));
    say(c[4], count(e.in_flight));
    showFill(c[5], e);
    say(c[6], (e.overflow ?? '–').replace('_', ' '));
    say(c[7], count(e.overflowed));
    say(c[8], count(e.spilled));
    say(c[9], count(e.filtered));
  }
}

function showChosen(model, id, send) {
  const box = byId('chosen'), k = model.kernels.get(id);
  box.hidden = !k;
  if (!k) return;
  say(byId('h-chosen'), `Kernel ${id}`);
  const tools = keyed(byId('chosen-tools'), [id], () => newCommands(id, send));
  showCommands(tools.get(id), k);
  const b = k.batch_seconds ?? {}, l = k.latency_seconds;
  const facts = [
    ['Operator', k.op],
    ['State', `${stateOf(k.state)[0]} ${k.state} since ${moment(k.since)}${k.reason ? ` (${k.reason})` : ''}`],
    ['Rows in', `${count(k.rows_in)} (${rate(k.in_rate)}/s)`],
    ['Rows out', `${count(k.rows_out + k.absorbed)} (${rate(k.out_rate)}/s)`],
    ['Dropped', k.dropped ? `${count(k.dropped)}: ${lost(k.drops)}` : '0'],
    ['Dead-lettered', k.dead_lettered ? `${count(k.dead_lettered)}: ${lost(k.dead)}` : '0'],
    ['Queue', k.queue.capacity ? `${count(k.queue.messages)} of ${count(k.queue.capacity)} messages, ${mib(k.queue.bytes)}` : '–'],
    ['Batch p50, p90, p99', [b.p50, b.p90, b.p99].map(seconds).join(', ')],
    ['Latency p50, p90, p99', l ? [l.p50, l.p90, l.p99].map(seconds).join(', ') : '–'],
    ['Restarts', count(k.restarts)],
    ['Blocked by', k.blocked.join(', ') || 'nobody'],
  ];
  const rows = keyed(byId('chosen-facts'), facts.map((f) => f[0]), (name) => {
    const one = make('div');
    one.append(make('dt', '', name), make('dd'));
    return one;
  });
  for (const [name, text] of facts) say(rows.get(name).lastChild, text);
}

// ---- alerts

const MOST_ALERTS = 100;
const pairs = (o) => Object.entries(o ?? {}).map(([k, v]) => `${k}=${v}`).join(', ');
let known = null; // names of what fired at the last look

function tellOfAlerts(alerts) {
  const firing = new Set(alerts.filter((a) => a.state === 'firing').map((a) => a.alert));
  const begun = [...firing].filter((a) => !known?.has(a)), over = known ? [...known].filter((a) => !firing.has(a)) : [];
  const some = (v, what) => (v.length > 3 ? `${v.length} alerts: ${what}.` : v.map((a) => `${a}: ${what}.`).join(' '));
  if (begun.length || over.length) say(byId('alerts-said'), `${some(begun, 'firing')} ${some(over, 'not firing any more')}`.trim());
  known = firing;
}

function showAlerts(answer) {
  const order = ['firing', 'pending', 'resolved', 'inactive'];
  const all = answer.alerts.filter((a) => a.state !== 'inactive').sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  const wrong = answer.rules.filter((r) => r.error);
  const items = new Map();
  for (const a of all.slice(0, MOST_ALERTS)) items.set(JSON.stringify([a.alert, a.labels]), a);
  for (const r of wrong) items.set(JSON.stringify([r.alert]), r);
  const rows = keyed(byId('alerts'), [...items.keys()], () => {
    const li = make('li');
    li.append(make('strong'), ' ', make('span', 'state'), make('div'), make('div', 'note'));
    return li;
  });
  for (const [key, a] of items) {
    const [name, state, text, more] = rows.get(key).children;
    say(name, a.alert);
    if (a.labels) {
      const firing = a.state === 'firing', since = a.resolved_at ?? a.fired_at ?? a.active_at;
      say(state, `${firing ? '▲' : '△'} ${a.state}${a.labels.severity ? `, ${a.labels.severity}` : ''}`);
      look(state, `state ${firing ? 'is-bad' : 'is-wait'}`);
      look(rows.get(key), firing ? 'firing' : '');
      say(text, Object.values(a.annotations ?? {}).join(' · '));
      say(more, `value ${a.value === null ? '–' : Number(a.value.toPrecision(6))}, since ${moment(since)}; ${pairs(a.labels)}`);
    } else {
      say(state, '△ cannot be evaluated');
      say(text, a.error);
    }
  }
  byId('no-alerts').hidden = items.size > 0;
  say(byId('no-alerts'), answer.rules.length ? 'None is pending or firing.' : 'This pipeline has no alerts.');
  say(byId('h-alerts'), all.length > MOST_ALERTS ? `Alerts (${MOST_ALERTS} of ${count(all.length)})` : 'Alerts');
  tellOfAlerts(all);
}

// ---- configurations

const GENERATION = [['Generation', 'n'], ['Applied'], ['File'], ['Commands']];

function showGenerations(g, back) {
  const rows = keyed(byId('generations'), g.generations.map((x) => x.generation), (n) => {
    const tr = row(GENERATION, make('span', '', String(n))), box = make('span');
    box.append(button(`Roll back to ${n}…`, () => back(n)), make('span'));
    tr.cells[3].append(box);
    return tr;
  });
  for (const x of g.generations) {
    const c = rows.get(x.generation).cells, box = c[3].firstChild, runs = x.generation === g.generation;
    say(c[1], x.applied ? moment(x.applied) : '–');
    say(c[2], x.error ?? `${x.file}${x.files > 1 ? ` and ${x.files - 1} more` : ''}`);
    if (box.firstChild === document.activeElement && (runs || x.same || x.error)) byId('reload').focus();
    box.firstChild.hidden = runs || !!x.same || !!x.error;
    say(box.lastChild, runs ? '● runs' : x.same ? 'the same as what runs' : '');
  }
}

function showText(box, files, findings) {
  box.replaceChildren();
  for (const f of files) {
    const pre = make('pre'), lines = new Set(findings.filter((x) => x.file === f.name).map((x) => x.line));
    pre.tabIndex = 0; // so that it can be scrolled by keyboard
    put(pre, 'role', 'group');
    put(pre, 'aria-label', f.name);
    f.text.slice(0, 65536).split('\n').forEach((text, i) => {
      const marked = lines.has(i + 1);
      pre.append(make('span', marked ? 'at' : '', `${String(i + 1).padStart(5)}${marked ? ' > ' : '   '}${text}\n`));
    });
    box.append(make('h4', '', f.name), pre);
  }
}

let rejectedAt = '';
function showRejected(r) {
  byId('rejected').hidden = !r;
  if (!r || r.at === rejectedAt) return;
  rejectedAt = r.at;
  say(byId('rejected-facts'), `${moment(r.at)}${r.message ? `: ${r.message}` : ''}`);
  byId('findings').replaceChildren(...r.findings.map((f) => {
    const li = make('li'), place = [f.file, f.line, f.column].filter((x) => x !== null && x !== undefined).join(':');
    li.append(make('strong', '', `${f.severity}: `), make('span', '', f.message), make('span', 'code', ` [${f.code}]`), make('div', 'note', place));
    if (f.hint) li.append(make('div', '', `Hint: ${f.hint}`));
    return li;
  }));
  showText(byId('rejected-text'), r.files, r.findings);
}

