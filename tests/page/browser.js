// Headless Chromium over --remote-debugging-pipe: messages of the DevTools protocol, each ended by a NUL, on descriptors 3 and 4.
// Nothing but node is needed. Nothing here sleeps for a fixed time: it waits for conditions, for at most DEADLINE_MS.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const DEADLINE_MS = 120000, LOOK_MS = 50;

class Browser {
  constructor(program, folder) {
    const args = ['--headless', '--remote-debugging-pipe', `--user-data-dir=${path.join(folder, 'profile')}`, '--no-first-run', '--disable-gpu',
      '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-extensions', '--disable-sync', '--mute-audio', '--disable-lcd-text', '--hide-scrollbars'];
    if (process.getuid() === 0) args.push('--no-sandbox'); // root has none
    const log = fs.openSync(path.join(folder, 'chromium.log'), 'w');
    this.process = spawn(program, [...args, 'about:blank'], { stdio: ['ignore', log, log, 'pipe', 'pipe'], env: { ...process.env, HOME: folder } });
    this.waiting = new Map();
    this.sessions = new Map();
    this.number = 0;
    this.ended = new Promise((tell) => this.process.on('exit', tell));
    this.process.on('exit', () => this.waiting.forEach(({ no }) => no(new Error('the browser has ended'))));
    this.process.stdio[3].on('error', () => {});
    let rest = Buffer.alloc(0);
    this.process.stdio[4].on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let at; (at = rest.indexOf(0)) >= 0; rest = rest.subarray(at + 1)) this.take(JSON.parse(rest.subarray(0, at).toString()));
    });
  }

  take(m) {
    if (m.id !== undefined) {
      const { yes, no, method } = this.waiting.get(m.id);
      this.waiting.delete(m.id);
      if (m.error) no(new Error(`${method}: ${m.error.message}`));
      else yes(m.result);
    } else if (m.sessionId) {
      this.sessions.get(m.sessionId)?.event(m.method, m.params);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.number;
    return new Promise((yes, no) => {
      this.waiting.set(id, { yes, no, method });
      this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  // A page with cookies, passwords and so on of its own.
  async page() {
    const { browserContextId } = await this.send('Target.createBrowserContext');
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank', browserContextId });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId);
    this.sessions.set(sessionId, page);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network', 'Accessibility']) await page.send(`${domain}.enable`);
    await page.size(1200, 900);
    return page;
  }

  async close() {
    this.send('Browser.close').catch(() => {});
    const late = setTimeout(() => this.process.kill('SIGKILL'), 20000);
    await this.ended;
    clearTimeout(late);
  }
}

class Page {
  constructor(browser, session) {
    this.browser = browser;
    this.session = session;
    this.errors = []; // of the console
    this.asked = [];  // addresses
    this.handlers = new Map();
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }
  on(method, handler) {
    this.handlers.set(method, handler);
  }

  event(method, p) {
    if (method === 'Runtime.exceptionThrown') this.errors.push(p.exceptionDetails.exception?.description ?? p.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(p.type)) this.errors.push(p.args.map((a) => a.value).join(' '));
    if (method === 'Log.entryAdded' && ['error', 'warning'].includes(p.entry.level)) this.errors.push(`${p.entry.text} ${p.entry.url ?? ''}`);
    if (method === 'Network.requestWillBeSent') this.asked.push(p.request.url);
    const handler = this.handlers.get(method);
    if (handler) Promise.resolve(handler(p)).catch((e) => this.errors.push(String(e)));
  }

  async open(url) {
    const { errorText } = await this.send('Page.navigate', { url });
    return errorText;
  }
  size(width, height, mobile = false) {
    return this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile });
  }
  scheme(value) {
    return this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
  }

  // The value of an expression in the page.
  async get(expression) {
    const r = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (r.exceptionDetails) throw new Error(`${expression}: ${r.exceptionDetails.exception?.description ?? r.exceptionDetails.text}`);
    return r.result.value;
  }

  async until(what, expression) {
    const end = Date.now() + DEADLINE_MS;
    for (let last; ;) {
      try {
        last = await this.get(expression);
        if (last) return last;
      } catch (e) {
        last = e; // another page comes
      }
      if (Date.now() > end) throw new Error(`${what}: did not come about (${expression}: ${last})`);
      await new Promise((go) => setTimeout(go, LOOK_MS));
    }
  }

  async key(key) {
    const code = { Tab: 9, Enter: 13, ' ': 32, Escape: 27 }[key], text = { Enter: '\r', ' ': ' ' }[key];
    const one = { key, code: key === ' ' ? 'Space' : key, windowsVirtualKeyCode: code };
    await this.send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', text, ...one });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...one });
  }

  async shot(file, full = false) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: full });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }
}

module.exports = { Browser, DEADLINE_MS };
