import { programArgs, takeBuilt } from "../../cli/programs.ts";

/**
 * What Node is given to start our programs as processes. A whole run has them built first, as people get them; they start with a third
 * of the CPU. A run of single files takes the sources.
 */
const built = process.env["FALCONRY_TEST_BUILT"];
if (built !== undefined) takeBuilt(built);

export { programArgs };
