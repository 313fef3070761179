import { globSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { basename, join } from "node:path";

/**
 * `npm run bench -- NAME`: runs one benchmark and prints one JSON object with the machine, the input and the figures. A
 * benchmark measures a baseline in the same run, so that its figures are ratios and hold on another machine.
 */
const dir = join(import.meta.dirname, "..", "test", "load");
const names = globSync("*.bench.ts", { cwd: dir }).map((file) => basename(file, ".bench.ts"));
const [name = "", ...args] = process.argv.slice(2);

if (!names.includes(name)) {
  process.stderr.write(`There is no benchmark "${name}". Benchmarks: ${names.join(", ")}\n`);
  process.exitCode = 2;
} else {
  const { run } = (await import(join(dir, `${name}.bench.ts`))) as {
    run: (args: readonly string[]) => Promise<object>;
  };
  const machine = {
    cores: cpus().length,
    cpu: cpus()[0]?.model ?? "unknown",
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
  const figures = await run(args);
  process.stdout.write(`${JSON.stringify({ bench: name, machine, ...figures }, undefined, 2)}\n`);
}
