import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..", "..");

/** Programs that only tests start; `test/support/single-file.ts` has the same names. */
const sources = {
  driver: "agent/pipeline/testing/driver.ts",
  "agent-process": "test/faults/agent-process.ts",
  "fake-falco": "test/support/falco/fake-falco.ts",
  "fake-fluent-bit": "test/support/fluent-bit/fake-fluent-bit.ts",
} as const;

/**
 * What Node is given to start such a program. A whole run has built them into one file, like our own programs: a start takes a third of
 * the CPU. A run of single files takes the sources.
 */
export function testProgram(name: keyof typeof sources): readonly string[] {
  const built = process.env["FALCONRY_TEST_BUILT"];
  return built === undefined ? [join(root, sources[name])] : [join(built, "test-programs.cjs"), `@${name}`];
}
