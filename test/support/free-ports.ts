import { createServer } from "node:net";

/** A port on loopback that nobody listens on, and that the system hands out to nobody who asks for any port. */
export async function freePort(): Promise<number> {
  return freePorts(1);
}

/** The first of so many free ports in a row, below the range from which the system hands out ports. */
export async function freePorts(count = 2): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const wanted = Array.from({ length: count }, (_, i) => port + i);
    if ((await Promise.all(wanted.map(isFree))).every(Boolean)) return port;
  }
  throw new Error(`No ${count} free ports in a row between 20000 and 30000`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
