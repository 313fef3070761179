import { useState } from "react";
import { isSparse, lookFurther, type Pages, type Reading } from "../api/paging.ts";
import { searchedText } from "../view/find.ts";
import { msOf, utcText } from "../view/time.ts";

/**
 * Says how far back was looked, where words are looked for or little was found, and looks further when it is told to: what is
 * rare would otherwise have page after page read.
 */
export function Searched<Page, T>({
  rows,
  pages,
  reading,
}: {
  /** What the rows are called. */
  readonly rows: string;
  readonly pages: Pages<Page>;
  readonly reading: Reading<Page, T>;
}) {
  const { data, hasNextPage } = pages;
  const [isLooking, setLooking] = useState(false);
  if (data === undefined || !hasNextPage || !isSparse(pages, reading)) return undefined;
  const read = data.pages.flatMap(reading.rowsOf);
  const shown = read.filter(reading.isFound).length;
  const last = data.pages.at(-1);
  const backMs = last === undefined ? undefined : msOf(reading.backTo?.(last));
  const backTo = backMs === undefined ? "" : utcText(backMs);
  return (
    <p className="empty">
      {searchedText(reading.words, { count: read.length, shown, rows, backTo })}{" "}
      <button
        type="button"
        className="button small"
        // Not disabled, which would take the focus away from who goes by keys.
        aria-disabled={isLooking}
        onClick={() => {
          if (isLooking) return;
          setLooking(true);
          void lookFurther(pages, reading).finally(() => setLooking(false));
        }}
      >
        Look further back
      </button>
    </p>
  );
}
