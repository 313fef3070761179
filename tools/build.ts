import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./test-files.ts";

/** Emits `dist/`: plain JavaScript with a package.json of its own, for images and for the published CLI. */
const dist = join(root, "dist");
rmSync(dist, { recursive: true, force: true });
const tsc = join(root, "node_modules", ".bin", "tsc");
const { status } = spawnSync(tsc, ["-p", join("tools", "tsconfig.build.json")], {
  cwd: root,
  stdio: "inherit",
});

if (status === 0) {
  for (const data of ["migrations", "rules", "deploy", "LICENSE"]) {
    if (existsSync(join(root, data))) cpSync(join(root, data), join(dist, data), { recursive: true });
  }
  const text = readFileSync(join(root, "package.json"), "utf8");
  const {
    devDependencies: _,
    scripts: _scripts,
    bin: _bin,
    ...kept
  } = JSON.parse(text) as {
    devDependencies: unknown;
    scripts: unknown;
    bin: unknown;
    imports: Record<string, string>;
    oclif?: unknown;
  };
  // The doors lead to the same rooms, as JavaScript.
  const imports = Object.entries(kept.imports).map(([door, file]) => [door, file.replace(/\.ts$/, ".js")]);
  const pkg = { ...kept, imports: Object.fromEntries(imports) as unknown, bin: { fleetctl: "cli/main.js" } };
  writeFileSync(join(dist, "package.json"), `${JSON.stringify(pkg, undefined, 2)}\n`);
  console.log("dist/ is built: node dist/cli/main.js --help");
} else {
  process.exitCode = status ?? 1;
}
