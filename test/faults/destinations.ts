import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario } from "./scenario.ts";

/** One record in so many is one that a destination dislikes. */
const disliked = (id: string): boolean => id.endsWith("77");
const dislikedOf = (ids: readonly string[]): number => ids.filter(disliked).length;

/** What can be wrong with a destination. */
export const destinationFaults: readonly Scenario[] = [
  {
    name: "destination refuses connections",
    fluentBit: "28 % lost (20 s)",
    duplicatesMax: ({ http }) => http.largest,
    async run(world) {
      await world.agent.start(world.config());
      const writer = world.write();
      await world.outage(
        writer,
        () => world.http.refuse(),
        () => world.http.listen(),
      );
    },
  },
  {
    name: "destination answers 503",
    fluentBit: "58 % lost",
    duplicatesMax: () => 0,
    run: (world) => answering(world, 503),
  },
  {
    name: "destination answers 500",
    duplicatesMax: () => 0,
    run: (world) => answering(world, 500),
  },
  {
    name: "destination answers 429",
    duplicatesMax: () => 0,
    run: (world) => answering(world, 429),
  },
  {
    name: "destination answers 400 to requests that hold certain records",
    fluentBit: "86 % lost",
    duplicatesMax: () => 0,
    parked: (world) => dislikedOf(world.written),
    async run(world) {
      world.http.behaviour = { kind: "refuse-records", status: 400, isRefused: disliked };
      await world.agent.start(world.config());
      await world.write().reached(world.scale.records);
    },
  },
  {
    name: "destination hangs",
    fluentBit: "0 lost, 88 % twice",
    duplicatesMax: ({ http }) => http.largest,
    async run(world) {
      const output = world.httpOutput.replace(
        "}",
        `, http.response_timeout: ${world.scale.outageMs / 2000} }`,
      );
      await world.agent.start(world.config([output]));
      const writer = world.write();
      await world.outage(
        writer,
        () => (world.http.behaviour = { kind: "hang" }),
        () => (world.http.behaviour = { kind: "take" }),
      );
    },
  },
  {
    name: "destination resets connections",
    duplicatesMax: ({ http }) => http.largest,
    async run(world) {
      await world.agent.start(world.config());
      const writer = world.write();
      await world.outage(
        writer,
        () => (world.http.behaviour = { kind: "reset" }),
        () => (world.http.behaviour = { kind: "take" }),
      );
    },
  },
  {
    name: "destination takes 1 KB/s",
    duplicatesMax: ({ http }) => http.largest,
    async run(world) {
      await world.agent.start(world.config());
      const writer = world.write();
      await world.outage(
        writer,
        () => (world.http.behaviour = { kind: "slow", bytesPerSecond: 1000 }),
        async () => {
          world.http.behaviour = { kind: "take" };
          // The request that is on its way goes on at its pace: the destination comes back as a new one does.
          await world.http.refuse();
          await world.http.listen();
        },
      );
    },
  },
  {
    name: "two destinations, one of them away all the time",
    async run(world) {
      await world.es.refuse();
      await world.agent.start(world.config([world.httpOutput, world.esOutput]));
      const writer = world.write();
      await writer.reached(world.scale.records);
      await sleep(world.scale.outageMs);
      const arrived = world.http.taken.size;
      if (arrived < world.scale.records / 2) throw new Error(`the other one held it up: ${arrived} arrived`);
      await world.es.listen();
      world.sinks = [world.http, world.es];
    },
  },
  {
    name: "storage limit reached",
    fluentBit: "41 % lost, without a word",
    duplicatesMax: ({ http }) => http.largest,
    async run(world) {
      const output = world.httpOutput.replace("}", ", storage.total_limit_size: 1M }");
      await world.agent.start(world.config([output]));
      const writer = world.write();
      await world.outage(
        writer,
        () => world.http.refuse(),
        () => world.http.listen(),
      );
    },
  },
  {
    name: "bulk with 1 % refused items",
    fluentBit: "7 % lost of 10 % refused, without a word",
    duplicatesMax: () => 0,
    parked: (world) => dislikedOf(world.written),
    run: (world) => bulk(world, (id) => (disliked(id) ? 400 : 201)),
  },
  {
    name: "bulk with items that answer 429 twice",
    duplicatesMax: () => 0,
    async run(world) {
      const tries = new Map<string, number>();
      await bulk(world, (id) => {
        if (!disliked(id)) return 201;
        const tried = (tries.get(id) ?? 0) + 1;
        tries.set(id, tried);
        // Asked twice for each item of an answer.
        return tried <= 4 ? 429 : 201;
      });
    },
  },
];

async function answering(world: Parameters<Scenario["run"]>[0], status: number): Promise<void> {
  await world.agent.start(world.config());
  const writer = world.write();
  await world.outage(
    writer,
    () => (world.http.behaviour = { kind: "answer", status }),
    () => (world.http.behaviour = { kind: "take" }),
  );
}

async function bulk(world: Parameters<Scenario["run"]>[0], status: (id: string) => number): Promise<void> {
  world.sinks = [world.es];
  world.es.behaviour = { kind: "items", status };
  await world.agent.start(world.config([world.esOutput]));
  await world.write().reached(world.scale.records);
}
