import type { Fleet } from "./fleet.ts";
import type { Managed } from "./processes.ts";

const stopMs = 5_000;

/** Ends the writers of the audit logs; the agents go on reading what they wrote. */
export async function stopGenerators(fleet: Fleet): Promise<void> {
  await Promise.all(generatorsOf(fleet).map((generator) => generator.stop(stopMs)));
}

/** Waits until writers that end by themselves (a replayed file) are done, at most so long. */
export async function awaitReplay(fleet: Fleet, deadlineMs: number): Promise<boolean> {
  const all = Promise.all(generatorsOf(fleet).map((generator) => generator.ended)).then(() => true);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), deadlineMs);
    fleet.signal.addEventListener("abort", () => resolve(false), { once: true });
  });
  const done = await Promise.race([all, late]);
  clearTimeout(timer);
  return done;
}

function generatorsOf(fleet: Fleet): readonly Managed[] {
  return [...fleet.machines.values()].flatMap((machine) => machine.generator ?? []);
}
