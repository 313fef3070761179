import type { Response } from "#proto/fleet/v1/response";
import { countText } from "./quantity.ts";
import type { Tone, Word } from "./words.ts";

const tones: Readonly<Record<string, Tone>> = {
  done: "ok",
  "dry-run": "idle",
  skipped: "idle",
  denied: "warn",
  dropped: "warn",
  unknown: "warn",
  failed: "bad",
};

/** What a response came to. A newer agent may have outcomes that this console does not know. */
export function outcomeWord(outcome: string): Word {
  return { tone: tones[outcome] ?? "idle", text: outcome };
}

/** What was done, or would have been, and to what: "delete-pod shop/web-1". */
export function responseText({
  action,
  namespace,
  pod,
}: Pick<Response, "action" | "namespace" | "pod">): string {
  return pod === "" ? action : `${action} ${namespace}/${pod}`;
}

/** What was read of the responses of a cluster. */
export interface ResponsesRead {
  /** Of them, those that are asked for. */
  readonly found: number;
  /** The most of these that are shown. */
  readonly shown: number;
  /** The newest ones, which were looked at. */
  readonly looked: number;
  /** There are no others. */
  readonly isAll: boolean;
  readonly isOfRule: boolean;
}

/** What the lines of responses do not say: that there are none, or others. Undefined where they say all. */
export function responsesNote({ found, shown, looked, isAll, isOfRule }: ResponsesRead): string | undefined {
  const about = isOfRule ? "an alert of this rule" : "an alert";
  const newest = `the newest ${countText(looked)} responses of the cluster`;
  if (found === 0 && isAll) return `No agent has done anything about ${about} here.`;
  if (found === 0) return `None of ${newest} was to ${about}.`;
  if (found > shown) {
    return `The newest ${shown} of ${isAll ? "" : "at least "}${countText(found)} responses.`;
  }
  return isAll ? undefined : `Of ${newest}; older ones were not looked at.`;
}
