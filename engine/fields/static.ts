import type { FieldDefinition } from "./field.ts";

/** Texts that configuration gives a name, such as `static.environment`; which names there are is checked at load. */
export const staticFields: readonly FieldDefinition[] = [
  {
    name: "static",
    type: "CHARBUF",
    isList: false,
    argument: "word-required",
    doc: "A fixed text that configuration names, such as static.environment",
    bind:
      (name = "") =>
      ({ statics }) =>
        statics !== undefined && Object.hasOwn(statics, name) ? statics[name] : undefined,
  },
];
