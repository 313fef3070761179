/** The door of layers: what the layers of a bundle mean together. Pure: no files, no clock. */
export { checkContents, type ContentCounts, type Contents } from "./check-contents.ts";
export { findConflicts, type LayerConflict, renderConflicts } from "./conflicts.ts";
export { combinationsMax, type LayerSet, layerSets, type LayerSets } from "./layer-sets.ts";
