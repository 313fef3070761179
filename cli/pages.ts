import { refused, type Failure } from "./failure.ts";

/** Pages asked for at most; with the largest pages far above any fleet. */
const pagesMax = 1000;

/** Follows page tokens to the end. Throws when a server sends the same token twice, which would never end. */
export async function* pages<P extends { readonly nextPageToken: string }>(
  get: (pageToken: string) => Promise<P>,
): AsyncGenerator<P> {
  let token = "";
  for (let count = 0; count < pagesMax; count++) {
    const page = await get(token);
    yield page;
    if (page.nextPageToken === "") return;
    if (page.nextPageToken === token) break;
    token = page.nextPageToken;
  }
  throw endless();
}

export function endless(): Failure {
  return refused("The server's list does not end", "Ask for less: narrow it with -l or a limit.");
}
