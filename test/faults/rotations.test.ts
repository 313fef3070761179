import { rotationFaults } from "./rotations.ts";
import { losesNothing } from "./loses-nothing.ts";

for (const scenario of rotationFaults) losesNothing(scenario);
