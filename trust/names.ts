/** What identifiers may look like. Narrow on purpose: they become paths, URIs, log fields and SQL parameters. */

const name = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
// Semantic Versioning 2.0.0 without build metadata, which would not order.
const version =
  /^(?:0|[1-9]\d{0,8})\.(?:0|[1-9]\d{0,8})\.(?:0|[1-9]\d{0,8})(?:-[0-9A-Za-z][0-9A-Za-z-]{0,30}(?:\.[0-9A-Za-z][0-9A-Za-z-]{0,30}){0,4})?$/;
const path = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?:\/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,7}$/;
const labelKey = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const hex64 = /^[0-9a-f]{64}$/;
const identifier = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;

/** Bundle, layer and organisation names: "starter", "team-payments". */
export function isName(value: unknown): value is string {
  return hasForm(name, value);
}

/** A semantic version without build metadata: "1.4.0", "2.0.0-rc.1". */
export function isVersion(value: unknown): value is string {
  return hasForm(version, value);
}

/** A relative path of at most 8 plain parts: no "..", no leading dot, no absolute path, no odd character. */
export function isPath(value: unknown): value is string {
  return hasForm(path, value) && value.length <= 200;
}

export function isLabelKey(value: unknown): value is string {
  return hasForm(labelKey, value);
}

export function isLabelValue(value: unknown): value is string {
  return hasForm(labelValue, value);
}

/** A SHA-256 in lower-case hex. */
export function isSha256(value: unknown): value is string {
  return hasForm(hex64, value);
}

/** Ids that the server makes: cluster and agent ids. */
export function isIdentifier(value: unknown): value is string {
  return hasForm(identifier, value);
}

/** A list of one name reads like the name where a pattern is asked for text: only text has a form. */
function hasForm(form: RegExp, value: unknown): value is string {
  return typeof value === "string" && form.test(value);
}
