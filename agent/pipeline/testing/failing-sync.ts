import nodeFs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import type { TestContext } from "node:test";

/** Lets syncs of file contents fail as a broken disk does, for as long as `isBroken` says so. */
export function breakSyncs(t: TestContext, isBroken: () => boolean): void {
  const real = { fdatasync: nodeFs.fdatasync, fdatasyncSync: nodeFs.fdatasyncSync };
  const failure = () => Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });
  const replaced = {
    fdatasync(fd: number, done: (error: NodeJS.ErrnoException | null) => void) {
      if (isBroken()) setImmediate(() => done(failure()));
      else real.fdatasync(fd, done);
    },
    fdatasyncSync(fd: number) {
      if (isBroken()) throw failure();
      real.fdatasyncSync(fd);
    },
  };
  const put = (functions: object): void => {
    Object.assign(nodeFs, functions);
    syncBuiltinESMExports();
  };
  put(replaced);
  t.after(() => put(real));
}
