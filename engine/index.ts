/**
 * The door of the engine: Falco's rule language for Kubernetes audit events and for system calls that Linux audits. Pure: no
 * files, no clock, no randomness. Rules are loaded into a report, a report's ruleset becomes a detector, a detector reads lines.
 */
export type { Alert, AlertFormat } from "./alert.ts";
export type { AppendOutput } from "./append-output.ts";
export { type Clash, clashesOf, type ClashSide } from "./clashes.ts";
export {
  type Change,
  compareRuleSets,
  type ExceptionChange,
  type RuleChanges,
  type RuleSetComparison,
} from "./compare.ts";
export { type CoveredRequest, coverRequests, type RequestKind } from "./coverage.ts";
export {
  createDetector,
  type Detection,
  type Detector,
  type DetectorOptions,
  type ShownLine,
} from "./detector.ts";
export { diffRules, type RuleDiff } from "./diff.ts";
export { createEventStream, type EventStream, isAuditRecord } from "./event-stream.ts";
export type { EnvelopeChoice, EnvelopeKind } from "./envelopes/open-envelope.ts";
export type { ExceptionInfo, ExceptionValue } from "./exception-info.ts";
export { type ExplainedPart, type Explanation, explainRule, type ExplainOutcome } from "./explain.ts";
export {
  type EngineConfig,
  engineConfigKeys,
  type IgnoredKey,
  parseEngineConfig,
  type ParsedEngineConfig,
} from "./falco-config.ts";
export type { Compat, FieldClass, FieldDefinition } from "./fields/field.ts";
export { builtInSources, fieldClasses } from "./fields/registry.ts";
export type { Location, Shown } from "./context.ts";
export { falcoResults, type FileResult, type Finding, type Note } from "./findings.ts";
export type { Position } from "./source-text.ts";
export {
  type AuditRecordReader,
  type AuditRecordReaderOptions,
  type AuditRecords,
  createAuditRecordReader,
} from "./linux-audit/audit-record-reader.ts";
export { type AuditRecordHead, readAuditHead } from "./linux-audit/record.ts";
export type { SyscallEvent } from "./linux-audit/syscall-event.ts";
/** How JSON is read byte by byte, for others who read it so. */
export { numberEnd, skipBlanks, stringEnd, wordEnd } from "./json/scan.ts";
export { type PlainYaml, type PlainYamlRead, readPlainYaml } from "./plain-yaml.ts";
export { loadRules, type LoadOptions, type LoadReport, type RulesFile } from "./load.ts";
export { type Onlooker, type ShadowFinding, type ShadowMatch } from "./shadow.ts";
export { createRecordDetector, type RecordDetector, type RecordDetectorOptions } from "./record-detector.ts";
export { renderFindings } from "./render.ts";
export { priorities, type Priority, type RuleInfo, type RuleSet } from "./ruleset.ts";
export { keepRules } from "./select.ts";
export { servedRequests } from "./served-requests.ts";
export type { RuleSwitch } from "./switches.ts";
export type { ProbedValue } from "./probe.ts";
export { type Loss, lossesOf, matchesStill, protectedTag } from "./protection.ts";
export { type Act, type ItemKind, type Statement, statementsIn } from "./statements.ts";
export {
  type Piece,
  placesOf,
  type TracedException,
  type TracedItem,
  type TracedNames,
  type TracedProperty,
  type TracedValue,
  traceRules,
} from "./trace.ts";
export { isCompatible } from "./semver.ts";
export { engineVersion } from "./version.ts";
