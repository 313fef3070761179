import { severity } from "#report/priority";
import type { Tone } from "./output/text.ts";

export { priorities, severity } from "#report/priority";

export function toneOfPriority(priority: string): Tone | undefined {
  if (severity(priority) <= severity("Error")) return "bad";
  return priority === "Warning" ? "busy" : undefined;
}
