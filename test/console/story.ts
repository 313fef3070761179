import type { TestContext } from "node:test";
import type { Browser, Locator, Page } from "playwright-core";

import type { ConsoleFleet } from "./fleet.ts";

/** What somebody does in a browser; all stories share one server. */
export type Story = (at: ConsoleFleet, browser: Browser, t: TestContext) => Promise<void>;

export const heading = (page: Page, name: string) =>
  page.getByRole("heading", { name, level: 1, exact: true }).waitFor();

/** Waits until keys go there. */
export const hasFocus = (element: Locator) => element.and(element.page().locator(":focus")).waitFor();
