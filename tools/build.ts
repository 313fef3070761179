import { rmSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { bundle, type Program } from "./bundle/bundle.ts";
import { bundleConsole } from "./bundle/console.ts";
import { manifestSources } from "./bundle/manifest.ts";
import { partsOf } from "./bundle/notices.ts";
import { writePackage } from "./bundle/package.ts";
import { root } from "./test-files.ts";

/**
 * `npm run build [-- FOLDER]`: makes `dist/`, or the folder, which is the npm package: `fleetctl`, the agent and the server as one file each
 * that needs nothing but Node, the console that the server hands out, what they read beside them, and the licences of what is in them.
 */
const dist = resolve(root, process.argv[2] ?? "dist");
rmSync(dist, { recursive: true, force: true });
const programs: readonly Program[] = [
  {
    entry: "cli/single-file.ts",
    outfile: join(dist, "fleetctl.cjs"),
    replaced: await manifestSources(),
    loadedLater: ["yaml"],
  },
  { entry: "agent/single-file.ts", outfile: join(dist, "falconry-agent.cjs") },
  { entry: "server/single-file.ts", outfile: join(dist, "falconry-server.cjs") },
];
const metafiles = (await Promise.all(programs.map((program) => bundle(root, program)))).flat();
// Where the server's one file looks for it.
const web = await bundleConsole(root, join(dist, "console"));
writePackage(root, dist, partsOf(root, [...metafiles, web]));
for (const { outfile } of programs) {
  console.log(`${relative(root, outfile)}  ${Math.round(statSync(outfile).size / 1024)} KiB`);
}
