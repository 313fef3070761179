import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { certificateToPem, issueServerCertificate } from "#trust";

import type { ServerProcess } from "../../floods/server-process.ts";
import { rounded } from "../figures.ts";
import { startCrowd, startHelper } from "./crowd.ts";
import type { StoredIdentity } from "./protocol.ts";

const atOnce = 64;
const messageBytes = 512;

/** The same connections, by the same processes, to a server that only echoes: what Node and this machine can do at all. */
export async function measureBaseline(
  dir: string,
  server: ServerProcess,
  identities: readonly StoredIdentity[],
): Promise<object> {
  const { ca } = server.state;
  const issued = await issueServerCertificate({
    ca,
    names: ["localhost"],
    now: new Date(),
    lifetimeMs: 3_600_000,
  });
  const cert = [issued.certificate, ca.certificate].map(certificateToPem).join("\n");
  const file = join(dir, "bare.json");
  writeFileSync(file, JSON.stringify({ cert, key: issued.privateKey, ca: server.ca }), { mode: 0o600 });
  const bare = startHelper("bare-process", [file]);
  const crowd = startCrowd(dir, identities);
  try {
    const { port } = (await bare.ready) as { port: number };
    const baseUrl = `https://localhost:${port}`;
    const connected = await crowd.ask({ what: "bare", baseUrl, atOnce });
    const connectMs = Math.max(...connected.map((said) => said.connectMs ?? 0));
    await bare.ask({ bytes: messageBytes });
    const echo = await bare.ask<{ p99: number; last: number; cpuMsEach: number }>({ bytes: messageBytes });
    return {
      connectsPerSecond: Math.round((identities.length / connectMs) * 1e3),
      echoP99Ms: rounded(echo.p99, 1),
      echoLastMs: rounded(echo.last, 1),
      echoCpuMsEach: rounded(echo.cpuMsEach, 3),
    };
  } finally {
    await crowd.stop();
    await bare.stop();
  }
}
