import { accept, refuse, type Outcome, type Problem } from "../refusal.ts";

export type ReceiverKind = "alertmanager" | "slack" | "pagerduty" | "webhook" | "smtp";
export type Settings = Readonly<Record<string, string>>;

/** Where notifications and reports go. What is secret of it is elsewhere, see `Secrets`. */
export interface Receiver {
  readonly name: string;
  readonly kind: ReceiverKind;
  readonly settings: Settings;
  /** Most messages in a minute; more wait for their turn. */
  readonly perMinute: number;
}

/** What only servers know of a receiver, by name. */
export type Secrets = Readonly<Record<string, string>>;

type Check = (value: string) => string | undefined;

interface Part {
  readonly required?: true;
  readonly fallback?: string;
  readonly check: Check;
}

interface KindSpec {
  readonly settings: Readonly<Record<string, Part>>;
  readonly secrets: Readonly<Record<string, Part>>;
  /** Of these secrets exactly one has to be there. */
  readonly oneOf?: readonly string[];
}

const bytesMax = 8_192;
const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const perMinuteDefault = 20;
const perMinuteMax = 600;
const addressesMax = 20;

const url: Check = (value) =>
  /^https?:\/\/[^\s/@\\?#]+([/?][^\s#\\]*)?$/.test(value)
    ? undefined
    : "is no http or https URL without a user name";
const line: Check = (value) =>
  /^[\x20-\x7e]{1,512}$/.test(value) ? undefined : "is no line of 1 to 512 printable characters";
const host: Check = (value) =>
  /^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$/.test(value)
    ? undefined
    : "is no name or address of a host";
const port: Check = (value) =>
  /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535
    ? undefined
    : "is no port from 1 to 65535";
const address: Check = (value) =>
  /^[^\s@<>",;:()[\]\\]{1,64}@[A-Za-z0-9.-]{1,253}$/.test(value) ? undefined : "is no e-mail address";
const addresses: Check = (value) => {
  const all = addressesIn(value);
  if (all.length === 0 || all.length > addressesMax) {
    return `is no list of 1 to ${addressesMax} e-mail addresses`;
  }
  return all.map((each) => address(each)).find((why) => why !== undefined);
};
const key: Check = (value) =>
  value.length >= 16 && value.length <= 512 ? undefined : "has to have 16 to 512 characters";
const pem: Check = (value) =>
  /^\s*-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END PRIVATE KEY-----\s*$/.test(value)
    ? undefined
    : "is no private key in PEM (PKCS #8)";
const tlsModes = ["starttls", "implicit", "none"];
const tls: Check = (value) => (tlsModes.includes(value) ? undefined : `is none of ${tlsModes.join(", ")}`);

/** The addresses of a setting that holds several, with commas between them. */
export function addressesIn(value: string): readonly string[] {
  return value
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
}

const kinds: Readonly<Record<ReceiverKind, KindSpec>> = {
  alertmanager: {
    settings: { url: { required: true, check: url }, username: { check: line } },
    secrets: { token: { check: line }, password: { check: line } },
  },
  slack: {
    settings: { channel: { check: line } },
    secrets: { url: { required: true, check: url } },
  },
  pagerduty: {
    settings: { url: { fallback: "https://events.pagerduty.com/v2/enqueue", check: url } },
    secrets: { key: { required: true, check: line } },
  },
  webhook: {
    settings: { url: { required: true, check: url } },
    secrets: { hmac: { check: key }, ed25519: { check: pem } },
    oneOf: ["hmac", "ed25519"],
  },
  smtp: {
    settings: {
      host: { required: true, check: host },
      port: { fallback: "587", check: port },
      tls: { fallback: "starttls", check: tls },
      from: { required: true, check: address },
      to: { required: true, check: addresses },
      username: { check: line },
    },
    secrets: { password: { check: line } },
  },
};

export const receiverKinds: readonly ReceiverKind[] = Object.keys(kinds) as ReceiverKind[];

export interface ReceiverWish {
  readonly name: string;
  readonly kind: string;
  readonly settings: Settings;
  readonly secrets: Secrets;
  /** 0 means the usual. */
  readonly perMinute: number;
}

/** Fills in the defaults and refuses what cannot be used, every bad field at once. A secret is never repeated in a refusal. */
export function parseReceiver(
  raw: ReceiverWish,
): Outcome<{ readonly receiver: Receiver; readonly secrets: Secrets }> {
  const kind = receiverKinds.find((each) => each === raw.kind);
  const problems: Problem[] = nameProblems("name", raw.name);
  if (raw.perMinute > perMinuteMax) {
    problems.push({ field: "per_minute", why: `is more than ${perMinuteMax}` });
  }
  if (kind === undefined) {
    const why = `"${raw.kind.slice(0, 40)}" is none of ${receiverKinds.join(", ")}`;
    return refuse({ kind: "invalid", problems: [...problems, { field: "kind", why }] });
  }
  const spec = kinds[kind];
  const settings = read(
    "settings",
    spec.settings,
    raw.settings,
    problems,
    (value) => `"${value.slice(0, 80)}" `,
  );
  const secrets = read("secrets", spec.secrets, raw.secrets, problems, () => "");
  const present = (spec.oneOf ?? []).filter((name) => Object.hasOwn(secrets, name));
  if (spec.oneOf !== undefined && present.length !== 1) {
    problems.push({ field: "secrets", why: `has to hold one of ${spec.oneOf.join(" and ")}` });
  }
  if (problems.length > 0) return refuse({ kind: "invalid", problems });
  const perMinute = raw.perMinute === 0 ? perMinuteDefault : raw.perMinute;
  return accept({ receiver: { name: raw.name, kind, settings, perMinute }, secrets });
}

/** 1 to 63 lower-case letters, digits and dashes: names of receivers, routes and schedules. */
export function nameProblems(field: string, name: string): Problem[] {
  if (namePattern.test(name)) return [];
  const why = `"${name.slice(0, 80)}" is no name of 1 to 63 lower-case letters, digits and dashes`;
  return [{ field, why }];
}

function read(
  field: string,
  parts: Readonly<Record<string, Part>>,
  given: Settings,
  problems: Problem[],
  shown: (value: string) => string,
): Settings {
  const found: Record<string, string> = {};
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(parts, name)) continue;
    const why = `"${name.slice(0, 40)}" is none of ${Object.keys(parts).join(", ")}`;
    problems.push({ field, why });
  }
  for (const [name, part] of Object.entries(parts)) {
    const value = (Object.hasOwn(given, name) ? given[name] : undefined) ?? part.fallback;
    if (value === undefined) {
      if (part.required) problems.push({ field: `${field}.${name}`, why: "is missing" });
      continue;
    }
    const why = value.length > bytesMax ? `is longer than ${bytesMax} characters` : part.check(value);
    if (why === undefined) found[name] = value;
    else problems.push({ field: `${field}.${name}`, why: `${shown(value)}${why}` });
  }
  return found;
}
