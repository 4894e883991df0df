// A browser (Chromium) that does what it is told, a line of JSON at a time, and says what it sees.
//
//   node browser.mjs NODE_MODULES
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [modules] = process.argv.slice(2);
const { default: puppeteer } = await import(
  pathToFileURL(`${modules}/puppeteer-core/lib/esm/puppeteer/puppeteer-core.js`)
);
const found = process.env.PATH.split(':').map((folder) => `${folder}/chromium`).find(existsSync);
const browser = await puppeteer.launch({
  executablePath: found ?? '/usr/bin/chromium',
  acceptInsecureCerts: true,
  // It ends with this script, however that ends.
  pipe: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-proxy-server',
    // It has nobody to talk to but the gateway and the provider, under whatever name.
    '--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE *.test',
  ],
});
// People, who share no cookies, and their tabs.
const people = new Map();
const tabs = new Map();

async function tab(of, name) {
  if (!people.has(of)) people.set(of, await browser.createBrowserContext());
  const key = `${of}/${name}`;
  if (!tabs.has(key)) {
    const page = await people.get(of).newPage();
    page.setDefaultTimeout(60_000);
    page.on('response', (response) => {
      if (response.request().isNavigationRequest() && response.frame() === page.mainFrame()) {
        page.seen = { status: response.status(), headers: response.headers() };
      }
    });
    tabs.set(key, page);
  }
  return tabs.get(key);
}

async function see(page) {
  const text = await page.evaluate(() => document.body?.innerText ?? '');
  return { url: page.url(), status: page.seen?.status ?? 0, text };
}

const deeds = {
  async open(page, { url }) {
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    return see(page);
  },
  // Opens a page that leads on by itself, and waits for the one at the end.
  async open_through(page, { url, end }) {
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    await page.waitForFunction((end) => location.href === end && document.readyState !== 'loading', {}, end);
    return see(page);
  },
  // Fills a form in and sends it off.
  async submit(page, { fill, press }) {
    for (const [name, value] of Object.entries(fill)) await page.type(`input[name=${name}]`, value);
    await Promise.all([page.waitForNavigation({ waitUntil: 'domcontentloaded' }), page.click(press)]);
    return see(page);
  },
  async cookies(page) {
    return page.browserContext().cookies();
  },
  async set_cookies(page, { cookies }) {
    await page.browserContext().setCookie(...cookies);
    return null;
  },
  // What a script of the page gets.
  async fetch(page, { url, times }) {
    return page.evaluate(
      async (url, times) => {
        const one = async () => {
          const answer = await fetch(url);
          return { status: answer.status, text: await answer.text() };
        };
        return Promise.all(Array.from({ length: times }, one));
      },
      url,
      times,
    );
  },
};

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const deed = JSON.parse(line);
  try {
    const page = await tab(deed.who, deed.tab);
    await page.bringToFront();
    const said = await deeds[deed.do](page, deed);
    console.log(JSON.stringify({ said }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
await browser.close();
process.exit(0);
