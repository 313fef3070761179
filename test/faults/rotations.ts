import * as fs from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { auditLine } from "../../agent/pipeline/testing/bundles.ts";
import type { FaultWorld, Scenario } from "./scenario.ts";
import type { Rotation } from "./writer.ts";

const bytesPerRecord = 560;

/** What can happen to the log. */
export const rotationFaults: readonly Scenario[] = [
  rotating("rotation by rename, slow", "0 lost", "rename", 3),
  rotating("rotation by rename, fast", "0 lost; 19 % when starved of CPU", "rename", 25),
  rotating("rotation by copytruncate, slow", "0 lost", "copytruncate", 3),
  rotating("rotation by copytruncate, fast", "1.7 % lost", "copytruncate", 25),
  {
    name: "rotation by rename during an outage",
    fluentBit: "23 to 61 % lost, no counter moved",
    run: (world) => outageWhileRotating(world, "rename"),
  },
  {
    name: "rotation by copytruncate during an outage",
    fluentBit: "88 % lost",
    run: (world) => outageWhileRotating(world, "copytruncate"),
  },
  {
    name: "agent stopped while files rotate",
    fluentBit: "32 to 47 % lost",
    async run(world) {
      await world.agent.start(world.config());
      const writer = world.write({ rotation: "rename", rotateBytes: rotateBytes(world, 10) });
      await world.outage(
        writer,
        () => world.agent.end("SIGTERM"),
        () => world.agent.start(world.config()),
      );
    },
  },
  {
    name: "a line of 6 MB",
    fluentBit: "the line, or the rest of the file: 71 %",
    parked: () => 1,
    async run(world) {
      await world.agent.start(world.config());
      const writer = world.write();
      await writer.reached(world.scale.records / 2);
      writer.line(auditLine("long", { userAgent: "x".repeat(6_000_000) }));
      await writer.reached(world.scale.records);
    },
  },
  {
    name: "200 files rotating at once",
    async run(world) {
      const names = Array.from({ length: 200 }, (_, n) => join(world.dir, "log", `apiserver-${n}.log`));
      for (const name of names) fs.writeFileSync(name, "");
      await world.agent.start(world.config([world.httpOutput], { path: join(world.dir, "log", "*.log") }));
      const rounds = 6;
      const perFile = Math.ceil(world.scale.records / names.length / rounds);
      for (let round = 0; round < rounds; round++) {
        for (const [n, name] of names.entries()) {
          const ids = Array.from({ length: perFile }, (_, i) => `f-${n}-${round}-${i}`);
          fs.appendFileSync(name, ids.map((id) => `${auditLine(id)}\n`).join(""));
          world.wrote(ids);
        }
        await sleep(50);
        if (round % 2 === 1) for (const name of names) fs.renameSync(name, `${name}.${round}`);
      }
    },
  },
];

/** The size at which a log of the whole run is rotated so many times. */
function rotateBytes(world: FaultWorld, times: number): number {
  return Math.floor((world.scale.records * bytesPerRecord) / times);
}

function rotating(name: string, fluentBit: string, rotation: Rotation, times: number): Scenario {
  return {
    name,
    fluentBit,
    async run(world) {
      await world.agent.start(world.config());
      const writer = world.write({ rotation, rotateBytes: rotateBytes(world, times) });
      await writer.reached(world.scale.records);
    },
  };
}

async function outageWhileRotating(world: FaultWorld, rotation: Rotation): Promise<void> {
  const output = world.httpOutput.replace("}", ", storage.total_limit_size: 1M }");
  await world.agent.start(world.config([output]));
  const writer = world.write({ rotation, rotateBytes: rotateBytes(world, 20) });
  await world.outage(
    writer,
    () => world.http.refuse(),
    () => world.http.listen(),
  );
}
