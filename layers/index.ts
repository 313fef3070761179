/** The door of layers: what the layers of a bundle mean together. Pure: no files, no clock. */
export { checkContents, type ContentCounts, type Contents } from "./check-contents.ts";
export { misfitLayer, unreadableLayer } from "./check-layer.ts";
export {
  type ComposeOptions,
  composeRules,
  type Composition,
  type LeftOut,
  ownedFiles,
  type OwnedLayer,
} from "./compose.ts";
export { findConflicts, type LayerConflict, ownedConflicts, renderConflicts } from "./conflicts.ts";
export {
  parseResponses,
  podFields,
  type ResponsePolicies,
  type ResponsePolicy,
  responseProblems,
} from "./response-policy.ts";
export { combinationsMax, type LayerSet, layerSets, type LayerSets } from "./layer-sets.ts";
