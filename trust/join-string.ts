import { addressKind } from "./address.ts";
import { accept, quote, refuse, type Checked, type Refused } from "./checked.ts";

/** Where an agent joins, and whom it may trust there. No secret. */
export interface JoinAddress {
  /** A DNS name or an IP address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** "sha256:" and the hash of the CA's public key; two of them while the CA is being replaced. */
  readonly caPins: readonly string[];
  /** "sha256:" and the hash of the root metadata. */
  readonly rootPin: string;
}

/** All an agent needs to join: where, with which right, and whom it may trust there. */
export interface JoinString extends JoinAddress {
  readonly tokenId: string;
  readonly secret: string;
}

const scheme = "falconry://";
const lengthMax = 1024;
const caPinsMax = 2;
const tokenId = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const secretPattern = /^[A-Za-z0-9_-]{16,256}$/;
const hostName =
  /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
const pin = /^sha256:[0-9a-f]{64}$/;
const example =
  "falconry://TOKEN_ID.SECRET@fleet.example.com:8443?ca=sha256:64_HEX_DIGITS&root=sha256:64_HEX_DIGITS";

export function formatJoinString(join: JoinString): string {
  return `${scheme}${join.tokenId}.${join.secret}@${placeText(join)}`;
}

/** A join string without a token, for agents whose cluster vouches for them. */
export function formatJoinAddress(join: JoinAddress): string {
  return `${scheme}${placeText(join)}`;
}

function placeText({ host, port, caPins, rootPin }: JoinAddress): string {
  const named = addressKind(host) === 6 ? `[${host}]` : host;
  return `${named}:${port}?ca=${caPins.join(",")}&root=${rootPin}`;
}

/** Reads a join string. A refusal says which part is wrong and never repeats the secret. */
export function parseJoinString(text: string): Checked<JoinString> {
  const body = withoutScheme(text);
  if (!body.ok) return body;
  const rest = body.value;
  const at = rest.lastIndexOf("@");
  if (at < 0) return wrong('there is no "@" between token and host');
  const [id = "", secret = "", ...more] = rest.slice(0, at).split(".");
  if (secret === "" || more.length > 0 || !tokenId.test(id)) return wrong("the token is not TOKEN_ID.SECRET");
  if (!secretPattern.test(secret)) {
    return wrong("the token's secret is cut short or has a character that secrets do not have");
  }
  const place = readPlace(rest.slice(at + 1));
  return place.ok ? accept({ tokenId: id, secret, ...place.value }) : place;
}

/** Reads a join string that has no token. One that has is refused: its secret would be where none belongs. */
export function parseJoinAddress(text: string): Checked<JoinAddress> {
  const body = withoutScheme(text);
  if (!body.ok) return body;
  if (body.value.includes("@")) return wrong("it holds a token, and none belongs there");
  return readPlace(body.value);
}

function withoutScheme(text: string): Checked<string> {
  const trimmed = text.trim();
  if (trimmed.length > lengthMax) {
    return wrong(`it has ${trimmed.length} characters, at most ${lengthMax} are read`);
  }
  if (!trimmed.startsWith(scheme)) return wrong(`it does not begin with "${scheme}"`);
  return accept(trimmed.slice(scheme.length));
}

function readPlace(text: string): Checked<JoinAddress> {
  const [address = "", query = "", ...queries] = text.split("?");
  const place = readAddress(address);
  if (!place.ok) return place;
  if (queries.length > 0) return wrong('there is more than one "?"');
  const pins = readPins(query);
  return pins.ok ? accept({ ...place.value, ...pins.value }) : pins;
}

function readAddress(address: string): Checked<{ host: string; port: number }> {
  const colon = address.lastIndexOf(":");
  if (colon < 0) return wrong(`there is no port after host ${quote(address)}`);
  const port = address.slice(colon + 1);
  const named = address.slice(0, colon);
  const bracketed = named.startsWith("[") && named.endsWith("]");
  const host = bracketed ? named.slice(1, -1) : named;
  if (bracketed ? addressKind(host) !== 6 : !hostName.test(host)) {
    return wrong(`${quote(named)} is not a host name or address`);
  }
  if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535) {
    return wrong(`${quote(port)} is not a port from 1 to 65535`);
  }
  return accept({ host, port: Number(port) });
}

function readPins(query: string): Checked<{ caPins: readonly string[]; rootPin: string }> {
  const found = new Map<string, string>();
  for (const part of query.split("&").filter((item) => item !== "")) {
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    if (key !== "ca" && key !== "root") return wrong(`it has an unknown part ${quote(key)}`);
    if (found.has(key)) return wrong(`${key} occurs twice`);
    found.set(key, part.slice(equals + 1));
  }
  const caPins = (found.get("ca") ?? "").split(",");
  if (caPins.length > caPinsMax) return wrong(`it pins ${caPins.length} CAs, at most ${caPinsMax} are read`);
  const root = found.get("root") ?? "";
  for (const [key, value] of [...caPins.map((each) => ["ca", each] as const), ["root", root] as const]) {
    if (value === "") {
      return wrong(`the pin ${key} is missing (in a shell, put the join string in quotes: it has an "&")`);
    }
    if (!pin.test(value)) return wrong(`the pin ${key} is ${quote(value)}, not "sha256:" and 64 hex digits`);
  }
  return accept({ caPins, rootPin: root });
}

function wrong(why: string): Refused {
  return refuse("trust/malformed", `Join string cannot be read: ${why}. It looks like ${example}`);
}
