import { createHash } from "node:crypto";
import { connect, createServer, type Server } from "node:net";
import { PostgresError } from "./errors.ts";

/**
 * Makes sure that one process supervises a cluster. The lock is a name in the kernel (an abstract unix socket), so it
 * cannot outlive its holder, not even after kill -9, and there is no stale file to judge.
 */
export async function lockFolder(dir: string): Promise<() => void> {
  const name = `\0falconry-postgres-${createHash("sha256").update(dir).digest("hex")}`;
  const server = createServer((socket) => socket.on("error", () => {}).end(String(process.pid)));
  try {
    await listen(server, name);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cause;
    throw new PostgresError(
      `The database in ${dir} is already run by process ${await askHolder(name)}: ` +
        "stop that one first, or choose another state folder",
      { cause },
    );
  }
  server.unref();
  return () => {
    server.close();
  };
}

function listen(server: Server, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(name, resolve);
  });
}

function askHolder(name: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(name);
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on("data", (part) => {
      answer = (answer + part.toString("latin1")).slice(0, 10);
    });
    socket.on("error", () => {}).on("close", () => resolve(answer || "(unknown)"));
  });
}
