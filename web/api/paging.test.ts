import assert from "node:assert/strict";
import { test } from "node:test";
import { holdsAll, searchedText, wordsOf } from "../view/find.ts";
import { lookFurther, readOnUnlessSparse, type Pages } from "./paging.ts";

interface Page {
  readonly rows: readonly string[];
}

const page = (count: number): Page => ({ rows: Array<string>(count).fill("Exec into pod by alice") });
const rowsOf = ({ rows }: Page) => rows;
const readingOf = (text = "") => {
  const words = wordsOf(text);
  return { words, rowsOf, isFound: (row: string) => holdsAll([row], words) };
};

/** A list whose server has these pages, of which some were read. */
function listOf(served: readonly Page[], read: number) {
  let count = read;
  const state = () => ({ data: { pages: served.slice(0, count) }, hasNextPage: count < served.length });
  const pages: Pages<Page> = {
    ...state(),
    isFetching: false,
    fetchNextPage: () => {
      count += 1;
      return Promise.resolve(state());
    },
  };
  return { pages, calls: () => count - read };
}

test("a list with a rare match is not read to its end by itself, and one whose pages are full reads on", () => {
  const isReadOn = (last: Page, text?: string) =>
    readOnUnlessSparse(listOf([page(200), last, page(1)], 2).pages, readingOf(text)).onNearEnd !== undefined;
  assert.equal(isReadOn(page(200)), true);
  assert.equal(isReadOn(page(3)), false, "its end is near at once");
  assert.equal(isReadOn(page(0)), false);
  assert.equal(isReadOn(page(200), "alice"), false, "no page after page for a rare word");
});

test("who asks to look further gets about a window of matches, or so many calls and no more", async () => {
  const rare = listOf(Array<Page>(1_000).fill(page(0)), 1);
  await lookFurther(rare.pages, readingOf());
  assert.equal(rare.calls(), 10, "of a thousand pages without a match");
  const full = listOf(Array<Page>(1_000).fill(page(200)), 1);
  await lookFurther(full.pages, readingOf());
  assert.equal(full.calls(), 1);
  const unmatched = listOf(Array<Page>(1_000).fill(page(200)), 1);
  await lookFurther(unmatched.pages, readingOf("bob"));
  assert.equal(unmatched.calls(), 10, "rows without the words are no matches");
  const short = listOf([page(0), page(0), page(1)], 1);
  await lookFurther(short.pages, readingOf());
  assert.equal(short.calls(), 2);
});

test("looking further ends when a call brings nothing, and when the list is another one meanwhile", async () => {
  let calls = 0;
  const after = async (next: Awaited<ReturnType<Pages<Page>["fetchNextPage"]>>) => {
    calls = 0;
    const pages = { data: { pages: [page(0)] }, hasNextPage: true, isFetching: false };
    const fetchNextPage = () => {
      calls += 1;
      return Promise.resolve(next);
    };
    await lookFurther({ ...pages, fetchNextPage }, readingOf());
    return calls;
  };
  assert.equal(await after({ data: undefined, hasNextPage: true }), 1);
  assert.equal(await after({ data: { pages: [page(0)] }, hasNextPage: true }), 1);
  assert.equal(
    await after({ data: { pages: [page(0), page(0)] }, hasNextPage: true }),
    1,
    "another first page",
  );
});

test("a list says how far back it looked, and that older rows were not looked at", () => {
  const looked = { count: 200, shown: 3, rows: "alerts", backTo: "2026-11-29 10:00:00Z" };
  assert.match(
    searchedText(["exec"], looked),
    /in the newest 200 alerts only, back to 2026-11-29 10:00:00Z\.$/,
  );
  assert.equal(
    searchedText([], looked),
    "Looked back to 2026-11-29 10:00:00Z. Older alerts were not looked at yet.",
  );
  assert.match(searchedText([], { ...looked, shown: 0 }), /^None of the alerts back to 2026-11-29/);
  const unknown = { ...looked, count: 0, shown: 0, backTo: "" };
  assert.equal(searchedText([], unknown), "None of the alerts that were looked at matches.");
});
