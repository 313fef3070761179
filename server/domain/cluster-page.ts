import { pageToken, parsePageToken } from "./page.ts";
import { accept, invalid, type Outcome } from "./refusal.ts";

/** How a list of clusters is sorted. Clusters that are equal in it stand in the order of their names. */
export type ClusterOrder = "name" | "newest" | "unheard";

/** Where a page ended: what the order compares, and the name. By name alone the first is always 0. */
export interface ClusterPlace {
  readonly key: bigint;
  readonly name: string;
}

/** The token of the page that begins after a place. It holds only in the order in which it was made. */
export function clusterPageToken(order: ClusterOrder, { key, name }: ClusterPlace): string {
  return pageToken(order === "name" ? name : `${order}:${key}:${name}`);
}

/** The place after which a page begins; undefined for the first page. */
export function parseClusterPageToken(order: ClusterOrder, token: string): Outcome<ClusterPlace | undefined> {
  const parsed = parsePageToken(token);
  if (!parsed.ok) return parsed;
  if (parsed.value === "") return accept(undefined);
  // No name has a colon, so a token of another order is never taken for one of this.
  const match = /^(?:(newest|unheard):(-?\d{1,18}):)?([^:]+)$/.exec(parsed.value);
  if (match === null || (match[1] ?? "name") !== order) {
    return invalid(
      "page_token",
      "belongs to a list in another order: leave it empty to begin at the first page",
    );
  }
  return accept({ key: BigInt(match[2] ?? 0), name: match[3] ?? "" });
}
