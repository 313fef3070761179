import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import type { DetailedPeerCertificate } from "node:tls";
import { spkiPin } from "#trust";
import { AgentError } from "../agent-error.ts";

const handshakeMs = 10_000;

/**
 * Fetches the CA of a server whose key has a pinned hash, as PEM. This one handshake accepts any certificate and sends
 * nothing; all later connections verify the server against the CA it returns.
 *
 * @param wanted "sha256:" and hex over a CA's public key (SPKI, DER), from the join string; two while the CA is replaced
 * @param next what to do when the server has a new CA, as the end of a sentence
 */
export async function fetchPinnedCa(
  host: string,
  port: number,
  wanted: readonly string[],
  next: string,
): Promise<string> {
  const chain = await fetchChain(host, port);
  const pins = chain.map((der) => spkiPin(der));
  const found = chain[pins.findIndex((pin) => wanted.includes(pin))];
  if (found !== undefined) return new X509Certificate(found).toString();
  const subject =
    chain[0] === undefined ? "no certificate" : new X509Certificate(chain[0]).subject.replaceAll("\n", ", ");
  throw new AgentError(
    "enroll/wrong-pin",
    `The server at ${host}:${port} is not the one of the join string: expected a CA with pin ${wanted.join(" or ")}, ` +
      `but its chain (${subject}) has ${pins.join(", ") || "none"}. ` +
      "Either something between here and the server answers in its place (a TLS-inspecting proxy, a wrong address), " +
      `or the server has a new CA: then ${next}`,
  );
}

function fetchChain(host: string, port: number): Promise<readonly Buffer[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2", "http/1.1"],
      timeout: handshakeMs,
      ...(isIp(host) ? {} : { servername: host }),
    });
    const fail = (why: string) => {
      socket.destroy();
      reject(
        new AgentError(
          "enroll/server-away",
          `Cannot reach the server at ${host}:${port}: ${why}. Check the address in the join string and the way there`,
        ),
      );
    };
    socket.once("error", (error: NodeJS.ErrnoException) => fail(wordsOf(error)));
    socket.once("timeout", () => fail(`no TLS handshake within ${handshakeMs / 1000} s`));
    socket.once("secureConnect", () => {
      const chain: Buffer[] = [];
      let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      // The root's issuer is itself; eight is more than any sane chain.
      while (certificate?.raw !== undefined && chain.length < 8) {
        chain.push(certificate.raw);
        certificate =
          certificate.issuerCertificate === certificate ? undefined : certificate.issuerCertificate;
      }
      socket.end();
      resolve(chain);
    });
  });
}

/** OpenSSL's own words are of no use to an operator. */
function wordsOf(error: NodeJS.ErrnoException): string {
  const isTls = error.code === "EPROTO" || error.code?.startsWith("ERR_SSL") === true;
  return isTls ? `what answers there does not speak TLS (${error.code})` : error.message;
}

function isIp(host: string): boolean {
  return /^[0-9.]+$/.test(host) || host.includes(":");
}
