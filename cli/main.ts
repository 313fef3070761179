import { runFleetctl } from "./fleetctl.ts";
import { processScreen } from "./screen.ts";

// It throws nothing. Without a top-level await, which a bundle cannot have.
void runFleetctl(process.argv.slice(2), processScreen()).then((code) => {
  process.exitCode = code;
});
