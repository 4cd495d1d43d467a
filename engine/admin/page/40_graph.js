// The graph: a button for each kernel, over lines for the edges. It is laid out anew when its shape or the room for it changes; otherwise
// only texts and looks do.

const SVG = 'http://www.w3.org/2000/svg';
const drawn = { key: '', lines: [], shape: null };

function svg(tag, attributes) {
  const e = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

// Every kernel that may fail has an edge for its dead letters: those by which some have gone are drawn.
function shapeOf(graph, model) {
  const ids = graph.nodes.map((n) => n.id).filter((id) => model.kernels.has(id)), known = new Set(ids);
  const used = (e) => !e.dead_letters || flowOf(model, e).some((x) => x.sent > 0);
  const edges = graph.edges.filter((e) => known.has(e.from) && known.has(e.to) && used(e));
  return { ids, edges };
}

function newNode(id, choose) {
  const b = button('', () => choose(id));
  for (const part of ['id', 'op', 'now', 'rates']) b.append(make('span', part));
  b.firstChild.textContent = id;
  put(b.lastChild, 'aria-hidden', 'true'); // the table below says it to those who want to hear numbers
  return b;
}

function drawLines(box, shape, plan) {
  const old = box.querySelector('svg'); // before the kernels, so behind them
  const root = svg('svg', { width: Math.ceil(plan.width), height: Math.ceil(plan.height), 'aria-hidden': 'true', focusable: 'false' });
  drawn.lines = shape.edges.map((e, i) => {
    const g = svg('g', {}), points = plan.ways[i];
    const middle = points.length < 2 ? null : points.length % 2 ? points[(points.length - 1) / 2] : [0, 1].map((a) => (points[points.length / 2 - 1][a] + points[points.length / 2][a]) / 2);
    const at = (dy) => svg('text', middle ? { x: middle[0], y: middle[1] + dy } : {}), text = at(plan.down ? -2 : -6), under = at(plan.down ? 12 : 15);
    if (middle) g.append(svg('path', { d: curve(points, plan.down) }), svg('path', { class: 'tip', d: tip(points, plan.down) }));
    g.append(text, under);
    root.append(g);
    return { e, g, text, under };
  });
  if (old) old.replaceWith(root);
  else box.prepend(root);
}

function layGraph(box, shape, choose) {
  const wide = box.clientWidth || 800;
  const key = JSON.stringify([shape.ids, shape.edges.map((e) => [e.from, e.to, e.port]), Math.round(wide)]);
  if (key === drawn.key) return;
  drawn.key = key;
  if (!shape.ids.length) return;
  const plan = layOut(shape.ids, shape.edges, wide);
  const nodes = keyed(byId('nodes'), shape.ids, (id) => newNode(id, choose));
  drawLines(box, shape, plan);
  for (const [id, at] of plan.nodes) {
    const s = nodes.get(id).style;
    s.left = `${at.x}px`;
    s.top = `${at.y}px`;
    s.width = `${at.w}px`;
    s.height = `${at.h}px`;
  }
  box.classList.toggle('small', [...plan.nodes.values()][0].w < 130);
  box.style.height = `${Math.ceil(plan.height)}px`;
  drawn.nodes = nodes;
}

// Status edges of a drawn one: those of its topic, or the direct ones. Kernels that are fused have none: then it is what its kernel emits.
function flowOf(model, e) {
  const all = [...model.edges.values()].filter((x) => x.from === e.from && x.to === e.to && !x.removed);
  const some = all.filter((x) => x.topic === e.port);
  return some.length ? some : all;
}

function showLine(model, line) {
  const flow = flowOf(model, line.e), from = model.kernels.get(line.e.from);
  const v = flow.length ? flow.reduce((a, x) => a + x.rate, 0) : line.e.dead_letters ? 0 : from?.out_rate ?? 0;
  const fills = flow.map(fill).filter(Boolean), full = flow.some((x) => x.full);
  say(line.text, `${rate(v)}/s`);
  say(line.under, full ? 'full' : fills[0] ?? '');
  put(line.g, 'class', [line.e.dead_letters ? 'dead' : '', full ? 'full' : ''].join(' ').trim());
}

function showGraph(model, graph, chosen, choose) {
  const box = byId('graph'), shape = shapeOf(graph, model);
  layGraph(box, shape, choose);
  for (const id of shape.ids) {
    const b = drawn.nodes.get(id), k = model.kernels.get(id), [sign, kind] = stateOf(k.state);
    const [, op, now, rates] = b.children;
    say(op, k.op);
    say(now, `${sign}\u00a0${k.blocked.length ? `blocked by ${k.blocked.join(', ')}` : k.state}`);
    say(rates, `${rate(k.in_rate)} in, ${rate(k.out_rate)} out /s`);
    look(b, `node ${k.blocked.length && kind === 'is-good' ? 'is-wait' : kind}`);
    put(b, 'aria-pressed', String(id === chosen));
    put(b, 'title', `${id} (${k.op}): ${k.state}${k.reason ? `, ${k.reason}` : ''}`);
  }
  for (const line of drawn.lines) showLine(model, line);
  say(byId('held'), model.held.length ? `Held up by: ${model.held.join(', ')}.` : 'Nothing is held up.');
}

