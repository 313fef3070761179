import assert from "node:assert/strict";
import { chmodSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../test/support/run-cli.ts";
import { compiledFolder } from "./compile-cache.ts";

test("compiled code of fleetctl is kept where only the person can put it, and nowhere when there is no such place", async (t) => {
  const home = await temporaryDirectory(t);
  const uid = process.getuid?.() ?? -1;
  const below = (...names: readonly string[]) => join(home, ...names, "falconry", "compiled");
  assert.equal(compiledFolder({ HOME: home }, uid), below(".cache"));
  assert.equal(compiledFolder({ HOME: "/nowhere", XDG_CACHE_HOME: home }, uid), below());
  assert.equal(compiledFolder({ HOME: home }, uid + 1), undefined, "the home of who called sudo");
  assert.equal(
    compiledFolder({ XDG_CACHE_HOME: join(home, "to", "be", "made") }, uid),
    below("to", "be", "made"),
  );
  assert.equal(compiledFolder({ XDG_CACHE_HOME: "/tmp/nobody-made-this" }, uid), undefined);
  assert.equal(compiledFolder({}, uid), undefined);
  // An error of the file system that root gets as well; below somebody else's closed home it is another one.
  symlinkSync("around", join(home, "around"));
  assert.equal(compiledFolder({ XDG_CACHE_HOME: join(home, "around") }, uid), undefined, "no way there");
  chmodSync(home, 0o777);
  assert.equal(compiledFolder({ HOME: home }, uid), undefined, "everybody may write there");
});
