import { accept, quote, refuse, type Checked } from "./checked.ts";
import { readAuthority, checkAuthority } from "./authority.ts";
import { memberOf, type Json } from "./json.ts";
import { keyToJson, shortId, type PublicKey } from "./keys.ts";
import {
  checkExpiry,
  checkSignatures,
  encodeMetadata,
  parseMetadata,
  roleNames,
  type Authority,
  type Document,
  type RoleName,
} from "./metadata.ts";
import { isName } from "./names.ts";
import { lifeMembers, lifetimesMs } from "./life.ts";

/** The roles that root metadata gives keys to. `assignment` is ours and stands in an unrecognised field. */
export type Authorised = (typeof authorised)[number];
export const authorised = [...roleNames, "assignment"] as const;

export const orgField = "x-falconry-org";
export const assignmentField = "x-falconry-assignment";

/** What a root says, with its parts read and bounded. */
export interface RootView {
  readonly document: Document<"root">;
  readonly version: number;
  /** Absent from roots that are not ours. */
  readonly org: string | undefined;
  readonly roles: Readonly<Record<Exclude<Authorised, "assignment">, Authority>>;
  readonly assignment?: Authority;
}

/** What a new root is to say. Thresholds of the online roles are 1: the server holds one key for each. */
export interface RootSpec {
  readonly org: string;
  readonly version: number;
  readonly keys: Readonly<Record<Authorised, readonly PublicKey[]>>;
  readonly thresholds: { readonly root: number; readonly targets: number };
  readonly now: Date;
  /** 365 days when absent. */
  readonly lifetimeMs?: number;
}

/** Unsigned root metadata; sign it with {@link signMetadata}. */
export function newRoot(spec: RootSpec): Checked<Uint8Array> {
  const { keys, thresholds } = spec;
  if (!isName(spec.org)) {
    return refuse("trust/invalid-name", `org ${quote(spec.org)} is not a name such as "default"`);
  }
  const threshold = {
    root: thresholds.root,
    targets: thresholds.targets,
    snapshot: 1,
    timestamp: 1,
    assignment: 1,
  };
  const held: Record<string, Json> = {};
  const roles: Record<string, Json> = {};
  for (const role of authorised) {
    const ids = [...new Set(keys[role].map((key) => key.keyId))];
    const wanted = threshold[role];
    if (!Number.isSafeInteger(wanted) || wanted < 1 || wanted > ids.length) {
      return refuse(
        "trust/threshold-not-met",
        `root ${spec.version}: role ${role} has ${ids.length} keys; a threshold of ${wanted} can never be met`,
      );
    }
    for (const key of keys[role]) held[key.keyId] = keyToJson(key);
    roles[role] = { keyids: ids, threshold: wanted };
  }
  const { assignment = null, ...topLevel } = roles;
  return accept(
    encodeMetadata({
      _type: "root",
      spec_version: "1.0.31",
      consistent_snapshot: true,
      version: spec.version,
      ...lifeMembers(spec.now, spec.lifetimeMs ?? lifetimesMs.root),
      keys: held,
      roles: topLevel,
      [assignmentField]: assignment,
      [orgField]: spec.org,
    }),
  );
}

/** The keys and thresholds of a root, to make the next one from with a few changes. */
export function rootSpecOf(view: RootView, now: Date): RootSpec {
  const keysOf = (authority: Authority | undefined): readonly PublicKey[] => [
    ...(authority?.keys.values() ?? []),
  ];
  const { root, targets, snapshot, timestamp } = view.roles;
  return {
    org: view.org ?? "default",
    version: view.version + 1,
    keys: {
      root: keysOf(root),
      targets: keysOf(targets),
      snapshot: keysOf(snapshot),
      timestamp: keysOf(timestamp),
      assignment: keysOf(view.assignment),
    },
    thresholds: { root: root.threshold, targets: targets.threshold },
    now,
  };
}

/** Reads root metadata. Signatures are not checked: that takes the root before it. */
export function readRoot(bytes: Uint8Array): Checked<RootView> {
  const document = parseMetadata("root", bytes);
  if (!document.ok) return document;
  const { signed, version } = document.value;
  const read = (role: Authorised, json: Json | undefined) =>
    readAuthority(signed["keys"], role, json, `root ${version}`);
  const topLevel = (role: RoleName) => read(role, memberOf(signed["roles"], role));
  const root = topLevel("root");
  if (!root.ok) return root;
  const targets = topLevel("targets");
  if (!targets.ok) return targets;
  const snapshot = topLevel("snapshot");
  if (!snapshot.ok) return snapshot;
  const timestamp = topLevel("timestamp");
  if (!timestamp.ok) return timestamp;
  const roles = {
    root: root.value,
    targets: targets.value,
    snapshot: snapshot.value,
    timestamp: timestamp.value,
  };
  const org = signed[orgField];
  if (org !== undefined && !isName(org)) {
    return refuse("trust/malformed", `root ${version}: ${orgField} is not a name`);
  }
  const view = { document: document.value, version, roles, org };
  if (signed[assignmentField] === undefined) return accept(view);
  const assignment = read("assignment", signed[assignmentField]);
  return assignment.ok ? accept({ ...view, assignment: assignment.value }) : assignment;
}

/**
 * The TUF rule for the next root: the next version, signed by the thresholds of both the trusted root and itself, and
 * for the same organisation. Expiry is left to the caller: only the last root of a chain must be fresh.
 */
export function followRoot(trusted: RootView, next: RootView): Checked<RootView> {
  if (next.version !== trusted.version + 1) {
    const code = next.version <= trusted.version ? "trust/rollback" : "trust/version-mismatch";
    return refuse(
      code,
      `root ${next.version} does not follow root ${trusted.version}; expected ${trusted.version + 1}`,
    );
  }
  if (trusted.org !== next.org) {
    return refuse(
      "trust/wrong-org",
      `root ${next.version} is for org ${quote(next.org ?? "")}, root ${trusted.version} for ${quote(trusted.org ?? "")}`,
    );
  }
  const byOld = checkSignatures(next.document, trusted.roles.root);
  if (!byOld.ok) return byOld;
  const byNew = checkSignatures(next.document, next.roles.root);
  return byNew.ok ? accept(next) : byNew;
}

/** The public keys that a server signs with; root metadata has to name them. */
export type OnlineKeys = Readonly<Record<"snapshot" | "timestamp" | "assignment", PublicKey>>;

/**
 * What a server demands before it publishes a root: what agents will demand, and besides that its own online keys, the
 * organisation, right key ids, keys that can be used and thresholds that can be met. The same bytes again are accepted.
 */
export function checkNextRoot(
  current: Uint8Array | undefined,
  next: Uint8Array,
  onlineKeys: OnlineKeys,
  now: Date,
): Checked<RootView> {
  const view = readRoot(next);
  if (!view.ok) return view;
  const fit = checkRootFits(view.value, onlineKeys);
  if (!fit.ok) return fit;
  const fresh = checkExpiry(view.value.document, now);
  if (!fresh.ok) return fresh;
  if (current === undefined) {
    const signed = checkSignatures(view.value.document, view.value.roles.root);
    return signed.ok ? view : signed;
  }
  if (Buffer.from(next).equals(current)) return view;
  const trusted = readRoot(current);
  return trusted.ok ? followRoot(trusted.value, view.value) : trusted;
}

function checkRootFits(view: RootView, onlineKeys: OnlineKeys): Checked<RootView> {
  const { version, org, assignment } = view;
  if (org === undefined) {
    return refuse("trust/wrong-org", `root ${version} names no organisation (${orgField})`);
  }
  if (assignment === undefined) {
    return refuse("trust/wrong-online-key", `root ${version} has no assignment role (${assignmentField})`);
  }
  const all = { ...view.roles, assignment };
  for (const role of authorised) {
    const fit = checkAuthority(role, all[role]);
    if (!fit.ok) return fit;
  }
  for (const role of ["snapshot", "timestamp", "assignment"] as const) {
    const { keys, threshold } = all[role];
    const own = onlineKeys[role];
    if (threshold === 1 && keys.has(own.keyId)) continue;
    return refuse(
      "trust/wrong-online-key",
      `root ${version}: role ${role} must have threshold 1 and this server's key ${shortId(own.keyId)}; it has threshold ` +
        `${threshold} and keys ${[...keys.keys()].map(shortId).join(", ")}: make the root with the server's current keys`,
    );
  }
  return accept(view);
}
