import { X509Certificate as Certificate } from "node:crypto";

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
 * Reads the identity of an agent from its certificate, in DER or as TLS has parsed it. Who issued it is for
 * {@link checkAgentCertificate}, or for the TLS library that did the handshake.
 */
export function readAgentCertificate(certificate: Uint8Array | Certificate): Checked<AgentCertificate> {
  const parsed = certificate instanceof Certificate ? accept(certificate) : parse(certificate);
  return parsed.ok ? readAgent(parsed.value) : parsed;
}

function parse(certificate: Uint8Array): Checked<Certificate> {
  try {
    return accept(new Certificate(certificate));
  } catch (error) {
    return refuse("trust/malformed", `client certificate cannot be read: ${reasonOf(error)}`);
  }
}

/**
 * The text of names is unambiguous for what is taken here: the platform puts a value in quotes when it holds anything that could
 * be taken for the beginning of another name, and an identity holds no quotes.
 */
function readAgent(parsed: Certificate): Checked<AgentCertificate> {
  const names = parsed.subjectAltName ?? "";
  const [, uri] = /^URI:([^",]*)$/.exec(names) ?? [];
  if (uri === undefined) {
    return refuse(
      "trust/malformed",
      `client certificate has ${names === "" ? "no names" : `the names ${quote(names)}`}; expected one SPIFFE URI`,
    );
  }
  const identity = parseSpiffeId(uri);
  if (!identity.ok) return identity;
  return accept({
    identity: identity.value,
    notBefore: parsed.validFromDate,
    expires: parsed.validToDate,
  });
}

/** Accepts an agent's certificate when one of the CAs issued it for client authentication and it holds at `now`. */
export function checkAgentCertificate(
  certificate: Uint8Array,
  cas: readonly Uint8Array[],
  now: Date,
): Checked<AgentCertificate> {
  const opened = parse(certificate);
  if (!opened.ok) return opened;
  const parsed = opened.value;
  const read = readAgent(parsed);
  if (!read.ok) return read;
  const what = `certificate of agent ${read.value.identity.agentId}`;
  if (!cas.some((ca) => isIssuedBy(parsed, new Certificate(ca)))) {
    const known = cas.map(spkiPin).join(", ");
    return refuse("trust/bad-signature", `${what} was not issued by a CA of this fleet (${known})`);
  }
  if (!(parsed.keyUsage ?? []).includes("1.3.6.1.5.5.7.3.2")) {
    return refuse("trust/malformed", `${what} is not for client authentication`);
  }
  const valid = checkValidity(parsed, what, now);
  return valid.ok ? read : valid;
}

/** A CA that is read once, however many certificates are held against it. */
export interface ReadCa {
  readonly certificate: Certificate;
  readonly pin: string;
}

/** Reads CAs in DER. Throws where one is none: they are the fleet's own. */
export function readCas(cas: readonly Uint8Array[]): readonly ReadCa[] {
  return cas.map((ca) => ({ certificate: new Certificate(ca), pin: spkiPin(ca) }));
}

/** The pin of the CA among these that issued a certificate; undefined when none of them did. */
export function issuerPin(certificate: Certificate, cas: readonly ReadCa[]): string | undefined {
  return cas.find((ca) => isIssuedBy(certificate, ca.certificate))?.pin;
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
    const issuer = ca && new Certificate(ca);
    if (issuer === undefined || !isIssuedBy(leaf, issuer)) {
      return refuse(
        "trust/wrong-pin",
        `server ${host} presents CA key ${pins.at(-1)}, the join string pins ${pin}: something stands between this agent ` +
          "and the server, or the join string is of another fleet",
      );
    }
    for (const [what, certificate] of [
      ["CA certificate", issuer] as const,
      ["server certificate", leaf] as const,
    ]) {
      const valid = checkValidity(certificate, what, now);
      if (!valid.ok) return valid;
    }
    const matches = addressKind(host) !== undefined ? leaf.checkIP(host) : leaf.checkHost(host);
    if (matches !== undefined) return accept({ ca: new Uint8Array(issuer.raw) });
    return refuse(
      "trust/wrong-host",
      `server certificate is for ${quote(leaf.subjectAltName ?? "")}, not for ${quote(host)}: use one of those names, or start the server with this one`,
    );
  } catch (error) {
    return refuse("trust/malformed", `certificates of server ${host} cannot be read: ${reasonOf(error)}`);
  }
}

function isIssuedBy(certificate: Certificate, ca: Certificate): boolean {
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
