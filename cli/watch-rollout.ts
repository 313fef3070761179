import type { Client } from "@connectrpc/connect";
import type { Rollout, RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "./answer.ts";
import { interrupted } from "./failure.ts";
import { followToRest } from "./follow.ts";
import { newsBetween } from "./output/rollout-events.ts";
import { isResting, renderLine, renderPicture, type RolloutProgress } from "./output/rollout.ts";
import { liveFrame, type Screen } from "./screen.ts";
import { progressOf } from "./rollout-view.ts";

/**
 * Follows a rollout until nothing happens by itself any more and gives its last picture. On a terminal the picture is
 * redrawn each second; elsewhere a line is printed when something is new. Outlives a server that goes away for a while.
 */
export async function watchRollout(
  service: Client<typeof RolloutService>,
  id: string,
  screen: Screen,
  style: "text" | "events" | "silent",
): Promise<Rollout> {
  const view = viewOf(screen, style);
  return screen.interruptible(async (signal) => {
    try {
      const watch = () => service.watchRollout({ rolloutId: id }, { signal, timeoutMs: 0 });
      return await followToRest(watch, "the rollout", screen, signal, (message) => {
        const rollout = present(message.rollout, "rollout");
        view.show(rollout);
        return isResting(progressOf(rollout).state) ? rollout : undefined;
      });
    } catch (error) {
      if (!signal.aborted) throw error;
      screen.talk(
        `The rollout goes on. To look again: fleetctl rollout watch ${id}   To stop it: fleetctl rollout pause ${id}\n`,
      );
      throw interrupted();
    } finally {
      view.end();
    }
  });
}

function viewOf(screen: Screen, style: "text" | "events" | "silent"): View {
  if (style === "silent") return silentView;
  if (style === "events") return eventLines(screen);
  return screen.outIsTerminal ? livePicture(screen) : newLines(screen);
}

interface View {
  show(rollout: Rollout): void;
  end(): void;
}

const silentView: View = { show: () => {}, end: () => {} };

/** A line of JSON for each thing that is new. */
function eventLines(screen: Screen): View {
  let before: RolloutProgress | undefined;
  return {
    show: (rollout) => {
      const progress = progressOf(rollout);
      const at = new Date(screen.now()).toISOString();
      for (const news of newsBetween(before, progress)) {
        screen.out(`${JSON.stringify({ at, rollout: rollout.id, ...news })}\n`);
      }
      before = progress;
    },
    end: () => {},
  };
}

function newLines(screen: Screen): View {
  let before = "";
  return {
    show: (rollout) => {
      const line = renderLine(progressOf(rollout), screen.now());
      if (line.key === before) return;
      before = line.key;
      screen.out(`${line.text}\n`);
    },
    end: () => {},
  };
}

function livePicture(screen: Screen): View {
  const frame = liveFrame(screen);
  let last: Rollout | undefined;
  const draw = () => {
    if (last !== undefined) {
      frame(renderPicture(progressOf(last), screen.now(), screen.columns, screen.paint));
    }
  };
  // Ages grow between messages.
  const timer = setInterval(draw, 1000);
  return {
    show: (rollout) => {
      last = rollout;
      draw();
    },
    end: () => clearInterval(timer),
  };
}
