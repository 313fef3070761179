/**
 * The door of the engine: Falco's rule language for Kubernetes audit events. Pure: no files, no clock, no
 * randomness. Rules are loaded into a report, a report's ruleset becomes a detector, a detector reads lines.
 */
export type { Alert } from "./alert.ts";
export { createDetector, type Detection, type Detector, type DetectorOptions } from "./detector.ts";
export { diffRules, type RuleDiff } from "./diff.ts";
export type { Compat, FieldClass, FieldDefinition } from "./fields/field.ts";
export { builtInSources, fieldClasses } from "./fields/registry.ts";
export type { FileResult, Finding, Location, Position } from "./findings.ts";
export { loadRules, type LoadOptions, type LoadReport, type RulesFile } from "./load.ts";
export { renderFindings } from "./render.ts";
export { priorities, type Priority, type RuleInfo, type RuleSet } from "./ruleset.ts";
export type { RuleSwitch } from "./switches.ts";
export { isCompatible } from "./semver.ts";
export { engineVersion } from "./version.ts";
