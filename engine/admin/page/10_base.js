// Elements, numbers and requests. Whatever the engine says goes in as text (textContent), never as markup; the page's policy
// (trusted-types 'none') would refuse anything else.

const byId = (id) => document.getElementById(id);

function make(tag, look, text) {
  const e = document.createElement(tag);
  if (look) e.className = look;
  if (text !== undefined) e.textContent = text;
  return e;
}

// Only when it differs: what has not changed is not read out again, and a selection in it stays.
function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}
function look(e, name) {
  if (e.className !== name) e.className = name;
}
function put(e, name, value) {
  if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}

// Children of `parent` as the keys say, in their order; who is there already stays the same element, and keeps the focus.
function keyed(parent, keys, build) {
  const have = parent.children_by_key ?? (parent.children_by_key = new Map());
  const want = new Set(keys);
  for (const [key, e] of have) {
    if (want.has(key)) continue;
    e.remove();
    have.delete(key);
  }
  let at = parent.firstElementChild;
  for (const key of keys) {
    let e = have.get(key);
    if (!e) {
      e = build(key);
      have.set(key, e);
    }
    if (e === at) at = at.nextElementSibling;
    else parent.insertBefore(e, at);
  }
  return have;
}

function button(text, act) {
  const b = make('button', '', text);
  b.type = 'button';
  b.addEventListener('click', act);
  return b;
}

// ---- numbers

const grouped = new Intl.NumberFormat('en-US');
const count = (n) => grouped.format(n ?? 0);

function rate(v) {
  if (!(v >= 0.05)) return '0';
  if (v < 99.95) return v.toFixed(1);
  if (v < 999999.5) return count(Math.round(v));
  return v < 1e9 ? `${(v / 1e6).toFixed(2)} M` : `${(v / 1e9).toFixed(2)} G`;
}

function seconds(v) {
  if (!(v > 0)) return '–';
  if (v < 1e-3) return `${(v * 1e6).toFixed(0)} µs`;
  if (v < 1) return `${(v * 1e3).toFixed(v < 0.01 ? 2 : 1)} ms`;
  return `${v.toFixed(2)} s`;
}

function span(s) {
  const days = Math.floor(s / 86400), hours = Math.floor(s / 3600) % 24, minutes = Math.floor(s / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${Math.floor(s % 60)} s` : `${Math.floor(s)} s`;
}

const mib = (n) => `${count(Math.round((n ?? 0) / 1048576))} MiB`;

const two = (n) => String(n).padStart(2, '0');
function moment(text) {
  const t = new Date(text);
  if (isNaN(t)) return String(text ?? '');
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

// ---- requests

const WAIT_MS = 15000;

// By the origin: the address of the page may have a name and a password in it, with which nothing can be fetched.
async function ask(path, method = 'GET') {
  const answer = await fetch(new URL(path, location.origin), { method, cache: 'no-store', signal: AbortSignal.timeout(WAIT_MS) });
  const text = await answer.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    body = null;
  }
  if (answer.ok && body) return body;
  const finding = body?.findings?.find((f) => f.severity === 'error');
  const why = body?.error?.message ?? body?.message ?? finding?.message ?? body?.outcome ?? 'an answer that is not understood';
  const e = new Error(answer.status === 401 ? 'the token is not accepted: load this page again' : why);
  e.status = answer.status;
  throw e;
}

// ---- what is said

function good(text) {
  say(byId('failed'), '');
  say(byId('said'), text);
}
function bad(text) {
  say(byId('said'), '');
  say(byId('failed'), text);
}

// True when the user is sure.
function sure(head, text, yes) {
  const dialog = byId('ask');
  say(byId('ask-head'), head);
  say(byId('ask-text'), text);
  say(byId('ask-yes'), yes);
  return new Promise((tell) => {
    byId('ask-yes').onclick = () => dialog.close('yes');
    byId('ask-no').onclick = () => dialog.close('');
    dialog.onclose = () => tell(dialog.returnValue === 'yes');
    dialog.returnValue = '';
    dialog.showModal();
    byId('ask-no').focus();
  });
}

