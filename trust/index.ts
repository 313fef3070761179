/** Everything about who may decide what: keys, TUF metadata, bundles, assignments, identities and the join string. */
export {
  assignmentType,
  checkBundle,
  checkBundleFits,
  checkTarget,
  signAssignment,
  verifyAssignment,
  type Assignment,
  type AssignmentContext,
} from "./assignment.ts";
export {
  auditBodyBytesMax,
  auditDigest,
  auditGenesis,
  auditLink,
  auditRow,
  readAuditEntry,
  type AuditActor,
  type AuditEntry,
  type AuditRow,
} from "./audit.ts";
export {
  auditHeadType,
  auditLinksMax,
  judgeAuditHead,
  readAuditHead,
  signAuditHead,
  verifyAuditHead,
  verifyTrustedHead,
  type AuditHead,
  type AuditStep,
} from "./audit-head.ts";
export {
  auditAuthority,
  createAuditVerifier,
  type AuditFault,
  type AuditProblem,
  type AuditVerdict,
  type AuditVerifier,
  type SignedHead,
} from "./audit-verify.ts";
export {
  buildBundle,
  bundleDigest,
  checkEngine,
  describeBundle,
  digestOfTarget,
  effectiveFiles,
  effectiveLayers,
  layerFiles,
  layerId,
  layerMatches,
  parseBundle,
  targetPath,
} from "./bundle.ts";
export {
  bundleBytesMax,
  bundleFilesMax,
  bundleKinds,
  bundleLayersMax,
  layerLevels,
  type BuiltBundle,
  type Bundle,
  type BundleFile,
  type BundleKind,
  type Layer,
  type LayerLevel,
  type TargetRef,
} from "./bundle-types.ts";
export { caBundleType, signCaBundle, verifyCaBundle, type CaBundle } from "./ca-bundle.ts";
export type { Checked, Refusal, Refused, TrustCode } from "./checked.ts";
export { preAuthEncoding, signEnvelope, verifyEnvelope, type Envelope } from "./envelope.ts";
export {
  generateKey,
  isSignedBy,
  publicKeyFromHex,
  publicKeyFromPem,
  publicKeyToPem,
  shortId,
  signingKey,
  type PublicKey,
  type Signer,
  type SigningKey,
} from "./keys.ts";
export { lifeOf, lifeStage, lifetimesMs, lifeUsed, type Life, type LifeStage } from "./life.ts";
export {
  checkExpiry,
  checkSignatures,
  gatherSignatures,
  metadataBytesMax,
  metadataRole,
  parseMetadata,
  roleNames,
  signMetadata,
  type Authority,
  type Document,
  type Gathered,
  type RoleName,
} from "./metadata.ts";
export { isHalfOver, newSnapshot, newTimestamp, type OnlineSpec } from "./online.ts";
export {
  authorised,
  checkNextRoot,
  followRoot,
  newRoot,
  readRoot,
  rootSpecOf,
  type Authorised,
  type OnlineKeys,
  type RootSpec,
  type RootView,
} from "./root.ts";
export {
  checkNextTargets,
  newTargets,
  readTargets,
  type ListedTarget,
  type TargetsChange,
  type TargetsView,
} from "./targets.ts";
export {
  decodeTrusted,
  emptyTrusted,
  encodeTrusted,
  raiseGeneration,
  rootPin,
  trustedAssigners,
  trustedLives,
  trustedVersions,
  type Trusted,
} from "./trusted.ts";
export { updateTrusted, type MetadataUpdate, type TrustUpdate } from "./update.ts";
export {
  agentLifetimeMs,
  caLifetimeMs,
  certificatesFromPem,
  certificateToPem,
  createCa,
  createCsr,
  generatePrivateKey,
  issueAgentCertificate,
  issueServerCertificate,
  readCsr,
  serverLifetimeMs,
  spkiPin,
  type CertifiedKey,
} from "./certificates.ts";
export {
  checkAgentCertificate,
  checkPinnedServer,
  issuerPin,
  readAgentCertificate,
  type AgentCertificate,
  type PinnedServer,
} from "./certificate-checks.ts";
export { parseSpiffeId, spiffeId, type AgentIdentity } from "./identity.ts";
export { formatJoinString, parseJoinString, type JoinString } from "./join-string.ts";
export { decodeKeyFile, encodeKeyFile, isSealedKeyFile, publicKeyOfKeyFile } from "./key-file.ts";
export { openCaKey, sealCaKey } from "./sealed-ca.ts";
export { reportType, signReport, verifyReport } from "./report.ts";
export { shadowType, signShadow, verifyShadow, type ShadowOrder } from "./shadow.ts";
export { signBacktest, verifyBacktest, type BacktestOrder } from "./backtest.ts";
