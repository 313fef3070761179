/** An answer of a program beside the agent. */
export interface Fetched {
  readonly status: number;
  readonly body: string;
}

const answerMs = 5_000;
const bodyBytesMax = 8 * 1024 * 1024;

/** Asks a program beside the agent. Rejects when it does not answer in time, or says more than anybody reads. */
export async function fetchBounded(
  url: string,
  init: { readonly method?: string; readonly body?: string } = {},
): Promise<Fetched> {
  const headers = init.body === undefined ? {} : { "content-type": "application/json" };
  const signal = AbortSignal.timeout(answerMs);
  const response = await fetch(url, { ...init, headers, signal, redirect: "error" });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new Error(`${url} answers with more than ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return { status: response.status, body: Buffer.concat(chunks).toString() };
}

/** Why a question was not answered, in words. */
export function whyNot(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== "" ? cause.message : message;
}
