import { processFaults } from "./processes.ts";
import { losesNothing } from "./loses-nothing.ts";

for (const scenario of processFaults) losesNothing(scenario);
