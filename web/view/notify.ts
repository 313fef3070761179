import type { Receiver } from "#proto/fleet/v1/notification";
import type { Word } from "./words.ts";

/** Whether messages get to a receiver: its failure is empty when one got there since. */
export function receiverWord({ failure, sentAt }: Pick<Receiver, "failure" | "sentAt">): Word {
  if (failure !== "") return { tone: "bad", text: "fails" };
  return sentAt === undefined ? { tone: "idle", text: "not used yet" } : { tone: "ok", text: "works" };
}

/** How many messages were given up. A list of them ends somewhere; what receivers count does not. */
export function deadCount(receivers: readonly Pick<Receiver, "dead">[], listed: number): number {
  return Math.max(
    listed,
    receivers.reduce((sum, { dead }) => sum + dead, 0),
  );
}
