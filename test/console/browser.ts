import { createHash, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import type { TestContext } from "node:test";

import type { Browser, BrowserContext, Download, Page } from "playwright-core";

import type { TestServer } from "../../server/testing.ts";

/** Where distributions put it; CHROMIUM names another. */
const places = [
  process.env["CHROMIUM"] ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** A Chromium of this machine; undefined where there is none. */
export const chromiumPath = places.find((path) => path !== "" && existsSync(path));

export const whyNoChromium =
  "There is no Chromium on this machine: install it (apt-get install -y chromium), or name it by CHROMIUM=FILE";

export async function startChromium(t: TestContext, at: Pick<TestServer, "ca">): Promise<Browser> {
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({
    executablePath: chromiumPath ?? "",
    // As root, which CI is, it runs without its sandbox. The fleet's CA is trusted by the pin of its key, as a person
    // trusts it who took it into the system's store.
    args: ["--no-sandbox", "--disable-gpu", `--ignore-certificate-errors-spki-list=${pinOf(at.ca)}`],
  });
  t.after(() => browser.close());
  return browser;
}

function pinOf(pem: string): string {
  const spki = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("base64");
}

export interface OpenPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the page complained of: errors, and what its policy kept it from. */
  readonly complaints: string[];
}

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: "light" | "dark";
}

export async function openPage(
  browser: Browser,
  baseURL: string,
  { width = 1440, height = 900, colorScheme = "light" }: PageOptions = {},
): Promise<OpenPage> {
  const context = await browser.newContext({ baseURL, viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    // Refusals are answers, which the browser writes down by itself.
    if (message.type() === "error" && !/responded with a status of 4\d\d/.test(message.text())) {
      complaints.push(message.text());
    }
  });
  return { page, context, complaints };
}

/** Pastes a token as a person does. */
export async function signIn(page: Page, token: string): Promise<void> {
  await page.goto("/");
  await page.getByLabel("API token").fill(token);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Fleet", level: 1 }).waitFor();
}

/** The file behind a button. */
export async function downloadOf(page: Page, format: string): Promise<Download> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: format, exact: true }).click(),
  ]);
  return download;
}
