import { createServer, type AddressInfo } from "node:net";

/**
 * `bare-listener-process`: closes every connection as soon as it is there, and does nothing else. What a flood costs the callers of a server
 * beside it is what the machine takes for the flood, whoever refuses it. Prints its port; ends with standard input.
 */
const listener = createServer((socket) => {
  socket.on("error", () => undefined);
  socket.destroy();
});
listener.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(listener.address() as AddressInfo).port}\n`);
});
process.stdin.resume();
process.stdin.once("end", () => listener.close());
