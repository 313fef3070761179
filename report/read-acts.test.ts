import assert from "node:assert/strict";
import { test } from "node:test";

import { readActs } from "./read-acts.ts";

const oneAlert = {
  cluster: "",
  rule: "",
  priority: "",
  timeMs: 0,
  auditId: "",
  id: "",
  output: "",
  body: "",
};

test("a report stops at so many alerts, characters or pages, wherever it is made, and says whether more follow and how many were not stored", async () => {
  const read = async (pages: number, body: string, more: { alertsMax?: number; pagesMax?: number }) => {
    const asked: (number | undefined)[] = [];
    const { alerts, acts, isCut, notStored } = await readActs<number>(
      (place) => {
        asked.push(place);
        const items = [0, 1].map((i) => ({ ...oneAlert, id: `${asked.length} ${i}`, body }));
        const next = asked.length < pages ? asked.length : undefined;
        return Promise.resolve({ alerts: items, next, notStored: place === undefined ? 7 : 0 });
      },
      { alertsMax: 100, charsMax: 100, pagesMax: 50, ...more },
    );
    assert.equal(notStored, 7);
    assert.deepEqual(asked, [undefined, ...Array.from({ length: asked.length - 1 }, (_, i) => i + 1)]);
    return [asked.length, alerts, acts.length, isCut];
  };
  assert.deepEqual(await read(3, "{}", {}), [3, 6, 6, false]);
  assert.deepEqual(await read(3, "{}", { alertsMax: 4 }), [2, 4, 4, true]);
  assert.deepEqual(await read(2, "{}", { alertsMax: 4 }), [2, 4, 4, false]);
  assert.deepEqual(await read(9, "x".repeat(30), {}), [2, 4, 4, true], "large alerts are fewer");
  assert.deepEqual(await read(9, "{}", { pagesMax: 3 }), [3, 6, 6, true]);
});
