/** The environment of the agent. */
export type Env = Readonly<Record<string, string | undefined>>;

const loopback = /^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]):(\d{1,5})$/;
const anyAddress = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[0-9a-f:]{2,39}\]):(\d{1,5})$/;

/** A value that is set and not empty. */
export function textOf(env: Env, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === "" ? undefined : value;
}

/**
 * An address of this machine that nobody else reaches: what comes in there is believed. With `isOpen` any address of it, where a
 * network policy says who reaches it.
 */
export function addressOf(
  env: Env,
  name: string,
  problems: string[],
  isOpen: boolean = false,
): { readonly host: string; readonly port: number } | undefined {
  const text = textOf(env, name);
  if (text === undefined) return undefined;
  const [, host = "", port = ""] = (isOpen ? anyAddress : loopback).exec(text) ?? [];
  if (host !== "" && Number(port) >= 1 && Number(port) <= 65_535) {
    return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
  }
  const kind = isOpen ? "an address" : "a loopback address";
  problems.push(`${name} is "${text}": give ${kind} and a port, such as 127.0.0.1:2801`);
  return undefined;
}

/** An address of HTTP, without credentials. */
export function urlOf(env: Env, name: string, problems: string[]): URL | undefined {
  const text = textOf(env, name);
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url !== undefined && ["http:", "https:"].includes(url.protocol) && url.username === "";
  if (isHttp) return url;
  problems.push(`${name} is "${text}": give an address such as http://127.0.0.1:8765`);
  return undefined;
}

/** A number of seconds, as milliseconds. */
export function secondsOf(env: Env, name: string, otherwise: number, problems: string[]): number {
  const text = textOf(env, name) ?? String(otherwise);
  if (/^\d{1,3}$/.test(text) && Number(text) >= 1) return Number(text) * 1000;
  problems.push(`${name} is "${text}": use seconds, 1 to 999`);
  return otherwise * 1000;
}
