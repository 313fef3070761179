import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { useSyncExternalStore } from "react";
import { agoText, msOf, utcText } from "../view/time.ts";

/** One clock for all ages on a page. */
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let second = Math.floor(Date.now() / 1000);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    second = Math.floor(Date.now() / 1000);
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** Milliseconds, a second exact. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => second) * 1000;
}

/** Minutes since 1970, for what changes no more often. */
export function useMinute(): number {
  return useSyncExternalStore(subscribe, () => Math.floor(second / 60));
}

/** How long ago, with the time itself for who points at it. */
export function Ago({
  time,
  none = "never",
}: {
  readonly time: Timestamp | undefined;
  readonly none?: string;
}) {
  const ms = msOf(time);
  // Of the many ages on a page few are other words after a second: only these are drawn again.
  const ago = useSyncExternalStore(subscribe, () => (ms === undefined ? none : agoText(ms, second * 1000)));
  if (ms === undefined) return <span className="faint">{none}</span>;
  const text = utcText(ms);
  return (
    <time className="number" dateTime={text} title={text}>
      {ago}
    </time>
  );
}
