// The status page in a browser. usage: page.js CHROMIUM PORT TOKEN_FILE PIPELINE
// The engine behind PORT runs PIPELINE of tests/cli/page.sh, in the current folder; the last case drains it.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const { Browser } = require('./browser.js');

const [program, port, tokenFile, pipeline] = process.argv.slice(2);
const base = `http://127.0.0.1:${port}`, token = fs.readFileSync(tokenFile, 'utf8').trim();
let checks = 0, failed = 0;

function check(what, is, more = '') {
  checks++;
  if (is) return;
  failed++;
  console.log(`FAIL ${what} ${more}`);
}

// What the engine says, without a browser.
function engine(target, method = 'GET') {
  return new Promise((yes, no) => {
    const r = http.request(`${base}${target}`, { method, headers: { Authorization: `Bearer ${token}` } }, (a) => {
      let text = '';
      a.on('data', (d) => (text += d));
      a.on('end', () => yes(JSON.parse(text)));
    });
    r.on('error', no);
    r.end();
  });
}
const stateOf = async (id) => (await engine(`/v1/kernels/${id}`)).state;

const row = (id) => `[...document.querySelectorAll('#kernels tr')].find((r) => r.cells[0].textContent === ${JSON.stringify(id)})`;
const focused = `(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)`;
const labelled = (label) => `e.getAttribute('aria-label') === ${JSON.stringify(label)}`;
const text = (id) => `document.getElementById('${id}').textContent`;

// Tab, until the focus is where it should be; each stop on the way can be seen. `there` is said of the element `e`.
async function tabTo(page, there) {
  for (let i = 0; i < 200; i++) {
    await page.key('Tab');
    const at = JSON.parse(await page.get(`(() => { const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();
      return JSON.stringify({ there: ${there}, label: ${focused}, seen: e === document.body || (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && b.width > 0 && b.height > 0) }); })()`));
    if (!at.seen) check('the focus can be seen', false, at.label);
    if (at.there) return true;
  }
  return false;
}

// ---- cases

async function asksForTheToken(page) {
  let answer = { response: 'CancelAuth' }, asked = 0;
  page.on('Fetch.requestPaused', (p) => page.send('Fetch.continueRequest', { requestId: p.requestId }));
  page.on('Fetch.authRequired', (p) => {
    asked++;
    check('the browser is asked for a password', p.authChallenge.scheme === 'basic' && p.authChallenge.realm === 'rkpipe', JSON.stringify(p.authChallenge));
    return page.send('Fetch.continueWithAuth', { requestId: p.requestId, authChallengeResponse: answer });
  });
  await page.send('Fetch.enable', { handleAuthRequests: true, patterns: [{ urlPattern: '*' }] });
  await page.open(`${base}/`);
  await page.until('the refusal', `document.readyState === 'complete' && document.body.textContent.includes('unauthorized')`);
  check('nothing of the page without the token', await page.get(`!document.getElementById('main') && !document.body.textContent.includes('page-job')`));
  answer = { response: 'ProvideCredentials', username: 'anybody', password: token };
  await page.open(`${base}/`);
  await page.until('the page', `${text('name')} === 'page-job'`);
  await page.until('the first answer', `document.querySelectorAll('#kernels tr').length === 5`);
  check('it was asked for twice', asked >= 2, String(asked));
  await page.send('Fetch.disable');
}

async function loads(page) {
  await page.open(`http://x:${encodeURIComponent(token)}@127.0.0.1:${port}/`); // a password in the address
  await page.until('the kernels', `document.querySelectorAll('#kernels tr').length === 5 && document.querySelectorAll('#graph .node').length === 5`);
  check('the title', (await page.get('document.title')) === 'page-job – rkpipe');
  check('the state', (await page.get(text('run-state'))) === '● running');
  check('states are words', (await page.get(`${row('late')}.cells[1].textContent`)) === '○ launched');
  check('an edge for each', (await page.get(`document.querySelectorAll('#graph svg g').length`)) === 4);
  await page.until('the generations', `document.querySelectorAll('#generations tr').length === 1`);
  check('nothing was rejected', await page.get(`document.getElementById('rejected').hidden`));
  check('the policy lets in nothing from outside', page.asked.every((u) => u.startsWith(`http://127.0.0.1:${port}/`) || u.startsWith('http://x:') || u.startsWith('data:')), page.asked.join(' '));
}

async function updates(page) {
  const sent = `[...document.querySelectorAll('#edges tr')].find((r) => r.cells[0].textContent === 'gen → even').cells[3].textContent.replaceAll(',', '') * 1`;
  const before = await page.get(sent);
  await page.until('a counter grows', `${sent} > ${before}`);
  await page.until('a rate', `${row('gen')}.cells[3].textContent !== '0'`);
  await page.until('the rate stands in the graph', `[...document.querySelectorAll('#graph text')].some((t) => /^[1-9].*\\/s/.test(t.textContent))`);
  await page.until('what waits is shown', `/^[1-9][0-9,]* \\/ /.test(${row('late')}.cells[5].textContent)`);
  await page.get(`document.getElementById('pause').click()`);
  await page.until('paused', `${text('link')}.startsWith('Paused')`);
  const then = await page.get(sent);
  check('it stands', (await page.get(`document.getElementById('pause').getAttribute('aria-pressed')`)) === 'true');
  await page.get(`document.getElementById('pause').click()`);
  await page.until('it goes on', `${sent} > ${then} && ${text('link')}.startsWith('Live')`);
}

async function byKeyboard(page) {
  await page.get('document.activeElement.blur()');
  check('Tab leads past the head', await tabTo(page, `e.classList.contains('skip')`));
  check('Tab leads to a kernel in the graph', await tabTo(page, `e.matches('#graph .node') && e.firstChild.textContent === 'gen'`));
  check('Tab leads to Suspend', await tabTo(page, labelled('Suspend even')));
  await page.key('Enter');
  await page.until('it is suspended', `${row('even')}.cells[1].textContent === '‖ suspended'`);
  check('the engine says so too', (await stateOf('even')) === 'suspended');
  await page.until('the button resumes now, and has the focus', `${focused} === 'Resume even'`);
  await page.until('it is said', `${text('said')} === "kernel 'even' is suspended"`);
  await page.until('the button can be pressed again', `!document.activeElement.hasAttribute('aria-disabled')`);
  await page.key(' ');
  await page.until('it is active', `${row('even')}.cells[1].textContent === '● active' && ${focused} === 'Suspend even'`);
  check('the engine says so again', (await stateOf('even')) === 'active');
  // A question first, and Escape is no.
  check('Tab leads to Terminate', await tabTo(page, labelled('Terminate… even')));
  await page.key('Enter');
  await page.until('a question', `document.getElementById('ask').open && ${focused} === 'Cancel'`);
  await page.key('Escape');
  await page.until('no question', `!document.getElementById('ask').open && ${focused} === 'Terminate… even'`);
  check('it is still there', (await stateOf('even')) === 'active');
}

async function chooses(page) {
  await page.get(`[...document.querySelectorAll('#graph .node')].find((b) => b.firstChild.textContent === 'late').focus()`);
  await page.key('Enter');
  await page.until('its details', `!document.getElementById('chosen').hidden && ${text('h-chosen')} === 'Kernel late'`);
  check('the choice can be heard', (await page.get(`document.activeElement.getAttribute('aria-pressed')`)) === 'true');
}

async function alerts(page) {
  check('no alert', await page.get(`document.querySelectorAll('#alerts li').length === 0 && ${text('no-alerts')} === 'None is pending or firing.'`));
  await page.get(`document.querySelector('#chosen-tools button').click()`); // activates late
  await page.until('late is active', `${row('late')}.cells[1].textContent === '● active'`);
  await page.until('the alert', `document.querySelector('#alerts li')?.textContent.includes('▲ firing, page')`);
  check('its words', await page.get(`document.querySelector('#alerts li').textContent.includes('late has begun')`));
  check('it is announced', (await page.get(text('alerts-said'))) === 'LateWorks: firing.');
}

async function rejected(page) {
  const good = fs.readFileSync(pipeline, 'utf8');
  fs.writeFileSync(pipeline, good.replace('op: filter', 'op: "<img src=x onerror=hacked=1>"'));
  await page.get(`document.getElementById('reload').focus()`);
  await page.key('Enter');
  await page.until('a question', `document.getElementById('ask').open`);
  await page.get(`document.getElementById('ask-yes').focus()`);
  await page.key('Enter');
  await page.until('it is refused', `${text('failed')}.includes('<img src=x onerror=hacked=1>')`);
  await page.until('the finding', `!document.getElementById('rejected').hidden && ${text('findings')}.includes('<img src=x onerror=hacked=1>')`);
  check('its place', await page.get(`/${pipeline}:\\d+:\\d+/.test(${text('findings')}) && ${text('findings')}.includes('[')`), await page.get(text('findings')));
  await page.get(`document.querySelector('#rejected details').open = true`);
  check('its line is marked', await page.get(`document.querySelector('#rejected-text .at').textContent.includes('<img src=x')`));
  fs.writeFileSync(pipeline, good.replace('n % 2 == 0', 'n % 3 == 0'));
  await page.get(`document.getElementById('reload').click()`);
  await page.until('a question again', `document.getElementById('ask').open`);
  await page.get(`document.getElementById('ask-yes').click()`);
  await page.until('generation 2', `document.querySelectorAll('#generations tr').length === 2 && ${text('facts')}.includes('generation 2')`);
  await page.until('it is said', `${text('said')}.startsWith('Generation 2 runs.')`);
  check('generation 1 can be had back', await page.get(`[...document.querySelectorAll('#generations button')].some((b) => b.textContent === 'Roll back to 1…' && !b.hidden)`));
  check('what was rejected stays', await page.get(`!document.getElementById('rejected').hidden`));
}

// No text has less than 4.5:1 against what is behind it.
const CONTRAST = `(() => {
  const numbers = (c) => c.match(/[\\d.]+/g).map(Number);
  const bright = (c) => { const [r, g, b] = numbers(c).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor, n = numbers(c); if (n.length < 4 || n[3] === 1) return c; } return 'rgb(255,255,255)'; };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const s = getComputedStyle(e), fore = bright(e instanceof SVGElement ? s.fill : s.color), back = bright(behind(e));
    const ratio = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05);
    if (ratio < 4.5) bad.push(e.className + ' ' + e.textContent.slice(0, 30) + ' ' + ratio.toFixed(2));
  }
  return bad.join('; ');
})()`;

async function inTheDark(page) {
  const grounds = [];
  for (const scheme of ['light', 'dark']) {
    await page.scheme(scheme);
    grounds.push(await page.get(`getComputedStyle(document.body).backgroundColor`));
    const bad = await page.get(CONTRAST);
    check(`texts can be read in the ${scheme}`, bad === '', bad);
  }
  check('light and dark differ', grounds[0] !== grounds[1], grounds.join(' '));
}

const OVERFLOW = `[...document.querySelectorAll('body *')].filter((e) => !e.closest('#graph, pre, .unseen, thead, dialog') && e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.tagName + '.' + e.className).slice(0, 5).join(' ')`;

async function narrow(page, what) {
  for (const width of [360, 320, 760, 1200]) {
    await page.size(width, 740, width < 400);
    await page.until(`${what}: laid out for ${width}`, `(() => { const g = document.getElementById('graph'); return g.scrollWidth <= g.clientWidth; })()`);
    check(`${what}: no horizontal scroll at ${width}`, await page.get(`document.documentElement.scrollWidth <= innerWidth && innerWidth === ${width}`), await page.get(`document.documentElement.scrollWidth + ' ' + innerWidth + ' ' + ${OVERFLOW}`));
    check(`${what}: nothing is cut off at ${width}`, (await page.get(OVERFLOW)) === '', await page.get(OVERFLOW));
  }
}

// Each text of the answers has markup in it, the ids of kernels, too.
async function hostile(page) {
  const markup = '<img src=x onerror="hacked=1"><script>hacked=1</script>';
  const keys = new Set(['kernel', 'from', 'to', 'op', 'topic', 'id', 'name', 'reason', 'port', 'message', 'alert', 'summary', 'severity_', 'file', 'text', 'hint', 'code', 'expr', 'error']);
  const spoil = (v, key) => {
    if (Array.isArray(v)) return v.map((x) => spoil(x, key));
    if (v && typeof v === 'object') return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, spoil(x, k)]));
    return typeof v === 'string' && keys.has(key) ? v + markup : v;
  };
  page.on('Fetch.requestPaused', async (p) => {
    const { body, base64Encoded } = await page.send('Fetch.getResponseBody', { requestId: p.requestId });
    const told = spoil(JSON.parse(Buffer.from(body, base64Encoded ? 'base64' : 'utf8').toString()));
    await page.send('Fetch.fulfillRequest', { requestId: p.requestId, responseCode: p.responseStatusCode, responseHeaders: [{ name: 'Content-Type', value: 'application/json' }],
      body: Buffer.from(JSON.stringify(told)).toString('base64') }).catch(() => {}); // the page may have gone
  });
  await page.send('Fetch.enable', { patterns: [{ urlPattern: '*/v1/*', requestStage: 'Response' }] });
  await page.open(`${base}/`);
  await page.until('names with markup', `${text('name')}.includes('<script>') && document.querySelector('#graph .node')?.textContent.includes('<img src=x')`);
  await page.get(`document.querySelector('#graph .node').click()`);
  await page.until('findings with markup', `${text('findings')}.includes('<script>') && ${text('chosen')}.includes('<script>')`);
  await page.until('alerts with markup', `${text('alerts')}.includes('<script>')`);
  check('no markup is made of it', await page.get(`document.querySelectorAll('img').length === 0 && document.querySelectorAll('script').length === 1 && typeof hacked === 'undefined'`));
  check('nor is it in an attribute', await page.get(`[...document.querySelectorAll('*')].every((e) => [...e.attributes].every((a) => !a.name.startsWith('on')))`));
  await narrow(page, 'long names');
  await page.send('Fetch.disable');
}

// Another origin, in the same browser, which knows the password.
async function elsewhere(page) {
  for (const host of ['127.0.0.1', 'localhost']) {
    await page.open(`http://x:${encodeURIComponent(token)}@${host}:${port}/live`);
    await page.until(`the password for ${host}`, `location.hostname === '${host}' && document.body.textContent.includes('live')`);
  }
  await page.get(`(() => { const f = document.body.appendChild(document.createElement('form')); f.method = 'POST'; f.action = '${base}/v1/kernels/even:suspend'; f.submit(); })()`);
  await page.until('its answer', `location.hostname === '127.0.0.1' && document.readyState === 'complete' && document.body.textContent.includes('{')`);
  check('what another origin asks for is refused', await page.get(`document.body.textContent.includes('"code":"origin"')`), await page.get(`document.body.textContent`));
  check('another origin commands nothing', (await stateOf('even')) === 'active' && (await engine('/v1/status')).state === 'running');
}

async function names(page) {
  const { nodes } = await page.send('Accessibility.getFullAXTree');
  const without = nodes.filter((n) => !n.ignored && ['button', 'link', 'table', 'dialog', 'region'].includes(n.role?.value) && !n.name?.value);
  check('everything that can be used has a name', without.length === 0, JSON.stringify(without.map((n) => n.role)));
  const rows = nodes.filter((n) => n.role?.value === 'row').length;
  check('tables are tables, also when they are cards', rows >= 9, String(rows));
}

async function ends(page) {
  await page.get(`document.getElementById('drain').focus()`);
  await page.key('Enter');
  await page.until('a question', `document.getElementById('ask').open`);
  await page.get(`document.getElementById('ask-yes').focus()`);
  await page.key('Enter');
  await page.until('the engine has gone', `${text('link')} === 'Not connected' && ${text('failed')}.startsWith('The engine does not answer')`);
}

async function main() {
  const browser = new Browser(program, process.cwd());
  const allowed = (e) => /status of (401|422)/.test(e); // said by the browser when it is refused, which two cases are about
  try {
    const first = await browser.page(), page = await browser.page(), third = await browser.page();
    await asksForTheToken(first);
    for (const one of [loads, updates, byKeyboard, chooses, alerts, rejected, names, inTheDark]) await one(page);
    await narrow(page, 'the pipeline');
    await page.size(360, 740, true);
    await names(page);
    await page.size(1200, 900);
    await hostile(page);
    await elsewhere(third);
    const errors = [...first.errors, ...page.errors].filter((e) => !allowed(e));
    check('no error in the console', errors.length === 0, errors.join('\n'));
    await page.open(`${base}/`);
    await page.until('the page again', `document.querySelectorAll('#kernels tr').length === 5`);
    await ends(page);
  } catch (e) {
    check('to the end', false, e.stack);
  }
  await browser.close();
  console.log(`${checks} checks in the browser, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
