// Pictures of the status page for docs/. usage: shots.js CHROMIUM PORT TOKEN_FILE FOLDER; by tests/page/shots.sh.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Browser } = require('./browser.js');

const [program, port, tokenFile, folder] = process.argv.slice(2);
const token = fs.readFileSync(tokenFile, 'utf8').trim();

async function main(browser) {
  const page = await browser.page();
  await page.open(`http://x:${encodeURIComponent(token)}@127.0.0.1:${port}/`);
  await page.until('an alert', `document.querySelector('#alerts li.firing')`);
  await page.until('a full queue', `document.querySelector('#graph .full')`);
  await page.until('rates', `[...document.querySelectorAll('#graph text')].some((t) => /^[1-9]/.test(t.textContent))`);
  const still = async (name, width, height, scheme) => {
    await page.scheme(scheme);
    await page.size(width, height, width < 400);
    await page.until('laid out', `document.getElementById('graph').scrollWidth <= document.getElementById('graph').clientWidth`);
    await page.get('new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))');
    await page.shot(path.join(folder, name));
  };
  await still('status-page.png', 1100, 720, 'light');
  await page.get(`[...document.querySelectorAll('#graph .node')].find((b) => b.firstChild.textContent === 'slow').click()`);
  await still('status-page-narrow.png', 360, 860, 'dark');
}

const browser = new Browser(program, process.cwd());
main(browser).catch((e) => {
  console.error(e.stack);
  process.exitCode = 1;
}).finally(() => browser.close());
