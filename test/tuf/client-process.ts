import { runClient } from "./client.ts";

/** The command that the public conformance suite runs; `FALCONRY_TUF_NOW` stands for the clock. */
const now = process.env["FALCONRY_TUF_NOW"];
const result = await runClient(process.argv.slice(2), now === undefined ? new Date() : new Date(now));
if (!result.ok) console.error(`${result.refusal.code}: ${result.refusal.message}`);
process.exitCode = result.ok ? 0 : 1;
