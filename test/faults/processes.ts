import { setTimeout as sleep } from "node:timers/promises";
import { mountSmallDisk, unmount } from "../support/small-disk.ts";
import { settle } from "./scenario.ts";
import type { FaultWorld, Scenario } from "./scenario.ts";

/** What can happen to the agent's process, its config and its disk. */
export const processFaults: readonly Scenario[] = [
  {
    name: "kill -9 in the middle",
    fluentBit: "3.4 % lost",
    async run(world) {
      await world.agent.start(world.config());
      const writer = world.write();
      for (let kills = 1; kills <= 4; kills++) {
        await writer.reached((world.scale.records * kills) / 5);
        await world.agent.end("SIGKILL");
        await world.agent.start(world.config());
      }
      await writer.reached(world.scale.records);
    },
  },
  {
    name: "kill -9 during an outage",
    fluentBit: "41 % lost",
    run: (world) => endedDuringOutage(world, "SIGKILL"),
  },
  {
    name: "SIGTERM during an outage",
    fluentBit: "41 % lost",
    duplicatesMax: ({ http }) => http.largest,
    run: (world) => endedDuringOutage(world, "SIGTERM"),
  },
  {
    name: "config swapped again and again under load",
    async run(world) {
      await world.agent.start(world.config());
      const writer = world.write();
      for (let swaps = 1; swaps <= 5; swaps++) {
        await writer.reached((world.scale.records * swaps) / 6);
        await world.agent.apply(world.config([world.httpOutput], { extra: `swap-${swaps}` }));
      }
      await writer.reached(world.scale.records);
    },
  },
  {
    name: "disk of the queue full during an outage",
    async run(world) {
      mountSmallDisk(world.stateDir, "2m");
      try {
        await world.agent.start(world.config());
        const writer = world.write();
        await world.outage(
          writer,
          () => world.http.refuse(),
          () => world.http.listen(),
        );
        await world.stopWriters();
        await settle(world);
      } finally {
        await world.agent.end("SIGKILL");
        unmount(world.stateDir);
      }
    },
  },
];

async function endedDuringOutage(world: FaultWorld, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  await world.agent.start(world.config());
  const writer = world.write();
  await world.outage(
    writer,
    async () => {
      await world.http.refuse();
      await sleep(world.scale.outageMs / 2);
      await world.agent.end(signal);
    },
    async () => {
      await world.http.listen();
      await world.agent.start(world.config());
    },
  );
}
