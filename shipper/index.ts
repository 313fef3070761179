/** The door of the shipper: Fluent Bit's config language in, a typed pipeline out. Pure: it opens nothing. */
export { allowHere, allowNamed } from "./allow-named.ts";
export { checkAllowed, destinationProblem, isBelow, isBelowAny, publicCaDirectories } from "./allow.ts";
export type { AllowList, Destination, ListenAddress } from "./allow.ts";
export type {
  ContainerFormat,
  DetectConfig,
  DummyConfig,
  FileConfig,
  FleetConfig,
  HealthConfig,
  HttpInputConfig,
  InputConfig,
  LineFormat,
  MonitorConfig,
  NullConfig,
  OutputConfig,
  PipelineConfig,
  RotationConfig,
  ServerTlsConfig,
  ServiceConfig,
  StdinConfig,
  StdoutConfig,
  TailConfig,
} from "./config.ts";
export { explainShipperConfig } from "./explain.ts";
export type { ExplainedConfig, ExplainedSection, Setting } from "./explain.ts";
export type { FieldPath, PathStep } from "./field-path.ts";
export { fluentBitParsers, toFluentBit } from "./fluent-bit.ts";
export type { FluentBitConfig, FluentBitPlace } from "./fluent-bit.ts";
export type { ForwardConfig } from "./forward-config.ts";
export type {
  Condition,
  ConvertRule,
  FilterConfig,
  GrepConfig,
  GrepRule,
  KeyTest,
  MaskConfig,
  ModifyConfig,
  ModifyRule,
  NestConfig,
  ThrottleConfig,
  TypeConverterConfig,
} from "./filter-config.ts";
export type {
  EsConfig,
  EsId,
  EsIndex,
  HttpAuth,
  HttpConfig,
  HttpEndpoint,
  LokiConfig,
  LokiLabel,
  ProxyConfig,
  Secret,
  TlsConfig,
} from "./http-config.ts";
export type { KafkaBroker, KafkaConfig, KafkaSasl } from "./kafka-config.ts";
export { compileMatch, compileRegex, globMatches } from "./match.ts";
export type { Match } from "./match.ts";
export { parseShipperConfig } from "./parse.ts";
export type { ParsedConfig } from "./parse.ts";
export { renderProblems } from "./problem.ts";
export type { Place, Problem } from "./problem.ts";
export { mayHoldSecret } from "./redact.ts";
export { shellMatches } from "./shell-pattern.ts";
export type { ConfigFile } from "./section.ts";
export { parseWithStandIns } from "./stand-ins.ts";
export { strftime } from "./strftime.ts";
export type { Variables } from "./variables.ts";
