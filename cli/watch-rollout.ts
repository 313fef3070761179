import { setTimeout as pause } from "node:timers/promises";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { Rollout, RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "./answer.ts";
import { exitCodes, Failure } from "./failure.ts";
import { newsBetween } from "./output/rollout-events.ts";
import { isResting, renderLine, renderPicture, type RolloutProgress } from "./output/rollout.ts";
import { liveFrame, type Screen } from "./screen.ts";
import { progressOf } from "./views.ts";

/** How long a watch goes on asking for a server that is away. The rollout itself does not need the watcher. */
const patienceMs = 120_000;
const retryMs = 1000;

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
      return await follow(service, id, screen, view, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      screen.talk(
        `The rollout goes on. To look again: fleetctl rollout watch ${id}   To stop it: fleetctl rollout pause ${id}\n`,
      );
      throw new Failure(exitCodes.interrupted, "Interrupted");
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

async function follow(
  service: Client<typeof RolloutService>,
  id: string,
  screen: Screen,
  view: View,
  signal: AbortSignal,
): Promise<Rollout> {
  let awaySince: number | undefined;
  for (;;) {
    try {
      for await (const message of service.watchRollout({ rolloutId: id }, { signal, timeoutMs: 0 })) {
        const rollout = present(message.rollout, "rollout");
        if (awaySince !== undefined) screen.talk("The server is back.\n");
        awaySince = undefined;
        view.show(rollout);
        if (isResting(progressOf(rollout).state)) return rollout;
      }
      // A server that drains ends the stream in good order: ask again, it or another one answers.
    } catch (error) {
      if (signal.aborted || !isAway(error)) throw error;
      if (awaySince === undefined) {
        screen.talk("The server went away; the rollout does not need this watch. Trying again ...\n");
      }
      awaySince ??= screen.now();
      if (screen.now() - awaySince > patienceMs) throw error;
    }
    await pause(retryMs, undefined, { signal });
  }
}

function isAway(error: unknown): boolean {
  const code = ConnectError.from(error).code;
  // A connection that dies below an open stream shows as aborted or internal, depending on where it died.
  return (
    code === Code.Unavailable ||
    code === Code.DeadlineExceeded ||
    ((code === Code.Aborted || code === Code.Canceled || code === Code.Internal) && isBroken(error))
  );
}

function isBroken(error: unknown): boolean {
  let at: unknown = error;
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    if ("code" in at && typeof at.code === "string") return true;
    if (/http\/?2 stream|session|socket|GOAWAY|ECONNRESET/i.test(at.message)) return true;
    at = at.cause;
  }
  return false;
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
