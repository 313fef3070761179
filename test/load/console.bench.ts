import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

import type { Browser, BrowserContext, Page } from "playwright-core";
import { ClusterService } from "#proto/fleet/v1/cluster";

import { buildConsole, consoleDist } from "../../tools/console.ts";
import { chromiumPath, openPage, signIn, startChromium, whyNoChromium } from "../console/browser.ts";
import { startConsoleFleet, type ConsoleFleet } from "../console/fleet.ts";
import { median, percentile, rounded } from "./figures.ts";
import { machineLoad } from "./fleet/processes.ts";

/**
 * `console [--clusters N] [--rounds N] [--only scroll]`: the console in Chromium. Sizes, the time until the map of a small fleet stands
 * and how much it moves meanwhile; and of a large fleet the summary, the first rows of the list, and frames while it is scrolled, with
 * the CPU that a frame takes. The baseline of frames is a page with nothing in it, scrolled alike.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      clusters: { type: "string", default: "10000" },
      rounds: { type: "string", default: "5" },
      only: { type: "string", default: "" },
    },
  });
  const [clusters, rounds] = [Number(values.clusters), Number(values.rounds)];
  if (!["", "scroll"].includes(values.only)) throw new Error(`--only ${values.only} is not known: scroll is`);
  if (chromiumPath === undefined) throw new Error(whyNoChromium);
  await buildConsole();
  if (values.only === "scroll") {
    const scrolled = await withFleet(clusters, measureScroll);
    return { input: { clusters, loadAtTheEnd: machineLoad() }, ...scrolled };
  }
  const small = await withFleet(24, (at, browser) => measureLoads(at, browser, rounds));
  process.stderr.write(`loads measured; now ${clusters} clusters\n`);
  const large = await withFleet(clusters, (at, browser) => measureLarge(at, browser, rounds));
  return { input: { clusters, rounds, loadAtTheEnd: machineLoad() }, gzipBytes: sizes(), small, large };
}

async function withFleet<T>(
  clusters: number,
  use: (at: ConsoleFleet, browser: Browser) => Promise<T>,
): Promise<T> {
  const cleanups: (() => unknown)[] = [];
  // What the fixtures use of a test.
  const t = {
    after: (cleanup: () => unknown) => cleanups.push(cleanup),
    diagnostic: () => {},
  } as unknown as TestContext;
  try {
    const at = await startConsoleFleet(t, { clusters });
    return await use(at, await startChromium(t, at));
  } finally {
    for (let next = cleanups.shift(); next !== undefined; next = cleanups.shift()) await next();
  }
}

/** What the page names, which the browser loads at once; and each part that comes when it is looked at. */
function sizes(): object {
  const page = readFileSync(join(consoleDist, "index.html"));
  const named = [...page.toString().matchAll(/(?:src|href)="\/([^"]+)"/g)].map(([, path = ""]) => path);
  const packed = (path: string) => gzipSync(readFileSync(join(consoleDist, path)), { level: 9 }).length;
  const firstLoad = gzipSync(page, { level: 9 }).length + named.reduce((sum, path) => sum + packed(path), 0);
  const later = globSync("assets/*", { cwd: consoleDist }).filter((path) => !named.includes(path));
  return { firstLoad, later: Object.fromEntries(later.map((path) => [path, packed(path)])) };
}

/** Runs before the page: notes when what one came for stands there, tasks that held the page up, and what moved. */
const watch = `(() => {
  const seen = { readyMs: 0, longMs: [], shift: 0 };
  window.seen = seen;
  const observe = (type, take) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
  observe("longtask", (entry) => seen.longMs.push(entry.duration));
  observe("layout-shift", (entry) => { if (!entry.hadRecentInput) seen.shift += entry.value; });
  new MutationObserver((_, observer) => {
    if (document.querySelector("[aria-label^='Region '], [data-row], .panel") === null) return;
    observer.disconnect();
    requestAnimationFrame(() => (seen.readyMs = performance.now()));
  }).observe(document, { childList: true, subtree: true });
})()`;

interface Seen {
  readonly readyMs: number;
  readonly longMs: readonly number[];
  readonly shift: number;
}

const look = (page: Page) => page.evaluate<Seen>("window.seen");
const settleMs = 1_500;

/** A page in a context of its own, with an empty cache, for who is signed in already. */
async function openFresh(signedIn: BrowserContext, browser: Browser, baseUrl: string) {
  const opened = await openPage(browser, baseUrl, { width: 1280, height: 900 });
  await opened.context.addCookies(await signedIn.cookies());
  await opened.context.addInitScript(watch);
  return opened;
}

async function measureLoads(at: ConsoleFleet, browser: Browser, rounds: number): Promise<object> {
  const { page: first, context: signedIn } = await openPage(browser, at.baseUrl);
  await signIn(first, await at.token("admin"));
  await first.close();
  const ready: number[] = [];
  const long: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const { page, context } = await openFresh(signedIn, browser, at.baseUrl);
    await page.goto("/");
    await page.waitForTimeout(settleMs);
    const seen = await look(page);
    ready.push(seen.readyMs);
    long.push(seen.longMs.reduce((sum, each) => sum + Math.max(0, each - 50), 0));
    await context.close();
  }
  const shifts: Record<string, number> = {};
  for (const path of [
    "/",
    "/clusters",
    "/clusters/us-4",
    "/rollouts",
    "/bundles",
    "/rules",
    "/alerts",
    "/alerts/all",
    "/reports",
    "/audit",
  ]) {
    const { page, context } = await openFresh(signedIn, browser, at.baseUrl);
    await page.goto(path);
    await page.waitForTimeout(settleMs);
    shifts[path] = rounded((await look(page)).shift, 4);
    await context.close();
  }
  return {
    interactiveMs: { median: rounded(median(ready), 0), worst: rounded(Math.max(...ready), 0) },
    blockedMs: rounded(median(long), 0),
    layoutShift: shifts,
  };
}

async function measureLarge(at: ConsoleFleet, browser: Browser, rounds: number): Promise<object> {
  const service = await at.client(ClusterService, "viewer");
  const summaryMs = await timed(rounds, () => service.getFleetSummary({ worst: 160 }));
  const minutesMs = await timed(rounds, () => service.getFleetSummary({ minutes: 60, onlyMinutes: true }));
  const { page: first, context: signedIn } = await openPage(browser, at.baseUrl);
  await signIn(first, await at.token("viewer"));
  await first.close();
  const map = await openFresh(signedIn, browser, at.baseUrl);
  await map.page.goto("/");
  await map.page
    .getByRole("region", { name: /^Region / })
    .first()
    .waitFor();
  const mapReadyMs = (await look(map.page)).readyMs;
  await map.context.close();

  return {
    summaryMs,
    summaryWithMinutesMs: minutesMs,
    mapReadyMs: rounded(mapReadyMs, 0),
    ...(await scrollList(signedIn, browser, at.baseUrl)),
  };
}

async function measureScroll(at: ConsoleFleet, browser: Browser): Promise<object> {
  const { page, context } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("viewer"));
  await page.close();
  return scrollList(context, browser, at.baseUrl);
}

/** The list of all clusters, scrolled when all of them were read; and a page with nothing in it. */
async function scrollList(signedIn: BrowserContext, browser: Browser, baseUrl: string): Promise<object> {
  const { page } = await openFresh(signedIn, browser, baseUrl);
  await page.goto("/clusters");
  await page.locator("[data-row]").first().waitFor();
  const firstRowsMs = (await look(page)).readyMs;
  await page
    .getByRole("status")
    .getByText(/^[\d.,]+k?$/)
    .waitFor({ timeout: 120_000 });
  const before = await look(page);
  const scrolled = await scroll(page, browser);
  const after = await look(page);
  const long = after.longMs.slice(before.longMs.length);
  const empty = await browser.newPage();
  await empty.setContent(`<div style="height:400000px">nothing</div>`);
  return {
    firstRowsMs: rounded(firstRowsMs, 0),
    scroll: {
      ...scrolled,
      longTasks: long.length,
      longestMs: rounded(Math.max(0, ...long), 0),
      shift: rounded(after.shift - before.shift, 4),
    },
    scrollOfNothing: await scroll(empty, browser),
  };
}

async function timed(rounds: number, call: () => Promise<unknown>): Promise<object> {
  const taken: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const begun = performance.now();
    await call();
    taken.push(performance.now() - begun);
  }
  return { median: rounded(median(taken), 0), worst: rounded(Math.max(...taken), 0) };
}

/** Runs in the page: 400 pixels a frame, and how long each frame took. */
const steps = `new Promise((resolve) => {
  const frames = [];
  let before = 0;
  const step = (now) => {
    if (before > 0) frames.push(now - before);
    before = now;
    window.scrollBy(0, 400);
    if (frames.length < 240) requestAnimationFrame(step); else resolve(frames);
  };
  requestAnimationFrame(step);
})`;

async function scroll(page: Page, browser: Browser): Promise<object> {
  const cpu = await cpuOf(page, browser);
  const frames = await page.evaluate<readonly number[]>(steps);
  const taken = await cpu.taken(frames.length);
  return {
    frames: frames.length,
    medianMs: rounded(median(frames), 1),
    p95Ms: rounded(percentile(frames, 0.95), 1),
    worstMs: rounded(Math.max(...frames), 1),
    over50Ms: frames.filter((ms) => ms > 50).length,
    cpuPerFrameMs: taken,
  };
}

/** Parts of what the page's own thread does, as Chromium calls them. Each is within the whole. */
const parts = {
  page: "TaskDuration",
  script: "ScriptDuration",
  style: "RecalcStyleDuration",
  layout: "LayoutDuration",
} as const;

/** CPU from now on: of the page's own thread and of all processes of the browser. Other work on the machine is not in it. */
async function cpuOf(page: Page, browser: Browser) {
  const session = await page.context().newCDPSession(page);
  const whole = await browser.newBrowserCDPSession();
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const read = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    const { processInfo } = await whole.send("SystemInfo.getProcessInfo");
    const seconds = new Map(metrics.map(({ name, value }) => [name, value]));
    return {
      ...Object.fromEntries(Object.entries(parts).map(([part, name]) => [part, seconds.get(name) ?? 0])),
      browser: processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0),
    };
  };
  const before: Readonly<Record<string, number>> = await read();
  return {
    taken: async (frames: number) => {
      const after: Readonly<Record<string, number>> = await read();
      await whole.detach();
      const perFrame = Object.entries(after).map(
        ([part, seconds]) => [part, rounded(((seconds - (before[part] ?? 0)) * 1000) / frames, 2)] as const,
      );
      return Object.fromEntries(perFrame);
    },
  };
}
