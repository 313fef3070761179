import type { TestContext } from "node:test";
import type { Browser, Locator, Page } from "playwright-core";

import type { ConsoleFleet } from "./fleet.ts";

/** What somebody does in a browser; all stories share one server. */
export type Story = (at: ConsoleFleet, browser: Browser, t: TestContext) => Promise<void>;

export const heading = (page: Page, name: string) =>
  page.getByRole("heading", { name, level: 1, exact: true }).waitFor();

/** Waits until keys go there. */
export const hasFocus = (element: Locator) => element.and(element.page().locator(":focus")).waitFor();

/**
 * Waits until what runs in the page is true. Each look is an evaluation of its own: within the page the console's policy allows no text to be
 * made code, so that `waitForFunction` fails when its first look is too early.
 */
export async function untilTrue(page: Page, expression: string): Promise<void> {
  for (let left = 300; !(await page.evaluate<boolean>(expression)); left -= 1) {
    if (left === 0) throw new Error(`Not within half a minute: ${expression}`);
    await page.waitForTimeout(100);
  }
}
