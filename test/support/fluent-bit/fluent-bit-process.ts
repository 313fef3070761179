import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { freePort } from "../free-ports.ts";
import { testProgram } from "../../../agent/pipeline/testing/test-program.ts";
import { until } from "../../../agent/pipeline/testing/until.ts";
import { bareEnv } from "../bare-env.ts";
import { programOf } from "../restartable.ts";

/** The real Fluent Bit, when there is one to test against. */
export const realFluentBit: string | undefined = process.env["FLUENT_BIT_BIN"];

/** A Fluent Bit on this machine, with what an agent's settings say about it. */
export interface FluentBitProcess {
  readonly dir: string;
  /** The folder of its config. */
  readonly configDir: string;
  readonly env: Readonly<Record<string, string>>;
  config(): string;
  log(): string;
  /** Words of the fake: what goes wrong from now on. */
  moods(...words: readonly string[]): void;
  /** Starts it with whatever config lies there. */
  start(): Promise<void>;
  kill(): Promise<void>;
  isRunning(): boolean;
}

/**
 * Says where a Fluent Bit is to be: the real one when FLUENT_BIT_BIN says where it is, else the fake. The agent writes its config
 * first. As a pod it has an address of its own, and the folder of its config to itself.
 */
export async function placeFluentBit(
  t: TestContext,
  pod?: { readonly host: string; readonly port: number },
): Promise<FluentBitProcess> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-fluent-bit-")));
  const at = (name: string) => join(dir, name);
  mkdirSync(at("data"));
  const url = pod === undefined ? `http://127.0.0.1:${await freePort()}` : `http://${pod.host}:${pod.port}`;
  const env = {
    ...bareEnv(),
    FAKE_FLUENT_BIT_MOODS: at("moods"),
    ...(pod === undefined ? {} : { FAKE_FLUENT_BIT_LISTEN: pod.host }),
  };
  const configDir = pod === undefined ? dir : at("mounted");
  const config = join(configDir, "fluent-bit.conf");
  const program = programOf([...commandOf(), "-Y", "-c", config], at("fluent-bit.log"), env);
  const words = commandOf().map((word) => `'${word}'`);
  writeFileSync(at("bin"), `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, { mode: 0o755 });
  t.after(async () => {
    await program.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    dir,
    configDir,
    env: {
      FALCONRY_SHIPPER_DRIVER: "fluent-bit",
      FALCONRY_FLUENT_BIT_CONFIG: config,
      FALCONRY_FLUENT_BIT_DATA_DIR: at("data"),
      FALCONRY_FLUENT_BIT_URL: url,
      FALCONRY_FLUENT_BIT_LOG: at("fluent-bit.log"),
      FALCONRY_FLUENT_BIT_PROOF_SECONDS: realFluentBit === undefined ? "3" : "30",
    },
    config: () => (existsSync(config) ? readFileSync(config, "utf8") : ""),
    log: () => readFileSync(at("fluent-bit.log"), "utf8"),
    moods: (...given) => writeFileSync(at("moods"), given.join("\n")),
    async start() {
      program.start();
      await until("Fluent Bit is up", async () => {
        const answer = await fetch(`${url}/api/v2/reload`).catch(() => undefined);
        return answer?.ok === true;
      });
    },
    kill: () => program.kill(),
    isRunning: () => program.isRunning(),
  };
}

function commandOf(): readonly string[] {
  if (realFluentBit !== undefined) return [realFluentBit];
  return [process.execPath, ...testProgram("fake-fluent-bit")];
}
