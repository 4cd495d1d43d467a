// Where kernels stand and edges run: layers from the sources to the sinks, few crossings, as little slant as goes.
//
// Edges that close a circle are found depth first and left out of the layering; a kernel's layer is the longest way to it. An edge over
// several layers gets a slim place in each of them, so that it passes beside kernels and not behind them. The order within a layer is that of the
// mean of the neighbours, forth and back a few times; then each moves towards its neighbours as far as those beside it let it.

// The ids of `edges` (each {from, to}) that close a circle.
function closing(ids, edges) {
  const out = new Map(ids.map((id) => [id, []])), colour = new Map(), back = new Set();
  edges.forEach((e, i) => out.get(e.from).push(i));
  for (const start of ids) {
    if (colour.has(start)) continue;
    const stack = [[start, 0]];
    colour.set(start, 1);
    while (stack.length) {
      const top = stack[stack.length - 1], i = out.get(top[0])[top[1]++];
      if (i === undefined) {
        colour.set(top[0], 2);
        stack.pop();
      } else if (colour.get(edges[i].to) === 1) {
        back.add(i);
      } else if (!colour.has(edges[i].to)) {
        colour.set(edges[i].to, 1);
        stack.push([edges[i].to, 0]);
      }
    }
  }
  return back;
}

function layersOf(ids, edges, back) {
  const layer = new Map(ids.map((id) => [id, 0])), waits = new Map(ids.map((id) => [id, 0]));
  edges.forEach((e, i) => back.has(i) || waits.set(e.to, waits.get(e.to) + 1));
  const ready = ids.filter((id) => waits.get(id) === 0);
  while (ready.length) {
    const id = ready.shift();
    edges.forEach((e, i) => {
      if (e.from !== id || back.has(i)) return;
      layer.set(e.to, Math.max(layer.get(e.to), layer.get(id) + 1));
      waits.set(e.to, waits.get(e.to) - 1);
      if (waits.get(e.to) === 0) ready.push(e.to);
    });
  }
  return layer;
}

const mean = (v) => v.reduce((a, b) => a + b, 0) / v.length;

function orderLayers(layers) {
  const number = () => layers.forEach((l) => l.forEach((p, i) => (p.at = i)));
  number();
  for (let round = 0; round < 8; round++) {
    const forth = round % 2 === 0, side = forth ? 'before' : 'after';
    for (const l of forth ? layers : [...layers].reverse()) {
      for (const p of l) p.want = p[side].length ? mean(p[side].map((q) => q.at)) : p.at;
      l.sort((a, b) => a.want - b.want || a.at - b.at);
      l.forEach((p, i) => (p.at = i));
    }
  }
}

// Between two that stand side by side.
const roomOf = (a, b) => (a.slim && b.slim ? 10 : 16);
const apart = (a, b) => (a.size + b.size) / 2 + roomOf(a, b);

// Centres across the flow: as near to the neighbours as the order and the room between let them.
function spread(layers) {
  for (const l of layers) l.forEach((p, i) => (p.pos = i ? l[i - 1].pos + apart(l[i - 1], p) : p.size / 2));
  const end = (l) => l[l.length - 1].pos + l[l.length - 1].size / 2;
  const widest = Math.max(...layers.map(end));
  for (const l of layers) {
    const shift = (widest - end(l)) / 2;
    for (const p of l) p.pos += shift;
  }
  for (let round = 0; round < 12; round++) {
    for (const l of round % 2 ? [...layers].reverse() : layers) {
      const want = l.map((p) => (p.before.length + p.after.length ? mean([...p.before, ...p.after].map((q) => q.pos)) : p.pos));
      l.forEach((p, i) => {
        const low = i ? l[i - 1].pos + apart(l[i - 1], p) : p.size / 2;
        const high = i + 1 < l.length ? l[i + 1].pos - apart(p, l[i + 1]) : widest - p.size / 2;
        if (low <= high) p.pos = Math.min(Math.max(want[i], low), high);
      });
    }
  }
  return widest;
}

const PAD = 12, HIGH = 78, SLIM = 4, FULL = 172, GAP = 62, DOWN_GAP = 46;

// How wide kernels can be so that every layer fits beside (down), or all layers behind each other.
function widthOf(layers, wide, down) {
  const n = layers.length, room = layers.map((l) => {
    const kernels = l.filter((p) => !p.slim).length, slims = l.length - kernels;
    return kernels ? (wide - 2 * PAD - slims * SLIM - 16 * (l.length - 1)) / kernels : FULL;
  });
  return Math.min(FULL, down ? Math.min(...room) : (wide - 2 * PAD - (n - 1) * GAP) / n);
}

// {down, width, height, nodes: Map id -> {x, y, w, h}, ways: [[points..], ..] as edges, tips}.
function layOut(ids, edges, wide) {
  const back = closing(ids, edges), layer = layersOf(ids, edges, back);
  const n = 1 + Math.max(...layer.values());
  const layers = Array.from({ length: n }, () => []), place = new Map();
  for (const id of ids) {
    const p = { id, before: [], after: [] };
    place.set(id, p);
    layers[layer.get(id)].push(p);
  }
  const chains = edges.map((e, i) => {
    const [from, to] = back.has(i) ? [e.to, e.from] : [e.from, e.to], chain = [place.get(from)];
    if (from === to) return chain;
    for (let l = layer.get(from) + 1; l < layer.get(to); l++) {
      const p = { slim: true, before: [], after: [] };
      layers[l].push(p);
      chain.push(p);
    }
    chain.push(place.get(to));
    for (let k = 1; k < chain.length; k++) {
      chain[k].before.push(chain[k - 1]);
      chain[k - 1].after.push(chain[k]);
    }
    return back.has(i) ? chain.reverse() : chain;
  });
  orderLayers(layers);
  const down = widthOf(layers, wide, false) < 132, w = Math.max(down ? 84 : 132, widthOf(layers, wide, down));
  for (const l of layers) for (const p of l) p.size = p.slim ? SLIM : down ? w : HIGH;
  const widest = spread(layers), gap = Math.min(150, (wide - 2 * PAD - n * w) / Math.max(1, n - 1)), step = down ? HIGH + DOWN_GAP : w + gap;
  const nodes = new Map();
  layers.forEach((l, k) => l.forEach((p) => {
    p.x = PAD + (down ? p.pos - (p.slim ? 0 : w / 2) : k * step + (p.slim ? w / 2 : 0));
    p.y = PAD + (down ? k * step + (p.slim ? HIGH / 2 : 0) : p.pos - (p.slim ? 0 : HIGH / 2));
    if (!p.slim) nodes.set(p.id, { x: p.x, y: p.y, w, h: HIGH });
  }));
  const flow = (n - 1) * step + (down ? HIGH : w) + 2 * PAD;
  return { down, width: down ? widest + 2 * PAD : flow, height: down ? flow : widest + 2 * PAD, nodes, ways: ways(chains, edges, back, down, w, HIGH) };
}

// Points that an edge goes through, from the side of one kernel to the side of the other.
function ways(chains, edges, back, down, w, h) {
  return chains.map((chain, i) => {
    const flip = back.has(i) && edges[i].from !== edges[i].to;
    return chain.map((p, k) => {
      if (p.slim) return [p.x, p.y];
      const out = (k === 0) !== flip; // leaves at the far side, comes in at the near one; against the flow the other way round
      return down ? [p.x + w / 2, p.y + (out ? h : 0)] : [p.x + (out ? w : 0), p.y + h / 2];
    });
  });
}

// A smooth line through the points, along the flow at each of them.
function curve(points, down) {
  let d = `M${points[0].map((v) => v.toFixed(1)).join(' ')}`;
  for (let k = 1; k < points.length; k++) {
    const [x0, y0] = points[k - 1], [x1, y1] = points[k], mx = (x0 + x1) / 2, my = (y0 + y1) / 2;
    const c = down ? [x0, my, x1, my, x1, y1] : [mx, y0, mx, y1, x1, y1];
    d += `C${c.map((v) => v.toFixed(1)).join(' ')}`;
  }
  return d;
}

function tip(points, down) {
  const [x, y] = points[points.length - 1], from = points[points.length - 2] ?? [x, y];
  const s = (down ? y >= from[1] : x >= from[0]) ? 1 : -1, a = 7 * s, b = 4;
  return down ? `M${x} ${y}l${-b} ${-a}h${2 * b}z` : `M${x} ${y}l${-a} ${-b}v${2 * b}z`;
}

