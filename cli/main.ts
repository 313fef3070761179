import { runFleetctl } from "./fleetctl.ts";
import { processScreen } from "./screen.ts";

process.exitCode = await runFleetctl(process.argv.slice(2), processScreen());
