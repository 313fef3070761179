/** What identifiers may look like. Narrow on purpose: they become paths, URIs, log fields and SQL parameters. */

const name = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
// Semantic Versioning 2.0.0 without build metadata, which would not order.
const version =
  /^(?:0|[1-9]\d{0,8})\.(?:0|[1-9]\d{0,8})\.(?:0|[1-9]\d{0,8})(?:-[0-9A-Za-z][0-9A-Za-z-]{0,30}(?:\.[0-9A-Za-z][0-9A-Za-z-]{0,30}){0,4})?$/;
const pathPart = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;
const labelKey = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const hex64 = /^[0-9a-f]{64}$/;
const identifier = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;

/** Bundle, layer and organisation names: "starter", "team-payments". */
export function isName(text: string): boolean {
  return name.test(text);
}

/** A semantic version without build metadata: "1.4.0", "2.0.0-rc.1". */
export function isVersion(text: string): boolean {
  return version.test(text);
}

/** A relative path of at most 8 plain parts: no "..", no leading dot, no absolute path, no odd character. */
export function isPath(text: string): boolean {
  const parts = text.split("/");
  return text.length <= 200 && parts.length <= 8 && parts.every((part) => pathPart.test(part));
}

export function isLabelKey(text: string): boolean {
  return labelKey.test(text);
}

export function isLabelValue(text: string): boolean {
  return labelValue.test(text);
}

/** A SHA-256 in lower-case hex. */
export function isSha256(text: string): boolean {
  return hex64.test(text);
}

/** Ids that the server makes: cluster and agent ids. */
export function isIdentifier(text: string): boolean {
  return identifier.test(text);
}
