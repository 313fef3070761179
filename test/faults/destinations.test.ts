import { suite } from "node:test";
import { destinationFaults } from "./destinations.ts";
import { losesNothing } from "./loses-nothing.ts";

// Two at a time: they share nothing and mostly wait, for an outage to end or an output to try again.
suite("destination faults", { concurrency: 2 }, () => {
  for (const scenario of destinationFaults) losesNothing(scenario);
});
