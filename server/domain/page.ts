import { accept, invalid, type Outcome } from "./refusal.ts";

export const pageSizeMax = 1_000;
const pageSizeDefault = 100;

/** 0 means the default; more than allowed means the most allowed. */
export function pageSize(asked: number): number {
  return asked === 0 ? pageSizeDefault : Math.min(asked, pageSizeMax);
}

/**
 * A page token is where the page before ended: the last name, marked so that other text is refused. It is not
 * secret and grants nothing.
 */
export function pageToken(last: string): string {
  return `after:${last}`;
}

/** The name after which the page begins; empty for the first page. */
export function parsePageToken(token: string): Outcome<string> {
  if (token === "") return accept("");
  if (token.startsWith("after:") && token.length <= 200) return accept(token.slice("after:".length));
  return invalid("page_token", "was not made by this server: leave it empty to begin at the first page");
}
