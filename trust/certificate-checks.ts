import "reflect-metadata";
import { X509Certificate as Certificate } from "node:crypto";

import * as x509 from "@peculiar/x509";

import { spkiPin } from "./certificates.ts";
import { addressKind } from "./address.ts";
import { accept, quote, reasonOf, refuse, type Checked } from "./checked.ts";
import { parseSpiffeId, type AgentIdentity } from "./identity.ts";

/** What a server reads from an agent's certificate. */
export interface AgentCertificate {
  readonly identity: AgentIdentity;
  readonly notBefore: Date;
  readonly expires: Date;
}

const chainMax = 4;

/**
 * Reads the identity of an agent from its certificate. Who issued it is for {@link checkAgentCertificate}, or for the
 * TLS library that did the handshake.
 */
export function readAgentCertificate(certificate: Uint8Array): Checked<AgentCertificate> {
  try {
    const parsed = new x509.X509Certificate(Buffer.from(certificate));
    const names = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
    const [only] = names;
    if (names.length !== 1 || only?.type !== "url") {
      return refuse(
        "trust/malformed",
        `client certificate has ${names.length} names; expected one SPIFFE URI`,
      );
    }
    const identity = parseSpiffeId(only.value);
    if (!identity.ok) return identity;
    return accept({ identity: identity.value, notBefore: parsed.notBefore, expires: parsed.notAfter });
  } catch (error) {
    return refuse("trust/malformed", `client certificate cannot be read: ${reasonOf(error)}`);
  }
}

/** Accepts an agent's certificate when one of the CAs issued it for client authentication and it holds at `now`. */
export function checkAgentCertificate(
  certificate: Uint8Array,
  cas: readonly Uint8Array[],
  now: Date,
): Checked<AgentCertificate> {
  const read = readAgentCertificate(certificate);
  if (!read.ok) return read;
  const parsed = new Certificate(certificate);
  const what = `certificate of agent ${read.value.identity.agentId}`;
  if (!cas.some((ca) => isIssuedBy(parsed, ca))) {
    const known = cas.map(spkiPin).join(", ");
    return refuse("trust/bad-signature", `${what} was not issued by a CA of this fleet (${known})`);
  }
  if (!(parsed.keyUsage ?? []).includes("1.3.6.1.5.5.7.3.2")) {
    return refuse("trust/malformed", `${what} is not for client authentication`);
  }
  const valid = checkValidity(parsed, what, now);
  return valid.ok ? read : valid;
}

/** The pin of the CA among these that issued a certificate; undefined when none of them did. */
export function issuerPin(certificate: Uint8Array, cas: readonly Uint8Array[]): string | undefined {
  const parsed = new Certificate(certificate);
  const issuer = cas.find((ca) => isIssuedBy(parsed, ca));
  return issuer === undefined ? undefined : spkiPin(issuer);
}

/** What an agent knows before it has ever spoken with its server. */
export interface PinnedServer {
  /** As the peer sent it, its own certificate first. DER. */
  readonly chain: readonly Uint8Array[];
  /** Of the CA's public key, from the join string. */
  readonly pin: string;
  readonly host: string;
  readonly now: Date;
}

/** Accepts a server whose certificate was issued, for this host and for now, by the CA with the pinned key. */
export function checkPinnedServer({ chain, pin, host, now }: PinnedServer): Checked<{ ca: Uint8Array }> {
  if (chain.length === 0 || chain.length > chainMax) {
    return refuse("trust/malformed", `server sent ${chain.length} certificates; expected 2 to ${chainMax}`);
  }
  try {
    const pins = chain.map(spkiPin);
    const ca = chain[pins.indexOf(pin)];
    const leaf = new Certificate(chain[0] ?? new Uint8Array());
    if (ca === undefined || !isIssuedBy(leaf, ca)) {
      return refuse(
        "trust/wrong-pin",
        `server ${host} presents CA key ${pins.at(-1)}, the join string pins ${pin}: something stands between this agent ` +
          "and the server, or the join string is of another fleet",
      );
    }
    for (const [what, certificate] of [
      ["CA certificate", new Certificate(ca)] as const,
      ["server certificate", leaf] as const,
    ]) {
      const valid = checkValidity(certificate, what, now);
      if (!valid.ok) return valid;
    }
    const matches = addressKind(host) !== undefined ? leaf.checkIP(host) : leaf.checkHost(host);
    if (matches !== undefined) return accept({ ca });
    return refuse(
      "trust/wrong-host",
      `server certificate is for ${quote(leaf.subjectAltName ?? "")}, not for ${quote(host)}: use one of those names, or start the server with this one`,
    );
  } catch (error) {
    return refuse("trust/malformed", `certificates of server ${host} cannot be read: ${reasonOf(error)}`);
  }
}

function isIssuedBy(certificate: Certificate, issuer: Uint8Array): boolean {
  const ca = new Certificate(issuer);
  return ca.ca && certificate.checkIssued(ca) && certificate.verify(ca.publicKey);
}

function checkValidity(certificate: Certificate, what: string, now: Date): Checked<Certificate> {
  if (now.getTime() >= certificate.validToDate.getTime()) {
    const end = certificate.validToDate.toISOString();
    return refuse("trust/expired", `${what} expired at ${end}, now is ${now.toISOString()}`);
  }
  if (now.getTime() < certificate.validFromDate.getTime()) {
    const begin = certificate.validFromDate.toISOString();
    return refuse(
      "trust/not-yet-valid",
      `${what} holds from ${begin}, now is ${now.toISOString()}: check the clock`,
    );
  }
  return accept(certificate);
}
