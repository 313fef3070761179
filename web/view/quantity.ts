/** Made once: making one costs a hundred times what using it does. */
const wholes = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** Counts and rates as people read them at a glance: three digits and a letter. */
export function countText(value: number | bigint): string {
  const count = Number(value);
  if (count < 10_000) return wholes.format(count);
  for (const [size, letter] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (count >= size) return `${(count / size).toPrecision(3).replace(/\.0*$|(\.\d*?)0+$/, "$1")}${letter}`;
  }
  return String(count);
}

/** Something per second. */
export function rateText(perSecond: number): string {
  if (perSecond === 0) return "0/s";
  if (perSecond < 10) return `${perSecond.toFixed(1)}/s`;
  return `${countText(Math.round(perSecond))}/s`;
}

export function bytesText(bytes: number | bigint): string {
  const count = Number(bytes);
  if (count < 1024) return `${count} B`;
  if (count < 1024 ** 2) return `${(count / 1024).toPrecision(3)} KiB`;
  if (count < 1024 ** 3) return `${(count / 1024 ** 2).toPrecision(3)} MiB`;
  return `${(count / 1024 ** 3).toPrecision(3)} GiB`;
}

/** A lag in milliseconds, in the unit that fits it. */
export function lagText(ms: number | bigint): string {
  const count = Number(ms);
  if (count < 1_000) return `${count} ms`;
  return count < 60_000 ? `${(count / 1000).toFixed(1)} s` : `${Math.floor(count / 60_000)} min`;
}

export function nounText(count: number, one: string, many: string = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}

/** A digest short enough to compare by eye: its kind is the same everywhere. */
export function digestText(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}
