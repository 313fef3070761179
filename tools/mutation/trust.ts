import type { MutationSet } from "./sets.ts";

/** The verifier of agents and servers, and the tests that have to notice when a check of it is gone. */
export const trust: MutationSet = {
  files: [
    "trust/update.ts",
    "trust/root.ts",
    "trust/metadata.ts",
    "trust/trusted.ts",
    "trust/targets.ts",
    "trust/assignment.ts",
    "trust/envelope.ts",
    "trust/keys.ts",
    "trust/json.ts",
    "trust/time.ts",
    "trust/bundle.ts",
    "agent/trust-store.ts",
  ],
  // Makers of what is signed, and texts for people: not checks.
  skip: ["newRoot", "rootSpecOf", "newTargets", "signMetadata", "underSigned", "buildBundle"],
  tests: [
    "trust/floors.test.ts",
    "trust/pins.test.ts",
    "trust/root.test.ts",
    "trust/trusted.test.ts",
    "trust/targets.test.ts",
    "trust/bundle.test.ts",
    "trust/assignment.test.ts",
    "trust/update.test.ts",
    "trust/signers.test.ts",
    "agent/trust-store.test.ts",
  ],
  slow: "no single changed byte|whatever of all that",
  copied: ["trust", "agent/trust-store.ts", "agent/agent-error.ts", "package.json"],
  equivalent: [
    {
      file: "trust/root.ts",
      inside: "readRoot",
      from: 'isObject(signed["roles"])',
      to: "true",
      because: "@tufjs/models refuses a root without an object of roles before",
    },
    {
      file: "trust/root.ts",
      inside: "readRoot",
      from: "org === undefined",
      to: "false",
      because: "an org that is undefined reads like one that is absent",
    },
    {
      file: "trust/update.ts",
      inside: "stepTargets",
      from: "snapshot === undefined",
      to: "false",
      because: "the step before refuses without a snapshot; the condition is there for the types",
    },
  ],
};
