import { once } from "node:events";
import { connect } from "node:http2";

import type { Said, StoredIdentity } from "./protocol.ts";

type BareIdentity = Pick<StoredIdentity, "ca" | "cert" | "key" | "localAddress">;

/** Opens a stream per identity by mTLS, and sends back whatever comes on it. Answers when all are open. */
export async function startBareStreams(
  identities: readonly BareIdentity[],
  baseUrl: string,
  atOnce: number,
): Promise<Said> {
  const startedAt = performance.now();
  let next = 0;
  const opener = async () => {
    for (;;) {
      const identity = identities[next];
      next += 1;
      if (identity === undefined) return;
      await openOne(identity, baseUrl);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, opener));
  return { connectMs: performance.now() - startedAt };
}

async function openOne(identity: BareIdentity, baseUrl: string): Promise<void> {
  const { ca, cert, key, localAddress } = identity;
  const options = { ca, cert, key, localAddress };
  const session = connect(baseUrl, options);
  session.on("error", () => undefined); // The other side ends first; what broke before is missing in its count.
  const stream = session.request({ ":method": "POST", ":path": "/" });
  stream.on("error", () => undefined);
  await once(stream, "response");
  stream.on("data", (bytes: Buffer) => stream.write(bytes));
}
