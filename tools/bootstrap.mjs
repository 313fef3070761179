// Plain JavaScript for any Node from 20 on, without dependencies: `npm start` and `npm test` work on a fresh clone.
// Talks on stderr only, because stdout belongs to what it runs.
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { becomeNode, findNode, runToEnd } from "../bin/node24.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");

/** What can be asked for, and the program that does it. */
const programs = {
  up: ["cli/main.ts", "up"],
  test: ["tools/test.ts"],
  node: [],
};

/** Why an install is needed, or undefined. Packages only for development may be absent where nobody develops. */
function whyInstall(isDevelopment) {
  const installedFile = join(modules, ".package-lock.json");
  if (!existsSync(installedFile)) return "nothing is installed yet";
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  for (const [path, { version, integrity, optional, dev }] of Object.entries(wanted)) {
    if (path === "") continue;
    const found = installed[path];
    if (found === undefined && (optional || (dev && !isDevelopment))) continue;
    if (found?.version !== version || found?.integrity !== integrity || !existsSync(join(root, path))) {
      return `${path.replace(/^node_modules\//, "")} is not the locked ${version}`;
    }
  }
  return findNode(root) === undefined ? "Node 24 is missing" : undefined;
}

async function install(why) {
  process.stderr.write(`Installing the dependencies (${why}) ...\n`);
  const began = performance.now();
  // Under npm, the npm that runs us; its own settings arrive through the environment.
  const npm = process.env.npm_execpath;
  const args = ["ci", "--no-audit", "--no-fund"];
  const [program, first] = npm?.endsWith(".js") ? [process.execPath, [npm]] : ["npm", []];
  const { status, error } = await runToEnd(program, [...first, ...args], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (status === 0) {
    process.stderr.write(`Installed in ${seconds} s\n`);
    return;
  }
  process.stderr.write(
    `The install failed after ${seconds} s (${error?.message ?? `exit code ${status}`}): ` +
      "see the lines above, check the network and the free disk space, then try again\n",
  );
  process.exit(1);
}

/** Makes `npx fleetctl` mean ours: npm links the commands of dependencies, not those of the package itself. */
function link() {
  const path = join(modules, ".bin", "fleetctl");
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() && existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(join("..", "..", "bin", "fleetctl.js"), path);
  chmodSync(join(root, "bin", "fleetctl.js"), 0o755);
}

/** What the server of `npm start` hands out to browsers. Without the packages that build it the fleet runs, and the server says so. */
async function buildConsole(node) {
  if (!existsSync(join(modules, "vite"))) return;
  const options = { cwd: root, stdio: ["ignore", 2, 2] };
  const { status } = await runToEnd(node, [join(root, "tools", "console.ts")], options);
  if (status === 0) return;
  process.stderr.write("The console could not be built: see the lines above. The fleet starts without it\n");
}

const [what = "", ...rest] = process.argv.slice(2);
if (what === "link") {
  link();
} else if (!Object.hasOwn(programs, what)) {
  process.stderr.write(
    `Usage: node tools/bootstrap.mjs ${Object.keys(programs).join("|")}|link [ARGUMENT...]\n`,
  );
  process.exitCode = 2;
} else {
  const why = whyInstall(what !== "up");
  if (why !== undefined) await install(why);
  link();
  const [file, ...args] = programs[what];
  process.chdir(process.env.INIT_CWD ?? process.cwd());
  const program = file === undefined ? [] : [join(root, file), ...args];
  const node = findNode(root);
  if (node === undefined) {
    process.stderr.write(
      `No Node 24 for ${process.platform} on ${process.arch} among the dependencies: install one, then try again\n`,
    );
    process.exitCode = 2;
  } else {
    if (what === "up") await buildConsole(node);
    becomeNode(node, [...program, ...rest]);
  }
}
