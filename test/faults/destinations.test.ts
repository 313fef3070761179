import { destinationFaults } from "./destinations.ts";
import { losesNothing } from "./loses-nothing.ts";

for (const scenario of destinationFaults) losesNothing(scenario);
