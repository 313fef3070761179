import manifest from "../package.json" with { type: "json" };

/** The version of this agent, as packaged. */
export const agentVersion: string = manifest.version;
