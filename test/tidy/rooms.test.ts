import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { readText, repositoryFiles } from "./files.ts";

/** Which other rooms a room may open. What is not listed is a closed door. */
const doors: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  engine: [],
  shipper: [],
  trust: [],
  layers: ["engine", "shipper", "trust"],
  report: [],
  wire: [],
  traces: [],
  postgres: [],
  server: ["proto", "engine", "shipper", "trust", "layers", "postgres", "report", "traces"],
  agent: ["proto", "engine", "shipper", "trust", "layers", "wire", "traces"],
  cli: ["proto", "engine", "shipper", "trust", "layers", "postgres", "report", "wire", "traces"],
  web: ["proto", "engine", "report"],
};

/** Folders without I/O, clock and dice, and the libraries each may use, by name. */
const pure: Readonly<Record<string, readonly string[]>> = {
  engine: [],
  shipper: ["yaml", "re2js"],
  trust: ["node:crypto", "@tufjs/models", "@peculiar/x509", "reflect-metadata"],
  layers: [],
  report: [],
  // For LogQL alone.
  "server/domain": ["@grafana/lezer-logql", "@lezer/common", "re2js"],
  "agent/domain": [],
  "cli/output": [],
  // For its types alone.
  "cli/onboard/plan": ["@kubernetes/client-node"],
};

/** Inside a top room: a folder may use those further right, never those further left. */
const floors: Readonly<Record<string, readonly (readonly string[])[]>> = {
  server: [["rpc", "reconcile", "sessions"], ["store"], ["domain"]],
  agent: [["link", "pipeline"], ["domain"]],
};

/** Folders with code that are no rooms: they may open every door, and nobody opens theirs. */
const outside = ["bin", "test", "tools"];

/** Test code: `x.test.ts`, and `testing.ts` and `fixture.ts` with what the tests of a room share. */
const isTest = (file: string): boolean => /\.test\.\w+$|(^|\/)(testing|fixture)\.ts$/.test(file);
const code = repositoryFiles().filter((file) => /\.(tsx?|js|mjs)$/.test(file) && !isTest(file));
const statement = /^(?:import\s+(?:[^;"]*?\bfrom\s+)?|export\b[^;"=(]*?\bfrom\s+)"([^"]+)"/gm;
const call = /\bimport\(\s*"([^"]+)"/g;

function imports(file: string): readonly string[] {
  const text = readText(file);
  return [statement, call].flatMap((pattern) => [...text.matchAll(pattern)].map(([, to]) => to ?? ""));
}

test("every folder with code is a room with its doors written down", () => {
  const folders = new Set(
    code.filter((file) => file.includes("/")).map((file) => file.split("/", 1)[0] ?? ""),
  );
  assert.deepEqual(
    [...folders].filter((folder) => !(folder in doors) && !outside.includes(folder)),
    [],
  );
});

for (const [room, allowed] of Object.entries(doors)) {
  test(`${room} opens no closed door`, () => {
    const files = code.filter((file) => file.startsWith(`${room}/`));
    assert.ok(files.length > 0, "the rule must not pass because it saw nothing");
    assert.deepEqual(
      files.flatMap((file) => imports(file).flatMap((to) => doorOffence(file, room, allowed, to))),
      [],
    );
  });
}

function doorOffence(file: string, room: string, allowed: readonly string[], to: string): readonly string[] {
  if (!to.startsWith(".") && !to.startsWith("#")) return [];
  const target = to.startsWith("#") ? to.slice(1) : join(dirname(file), to);
  if (target === "package.json") return []; // Our name and version, for everybody.
  if (isTest(target)) return [`${file}: only tests may import ${to}`];
  const into = target.split("/", 1)[0] ?? "";
  const isDoor = to.startsWith("#");
  if (into === room) return isDoor ? [`${file}: ${room} is at home, import ${to} by its path`] : [];
  if (!allowed.includes(into)) return [`${file}: ${room} may not import ${to}`];
  return isDoor ? [] : [`${file}: enter ${into} by its #door, not by ${to}`];
}

for (const [folder, libraries] of Object.entries(pure)) {
  test(`${folder} stays pure`, () => {
    const files = code.filter((file) => file.startsWith(`${folder}/`));
    assert.ok(files.length > 0, "the rule must not pass because it saw nothing");
    assert.deepEqual(
      files.flatMap((file) =>
        imports(file)
          .filter((to) => !libraries.includes(to) && !isPure(file, to))
          .map((to) => `${file}: pure code may not import ${to}`),
      ),
      [],
    );
  });
}

function isPure(file: string, to: string): boolean {
  if (!to.startsWith(".") && !to.startsWith("#")) return false;
  const target = to.startsWith("#") ? `${to.slice(1)}/` : join(dirname(file), to);
  return Object.keys(pure).some((folder) => target.startsWith(`${folder}/`));
}

for (const [room, order] of Object.entries(floors)) {
  test(`${room} looks down its floors only`, () => {
    const floorOf = (path: string): number =>
      order.findIndex((names) => names.includes(path.split("/")[1] ?? ""));
    const offences = code.flatMap((file) => {
      const from = file.startsWith(`${room}/`) ? floorOf(file) : -1;
      if (from === -1) return [];
      return imports(file)
        .filter((to) => to.startsWith("."))
        .map((to) => join(dirname(file), to))
        .filter((to) => to === `${room}/main.ts` || (floorOf(to) !== -1 && floorOf(to) < from))
        .map((to) => `${file}: may not import ${to}`);
    });
    assert.deepEqual(offences, []);
  });
}
