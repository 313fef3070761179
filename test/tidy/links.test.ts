import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { readText, repositoryFiles, root } from "./files.ts";

const pages = repositoryFiles().filter((file) => file.endsWith(".md"));

/** Targets of links and pictures that stay in the repository. */
function localLinks(page: string): readonly string[] {
  const prose = readText(page)
    .replace(/^```.*?^```/gms, "")
    .replace(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(<?([^)\s>]+)/g)]
    .map(([, target]) => target ?? "")
    .filter((target) => !/^[a-z]+:|^\/\//i.test(target));
}

/** The anchors a page offers: its headings, written as the usual hosts write them. */
function anchors(page: string): readonly string[] {
  return [...readText(page).matchAll(/^#+ +(.+)$/gm)].map(([, heading]) =>
    (heading ?? "")
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("every link in the documentation leads somewhere", () => {
  assert.ok(pages.length > 0, "the rule must not pass because it saw nothing");
  const broken = pages.flatMap((page) =>
    localLinks(page).flatMap((target) => {
      const [path = "", anchor] = target.split("#", 2);
      const file = path === "" ? page : join(dirname(page), decodeURIComponent(path));
      if (!existsSync(join(root, file))) return [`${page}: ${target}`];
      const isMissing = anchor !== undefined && file.endsWith(".md") && !anchors(file).includes(anchor);
      return isMissing ? [`${page}: ${target} (no such heading)`] : [];
    }),
  );
  assert.deepEqual(broken, []);
});
