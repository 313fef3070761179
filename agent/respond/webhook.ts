import type { AllowList } from "#shipper";

const callMs = 10_000;

/** Sends webhooks to what the allow-list names as a destination, over TLS, and follows nobody elsewhere. */
export function openWebhook({ destinations }: Pick<AllowList, "destinations">) {
  return async (to: string, body: object): Promise<void> => {
    const url = new URL(to);
    const port = url.port === "" ? 443 : Number(url.port);
    if (url.protocol !== "https:") throw new Error(`${url.origin} is no place for a webhook: it has no TLS`);
    if (!destinations.some((each) => each.host === url.hostname && each.port === port)) {
      throw new Error(`the agent's allow-list has no destination ${url.hostname}:${port}`);
    }
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      redirect: "error",
      signal: AbortSignal.timeout(callMs),
    });
    // What it says is of no interest, and may be long.
    await response.body?.cancel();
    if (!response.ok) throw new Error(`${url.hostname}:${port} answers ${response.status}`);
  };
}
