import { createHash } from "node:crypto";

import {
  Metadata,
  MetadataKind,
  type Root,
  type Snapshot,
  type Targets,
  type Timestamp,
} from "@tufjs/models";

import { accept, quote, reasonOf, refuse, type Checked, type Refused } from "./checked.ts";
import {
  canonicalJson,
  isList,
  isObject,
  isWholeNumber,
  memberOf,
  readJson,
  showJson,
  signedForm,
  type Json,
  type JsonObject,
} from "./json.ts";
import { isSignedBy, keyMaterial, shortId, type PublicKey, type Signer } from "./keys.ts";
import { parseTime } from "./time.ts";

interface Models {
  readonly root: Root;
  readonly targets: Targets;
  readonly snapshot: Snapshot;
  readonly timestamp: Timestamp;
}

export type RoleName = keyof Models;
export const roleNames = ["root", "targets", "snapshot", "timestamp"] as const satisfies readonly RoleName[];

type ModelJson = Parameters<typeof Metadata.fromJSON>[1];

const models: { readonly [R in RoleName]: (json: ModelJson) => Models[R] } = {
  root: (json) => Metadata.fromJSON(MetadataKind.Root, json).signed,
  targets: (json) => Metadata.fromJSON(MetadataKind.Targets, json).signed,
  snapshot: (json) => Metadata.fromJSON(MetadataKind.Snapshot, json).signed,
  timestamp: (json) => Metadata.fromJSON(MetadataKind.Timestamp, json).signed,
};

/** Metadata that could be read. Nothing is verified yet. */
export interface Document<R extends RoleName = RoleName> {
  readonly role: R;
  readonly version: number;
  readonly expires: Date;
  readonly bytes: Buffer;
  readonly model: Models[R];
  /** Exactly what is signed, as parsed: signatures are checked over this and not over what the model kept of it. */
  readonly signed: JsonObject;
  readonly signatures: ReadonlyMap<string, string>;
}

/** Who may sign something: which keys, how many of them, and what says so. */
export interface Authority {
  readonly keys: ReadonlyMap<string, PublicKey>;
  readonly threshold: number;
  /** For messages: "root 3". */
  readonly from: string;
}

export const metadataBytesMax = 1024 * 1024;
const depthMax = 12;
const signaturesMax = 64;
const signaturePattern = /^[0-9a-f]{2,1024}$/;

/** Reads metadata of one role: bounded, of the right type, with a version, an expiry and distinct signatures. */
export function parseMetadata<R extends RoleName>(role: R, bytes: Uint8Array): Checked<Document<R>> {
  const what = `${role} metadata`;
  const json = readJson(bytes, { what, bytesMax: metadataBytesMax, depthMax });
  if (!json.ok) return json;
  const outer = json.value;
  const signed = memberOf(outer, "signed");
  if (!isObject(signed)) return refuse("trust/malformed", `${what} has no "signed" object`);
  if (signed["_type"] !== role) {
    return refuse("trust/malformed", `${what} expected, but its _type is ${showJson(signed["_type"])}`);
  }
  const { version } = signed;
  if (!isWholeNumber(version, 1)) {
    return refuse(
      "trust/malformed",
      `${what} has version ${showJson(version)}; expected a whole number from 1`,
    );
  }
  const expires = parseTime(signed["expires"]);
  if (expires === undefined) {
    const seen = showJson(signed["expires"]);
    return refuse(
      "trust/malformed",
      `${what} ${version} expires ${seen}; expected a form such as 2030-01-31T00:00:00Z`,
    );
  }
  const signatures = readSignatures(memberOf(outer, "signatures"), `${what} ${version}`);
  if (!signatures.ok) return signatures;
  try {
    signedForm(signed);
    const model = models[role](outer as ModelJson);
    return accept({
      role,
      version,
      expires,
      bytes: Buffer.from(bytes),
      model,
      signed,
      signatures: signatures.value,
    });
  } catch (error) {
    return refuse(
      "trust/malformed",
      `${what} ${version} does not follow the TUF specification: ${reasonOf(error)}`,
    );
  }
}

function readSignatures(json: Json | undefined, what: string): Checked<ReadonlyMap<string, string>> {
  if (!isList(json)) return refuse("trust/malformed", `${what} has no list of signatures`);
  if (json.length > signaturesMax) {
    return refuse(
      "trust/too-large",
      `${what} has ${json.length} signatures; at most ${signaturesMax} are accepted`,
    );
  }
  const signatures = new Map<string, string>();
  for (const item of json) {
    const keyid = memberOf(item, "keyid");
    const sig = memberOf(item, "sig");
    if (typeof keyid !== "string" || typeof sig !== "string") {
      return refuse("trust/malformed", `${what} has a signature without keyid and sig`);
    }
    if (signatures.has(keyid)) {
      return refuse(
        "trust/malformed",
        `${what} is signed twice by key ${quote(shortId(keyid))}; one key counts once`,
      );
    }
    signatures.set(keyid, sig);
  }
  return accept(signatures);
}

/** Who of an authority's keys signed a document, by key id. */
export interface Gathered {
  /** Each another key: two ids of one key count once. */
  readonly signed: readonly string[];
  readonly missing: readonly string[];
  /** Signatures under a known key's id that are not the key's. */
  readonly invalid: readonly string[];
  /** Ids that signed and that the authority does not name. */
  readonly unknown: readonly string[];
}

/** Checks each signature of a document against the keys of an authority. */
export function gatherSignatures(document: Document, authority: Authority): Gathered {
  const data = Buffer.from(signedForm(document.signed));
  const valid = new Map<string, string>();
  const invalid: string[] = [];
  const unknown: string[] = [];
  for (const [keyId, sig] of document.signatures) {
    const key = authority.keys.get(keyId);
    if (key === undefined) unknown.push(keyId);
    else if (signaturePattern.test(sig) && isSignedBy(key, data, Buffer.from(sig, "hex"))) {
      valid.set(keyMaterial(key), keyId);
    } else invalid.push(keyId);
  }
  const missing = [...authority.keys].filter(([, key]) => !valid.has(keyMaterial(key))).map(([id]) => id);
  return { signed: [...valid.values()], missing, invalid, unknown };
}

/** Demands the authority's threshold of valid signatures. */
export function checkSignatures<D extends Document>(document: D, authority: Authority): Checked<D> {
  const gathered = gatherSignatures(document, authority);
  if (gathered.signed.length >= authority.threshold) return accept(document);
  return underSigned(document, authority, gathered);
}

function underSigned(document: Document, authority: Authority, seen: Gathered): Refused {
  const wanted = [...authority.keys.keys()].map(shortId).join(", ");
  const details = [
    seen.signed.length > 0 ? `still to sign: ${seen.missing.map(shortId).join(", ")}` : "",
    seen.invalid.length > 0 ? `not valid: ${seen.invalid.map(shortId).join(", ")}` : "",
    seen.unknown.length > 0 ? `unknown keys: ${seen.unknown.map((id) => quote(shortId(id))).join(", ")}` : "",
  ].filter((part) => part !== "");
  const onlyStrangers = seen.unknown.length > 0 && seen.signed.length === 0 && seen.invalid.length === 0;
  return refuse(
    onlyStrangers ? "trust/unknown-key" : "trust/threshold-not-met",
    `${document.role} ${document.version} carries ${seen.signed.length} of the ${authority.threshold} valid signatures that ` +
      `${authority.from} demands from keys ${wanted}${details.length > 0 ? ` (${details.join("; ")})` : ""}`,
  );
}

/** Refuses when `now` is at or after the metadata's expiry. */
export function checkExpiry<D extends Document>(document: D, now: Date): Checked<D> {
  if (now.getTime() < document.expires.getTime()) return accept(document);
  return refuse(
    "trust/expired",
    `${document.role} ${document.version} expired at ${document.expires.toISOString()}, now is ${now.toISOString()}: ` +
      `publish ${document.role} ${document.version + 1}, or mend this clock`,
  );
}

/**
 * Adds one signature per signer to metadata, beside those it has (that is how a second person co-signs); a signer that
 * signed before signs anew. The signed part is not touched.
 */
export async function signMetadata(
  bytes: Uint8Array,
  signers: readonly Signer[],
): Promise<Checked<Uint8Array>> {
  const role = metadataRole(bytes);
  if (!role.ok) return role;
  const document = parseMetadata(role.value, bytes);
  if (!document.ok) return document;
  const { signed } = document.value;
  const data = Buffer.from(signedForm(signed));
  const signatures = new Map(document.value.signatures);
  for (const signer of signers) {
    signatures.set(signer.publicKey.keyId, Buffer.from(await signer.sign(data)).toString("hex"));
  }
  return accept(encodeMetadata(signed, signatures));
}

/** Which role the metadata claims to be of. */
export function metadataRole(bytes: Uint8Array): Checked<RoleName> {
  const json = readJson(bytes, { what: "metadata", bytesMax: metadataBytesMax, depthMax });
  if (!json.ok) return json;
  const type = memberOf(memberOf(json.value, "signed"), "_type");
  const role = roleNames.find((known) => known === type);
  return role === undefined
    ? refuse("trust/malformed", `metadata has _type ${showJson(type)}`)
    : accept(role);
}

/** The bytes of metadata as they are published. */
export function encodeMetadata(
  signed: JsonObject,
  signatures: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const list = [...signatures].map(([keyid, sig]) => ({ keyid, sig }));
  return Buffer.from(canonicalJson({ signatures: list, signed }));
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
