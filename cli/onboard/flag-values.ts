import { misused } from "../failure.ts";
import { parseEndpoint, type Endpoint } from "./plan/settings.ts";

const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** A text that has to look like something. Throws a failure that says what it was for and how it should look. */
export function matching(text: string, pattern: RegExp, what: string, shape: string): string {
  if (pattern.test(text)) return text;
  throw misused(`${what} "${text.slice(0, 80)}" cannot be used`, `Use ${shape}.`);
}

/** The name of a namespace, as Kubernetes takes it. */
export function namespaceFrom(text: string): string {
  return matching(text, namespacePattern, "The namespace", "small letters, digits and - only, at most 63");
}

export function destinationFrom(text: string): Endpoint {
  const endpoint = parseEndpoint(text);
  if (endpoint !== undefined) return endpoint;
  throw misused(
    `--destination "${text.slice(0, 80)}" is not HOST:PORT`,
    "--destination logs.example.com:9200",
  );
}
