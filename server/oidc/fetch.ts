const timeoutMs = 5_000;
const bytesMax = 512 * 1024;

/** Fetches a document of the provider, or sends it a form: no redirects, no more than a bound, and not for long. */
export async function fetchBounded(url: string, accept: string, form?: URLSearchParams): Promise<Response> {
  const signal = AbortSignal.timeout(timeoutMs);
  const sent = form === undefined ? {} : { method: "POST", body: form };
  const response = await fetch(url, { redirect: "error", signal, headers: { accept }, ...sent });
  const body = await readBounded(response, url);
  return new Response(Uint8Array.from(body), { status: response.status, headers: response.headers });
}

async function readBounded(response: Response, url: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > bytesMax) throw new Error(`The answer of ${url} is longer than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
