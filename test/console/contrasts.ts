import assert from "node:assert/strict";
import type { Page } from "playwright-core";

import { hostile } from "./fleet.ts";
import { openPage, signIn } from "./browser.ts";
import type { Story } from "./story.ts";

export const contrasts: Story = async (at, browser) => {
  const { page, context } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("admin"));
  for (const path of ["/", `/rollouts/${at.rolloutId}`, "/clusters", "/alerts", "/reports?report=exec"]) {
    await page.goto(path);
    await page
      .getByText("starter@1.1.0")
      .or(page.getByText(hostile))
      .or(page.getByText("us-4"))
      .first()
      .waitFor();
    assert.deepEqual(await poorContrasts(page), [], path);
  }
  await context.close();
};

/** What of a page is hard to read, in either theme. */
export async function poorContrasts(page: Page): Promise<readonly string[]> {
  const found: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    const poor = await page.evaluate<readonly string[]>(search);
    found.push(...poor.map((text) => `${colorScheme}: ${text}`));
  }
  return found;
}

/** Runs in the page: texts whose contrast against what is behind them is below WCAG's AA. */
const search = `(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const groundOf = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a === 1 && r !== undefined) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!own || element.closest("noscript, svg, option") !== null) continue;
    const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(groundOf(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(element.className + " " + element.textContent.slice(0, 40) + " " + ratio.toFixed(2));
  }
  return [...new Set(found)];
})()`;
