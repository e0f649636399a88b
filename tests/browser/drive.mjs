// Drives the report and the pages of `squall serve` in a headless Chromium as a person would: clicks, keys, dark mode, a large
// run, a thousand runs. `tests/browser/run` prepares what it needs. Usage: drive.mjs REPORT LARGE SERVED SHOTS
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [report, large, served, shots] = process.argv.slice(2);
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const complaints = [];

// A frame is painted once two have been asked for.
function painted(page) {
  return page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

async function open(url, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.on('pageerror', (error) => complaints.push(`${url}: ${error.message}`));
  page.on('console', (line) => line.type() === 'error' && complaints.push(`${url}: ${line.text()}`));
  page.on('dialog', (dialog) => complaints.push(`${url}: a dialog, ${dialog.message()}`));
  const began = performance.now();
  await page.goto(url);
  await painted(page);
  return { page, took: performance.now() - began };
}

const says = (page) => page.textContent('#run-says');
const window_ = async (page) => {
  await painted(page);
  const [, from, to] = /([\d.]+) s to ([\d.]+) s/.exec(await says(page));
  return { from: Number(from), to: Number(to), wide: Number(to) - Number(from) };
};
const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const rows = [];
const row = (what, told) => rows.push(`| ${what} | ${told} |`);

{
  const { page, took } = await open(`file://${report}`);
  row('first screen of the exhibit', `${took.toFixed(0)} ms (aim: below 1,000)`);
  assert.match(await page.textContent('h1'), /invalid/);
  await page.screenshot({ path: `${shots}/report.png` });
  const whole = await window_(page);
  await page.click('#run-in');
  const zoomed = await window_(page);
  assert.ok(zoomed.wide < whole.wide, 'the button zooms in');
  await page.focus('#run-canvas');
  await page.keyboard.press('ArrowRight');
  assert.ok((await window_(page)).from >= zoomed.from, 'a key moves');
  await page.keyboard.press('0');
  assert.deepEqual(await window_(page), whole, 'a key shows the whole run');
  await page.keyboard.press('e');
  const first = await window_(page);
  assert.ok(first.wide < whole.wide, 'a key jumps to the first violation');
  await page.click('#run-whole');
  await page.click('#run-first');
  assert.deepEqual(await window_(page), first, 'and so does a button');
  row('zoom, move, whole run, first violation', `by buttons and keys; the violation fills ${first.wide.toFixed(2)} of ${whole.wide.toFixed(2)} s`);
  await page.click('#cycle > summary');
  assert.equal(await page.locator('#cycle svg .node').count(), 2);
  const light = await background(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.notEqual(await background(page), light);
  await page.screenshot({ path: `${shots}/dark.png` });
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  assert.equal(await background(page), light, 'paper is white');
  await page.pdf({ path: `${shots}/report.pdf`, format: 'A4', printBackground: true });
  row('dark mode, print', 'other colours; on paper those of daylight');
  await page.close();
}
{
  const { page, took } = await open(`file://${large}`);
  row('first screen of 100,000 operations', `${took.toFixed(0)} ms (aim: below 1,000)`);
  const began = performance.now();
  await page.keyboard.press('e');
  await painted(page);
  row('its first violation, zoomed', `${(performance.now() - began).toFixed(0)} ms`);
  await page.screenshot({ path: `${shots}/large.png` });
  await page.close();
}
{
  const { page, took } = await open(served);
  row('squall serve with 1,000 runs', `${took.toFixed(0)} ms`);
  assert.ok(/invalid\s+1\s+valid\s+999/.test(await page.textContent('body')), 'all runs are counted');
  await page.screenshot({ path: `${shots}/serve.png` });
  const link = page.locator('a[href*="report"], a[href^="/runs/"]').first();
  await link.click();
  assert.ok((await page.textContent('h1')).length > 0, 'a run opens');
  await page.close();
}
await browser.close();
assert.deepEqual(complaints, [], 'no page complains');
console.log('| what | seen |\n|---|---|');
console.log(rows.join('\n'));
