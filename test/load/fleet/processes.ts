import { generateKeyPairSync, sign, verify } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

/** The system counts CPU time in hundredths of a second. */
const tickMs = 10;

interface Stat {
  readonly parent: number;
  readonly ownMs: number;
  /** Of children that have ended. */
  readonly endedMs: number;
}

function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined; // It has ended in between.
  }
  // The name in brackets may hold spaces.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = (i: number) => Number(fields[i] ?? 0) * tickMs;
  return { parent: Number(fields[1]), ownMs: ticks(11) + ticks(12), endedMs: ticks(13) + ticks(14) };
}

/** CPU time of one process so far. */
export function cpuMs(pid: number): number {
  return statOf(pid)?.ownMs ?? 0;
}

/** CPU time of a process and all of its children so far: Postgres is one process per connection. */
export function familyCpuMs(pid: number): number {
  const own = statOf(pid);
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(Number(name)) ?? [])
    .filter(({ parent }) => parent === pid);
  return (own?.ownMs ?? 0) + (own?.endedMs ?? 0) + children.reduce((sum, { ownMs }) => sum + ownMs, 0);
}

export function residentKiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}

/** How much the machine had to do in the last minute, whoever gave it to it. */
export function machineLoad(): number {
  return Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]);
}

const signer = generateKeyPairSync("ec", { namedCurve: "P-256" });
const signed = Buffer.alloc(512);
const signature = sign("sha256", signed, signer.privateKey);

/** CPU time of checking one P-256 signature, in microseconds: how fast the machine is now, whatever is measured on it. */
export function verifyUs(): number {
  const times = 500;
  const before = process.cpuUsage();
  for (let i = 0; i < times; i += 1) verify("sha256", signed, signer.publicKey, signature);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / times;
}
