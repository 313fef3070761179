import { type PlainYaml, readPlainYaml, type RuleInfo } from "#engine";
import { type ResponseAction, responseActions, responsePath } from "#trust";

/** One answer to alerts of some rules, as a signed rules bundle has it. */
export interface ResponsePolicy {
  readonly name: string;
  /** Exact names. */
  readonly rules: readonly string[];
  readonly action: ResponseAction;
  /** False says only what would be done. */
  readonly enforce: boolean;
  /** How often within an hour an agent may do it for one rule. */
  readonly perHour: number;
  /** Where a webhook goes; for nothing else. */
  readonly url?: string;
}

export const policiesMax = 32;
const rulesMax = 64;
const bytesMax = 64 * 1024;
export const perHourMax = 60;
const perHourIfNotSaid = 5;
const keys: readonly string[] = ["response", "rules", "action", "enforce", "per_hour", "url"];
const urlMax = 500;
const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export type ResponsePolicies =
  | { readonly ok: true; readonly policies: readonly ResponsePolicy[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads `response.yaml`: a list of items that begin with `response`, which whoever reads rules alone leaves out. */
export function parseResponses(text: string): ResponsePolicies {
  if (text.length > bytesMax) return { ok: false, problems: [`has more than ${bytesMax} characters`] };
  const read = readPlainYaml(responsePath, text);
  if (!read.ok) return { ok: false, problems: [read.why] };
  if (!Array.isArray(read.value)) return { ok: false, problems: ["is no list of responses"] };
  const items = read.value as readonly PlainYaml[];
  if (items.length > policiesMax) {
    return { ok: false, problems: [`has ${items.length} responses; at most ${policiesMax} are accepted`] };
  }
  const problems: string[] = [];
  const policies = items.flatMap((item, index) => {
    const before = problems.length;
    const policy = readPolicy(item, (why) => problems.push(`response ${nameIn(item) ?? index + 1} ${why}`));
    return problems.length === before && policy !== undefined ? [policy] : [];
  });
  for (const [index, { name }] of policies.entries()) {
    if (policies.findIndex((each) => each.name === name) < index) {
      problems.push(`response ${name} occurs twice`);
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, policies };
}

function nameIn(item: PlainYaml): string | undefined {
  const name = isMap(item) ? item["response"] : undefined;
  return typeof name === "string" ? `"${name.slice(0, 80)}"` : undefined;
}

function readPolicy(item: PlainYaml, problem: (why: string) => void): ResponsePolicy | undefined {
  if (!isMap(item)) {
    problem("is no map");
    return undefined;
  }
  for (const key of Object.keys(item)) {
    if (!keys.includes(key)) {
      problem(`has an unknown key "${key.slice(0, 80)}"; known are ${keys.join(", ")}`);
    }
  }
  const { response: name, rules, action, enforce = "false", per_hour: perHour, url } = item;
  if (typeof name !== "string" || !namePattern.test(name)) {
    problem("has a name that is not small letters, digits and - alone, at most 63");
  }
  const named = Array.isArray(rules) ? (rules as readonly PlainYaml[]) : [];
  if (named.length === 0 || named.length > rulesMax || !named.every((rule) => isText(rule, 300))) {
    problem(`has rules that are no list of 1 to ${rulesMax} names`);
  }
  const known = responseActions.find((each) => each === action);
  if (known === undefined) problem(`has an action that is none of ${responseActions.join(", ")}`);
  if (enforce !== "true" && enforce !== "false") problem("has an enforce that is neither true nor false");
  const count = perHour === undefined ? perHourIfNotSaid : Number(perHour);
  if (!Number.isInteger(count) || count < 1 || count > perHourMax) {
    problem(`has a per_hour that is no number from 1 to ${perHourMax}`);
  }
  if ((known === "webhook") !== (url !== undefined)) {
    problem("has a url, or no url, and only a webhook takes one");
  }
  if (url !== undefined && !isWebhook(url)) {
    problem("has a url that is not https://HOST[:PORT]/PATH without a user");
  }
  if (known === undefined || typeof name !== "string") return undefined;
  const to = typeof url === "string" ? { url } : {};
  const isEnforced = enforce === "true";
  return {
    name,
    rules: named as readonly string[],
    action: known,
    enforce: isEnforced,
    perHour: count,
    ...to,
  };
}

/** What keeps policies from ever acting, or from acting on what is proved, with the rules that they are about. */
export function responseProblems(
  policies: readonly ResponsePolicy[],
  rules: readonly RuleInfo[],
): readonly string[] {
  return policies.flatMap(({ name, rules: wanted, action }) =>
    wanted.flatMap((each) => {
      const rule = rules.find((one) => one.name === each);
      if (rule === undefined) return [`response "${name}" is about rule "${each}", which there is not`];
      if (action === "webhook") return [];
      const shown: readonly string[] = rule.output.match(/%[a-z0-9_.]*[a-z0-9_]/g) ?? [];
      const missing = podFields.filter((field) => !shown.includes(`%${field}`));
      if (missing.length === 0) return [];
      const why = `whose output lacks ${missing.map((field) => `%${field}`).join(", ")}`;
      return [`response "${name}" does ${action} for rule "${each}", ${why}: no pod could be told`];
    }),
  );
}

/** What an alert has to say of itself for something to be done to a pod: which one, and that the request was not refused. */
export const podFields = [
  "ka.target.namespace",
  "ka.target.name",
  "ka.target.resource",
  "ka.response.code",
] as const;

function isWebhook(url: PlainYaml): boolean {
  // Without a URL parser, which pure code has none of: a host, a port, and no user before an @.
  return isText(url, urlMax) && /^https:\/\/[A-Za-z0-9.-]{1,253}(:\d{1,5})?\/[^\s@#\\]*$/.test(url);
}

function isText(value: PlainYaml, max: number): value is string {
  return typeof value === "string" && value !== "" && value.length <= max;
}

function isMap(value: PlainYaml): value is { readonly [key: string]: PlainYaml } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
