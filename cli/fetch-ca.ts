import { connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { certificateToPem, checkPinnedServer, spkiPin } from "#trust";
import { exitCodes, Failure, refused } from "./failure.ts";

const timeoutMs = 10_000;
const chainMax = 8;

/**
 * Asks a server for its certificate chain and takes the CA with the pin out of it, provided that this CA issued the
 * server's certificate for this host. Throws otherwise; a wrong pin is named together with the one that was shown.
 */
export async function fetchCa(server: string, pin: string, now: Date): Promise<string> {
  const chain = await fetchChain(server);
  const checked = checkPinnedServer({ chain, pin, host: hostOf(server), now });
  if (checked.ok) return certificateToPem(checked.value.ca);
  if (checked.refusal.code !== "trust/wrong-pin") throw refused(`${server}: ${checked.refusal.message}`);
  throw refused(
    `The CA of ${server} does not have the pin ${pin}: the server shows ${chain.map(spkiPin).at(-1)}`,
    "Check the address. If the CA was replaced, ask an admin for the new pin on another channel: never copy it from this message.",
  );
}

function hostOf(server: string): string {
  return new URL(server).hostname.replace(/^\[|\]$/g, "");
}

function fetchChain(server: string): Promise<Uint8Array[]> {
  const host = hostOf(server);
  const { port } = new URL(server);
  const isAddress = /^[\d.]+$|:/.test(host);
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect(
      {
        host,
        port: port === "" ? 443 : Number(port),
        // Nothing is sent over this connection and nothing of it believed but the chain, which is checked by the pin.
        rejectUnauthorized: false,
        ALPNProtocols: ["h2"],
        minVersion: "TLSv1.3",
        ...(isAddress ? {} : { servername: host }),
      },
      () => {
        resolve(chainOf(socket.getPeerCertificate(true)));
        socket.destroy();
      },
    );
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no answer in 10 s")));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      reject(
        new Failure(exitCodes.away, `${server} cannot be reached (${error.code ?? error.message})`, [
          "Check that the server runs and that the address is right.",
        ]),
      ),
    );
  });
}

function chainOf(leaf: PeerCertificate): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let at: PeerCertificate | undefined = leaf;
  while (at?.raw !== undefined && chain.length < chainMax) {
    chain.push(at.raw);
    const issuer: PeerCertificate | undefined =
      "issuerCertificate" in at ? (at.issuerCertificate as PeerCertificate) : undefined;
    // A self-signed certificate is its own issuer.
    at = issuer?.fingerprint256 === at.fingerprint256 ? undefined : issuer;
  }
  return chain;
}
