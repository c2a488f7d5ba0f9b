import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { repository } from './cli-project.ts';
import { chromiumBinary } from './servers/binaries.ts';
import { slowness } from './slowness.ts';

/** Why pages cannot be looked at on this machine; undefined when they can. */
export const whyNoBrowser = async (): Promise<string | undefined> =>
  (await chromiumBinary())
    ? undefined
    : 'no Chromium: npm run test:servers gets one, or SVC_COMM_TEST_CHROMIUM names it';

/** A headless Chromium with a profile of its own, which asks for nothing by itself. */
export async function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: (await chromiumBinary()) ?? '',
    timeout: 30_000 * slowness(),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A page, and what it did that it must not do. */
export interface WatchedPage {
  readonly page: Page;
  /** Every URL that was asked for. */
  readonly requests: readonly string[];
  /** What the console said, but for what servers answered; and what was thrown and not caught. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const requests: string[] = [];
  const complaints: string[] = [];
  context.on('request', (request) => requests.push(request.url()));
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.setDefaultTimeout(20_000 * slowness());
  return { page, requests, complaints, close: () => context.close() };
}

/** Writes what the page looks like to coverage/screenshots, for people. */
export async function takeScreenshot(page: Page, name: string): Promise<void> {
  const folder = join(repository, 'coverage/screenshots');
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

/** Texts whose contrast with what is behind them is below what WCAG 2.2 asks for (1.4.3, level AA). */
export const poorContrast = (page: Page): Promise<string[]> =>
  // A text: what is compiled for the tests refers to helpers that the page does not have.
  page.evaluate(`(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b]
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
      .reduce((sum, value, n) => sum + value * [0.2126, 0.7152, 0.0722][n], 0);
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const color = rgba(getComputedStyle(at).backgroundColor);
        if (color[3] === 255) return color;
      }
      return [255, 255, 255, 255];
    };
    const poor = [];
    for (const element of document.querySelectorAll('body *')) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
      if (!hasText || element.offsetParent === null) continue;
      const style = getComputedStyle(element);
      const [a, b] = [light(rgba(style.color)), light(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const size = parseFloat(style.fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (isLarge ? 3 : 4.5)) poor.push(element.textContent.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
    }
    return poor;
  })()`);
