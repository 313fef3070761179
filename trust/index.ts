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
  olderEngine,
  parseBundle,
  responsePath,
  responseText,
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
export {
  checkDelegations,
  delegationsMax,
  findDelegation,
  layerOfRole,
  layerRole,
  readDelegations,
  type LayerBounds,
  type LayerDelegation,
  type LayerGrant,
  type LayerTerms,
} from "./delegations.ts";
export { layersHeldMax } from "./held-layers.ts";
export {
  checkNextLayerList,
  layerListBytesMax,
  newLayerList,
  readLayerList,
  verifyLayerList,
  type LayerListChange,
  type LayerListView,
  type ListedLayer,
} from "./layer-list.ts";
export {
  buildLayerRelease,
  checkLayerFits,
  describeLayer,
  layerBytesMax,
  layerOfPath,
  layerPath,
  parseLayerRelease,
  type BuiltLayer,
  type LayerRef,
  type LayerRelease,
} from "./layer-release.ts";
export { checkConfined, checkLayerTarget, standingDelegation } from "./layer-target.ts";
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
export {
  issuerKeyObject,
  issuerKeysBytesMax,
  readIssuerKeys,
  type IssuerAlgorithm,
  type IssuerKey,
  type IssuerKeys,
} from "./issuer-keys.ts";
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
  trustedLists,
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
  spkiPinOfPem,
  type CertifiedKey,
} from "./certificates.ts";
export {
  checkAgentCertificate,
  checkPinnedServer,
  issuerPin,
  readAgentCertificate,
  readCas,
  type AgentCertificate,
  type PinnedServer,
  type ReadCa,
} from "./certificate-checks.ts";
export { parseSpiffeId, spiffeId, type AgentIdentity } from "./identity.ts";
export {
  formatJoinAddress,
  formatJoinString,
  parseJoinAddress,
  parseJoinString,
  type JoinAddress,
  type JoinString,
} from "./join-string.ts";
export { isName } from "./names.ts";
export { decodeKeyFile, encodeKeyFile, isSealedKeyFile, publicKeyOfKeyFile } from "./key-file.ts";
export { openSealed, seal, type Seal } from "./seal.ts";
export { openCaKey, sealCaKey } from "./sealed-ca.ts";
export { isReportSigned, reportType, signReport, verifyReport } from "./report.ts";
export type { CandidateRef } from "./cluster-order.ts";
export { isResponseSigned, type ResponseAction, responseActions, signResponse } from "./response.ts";
export { shadowType, signShadow, verifyShadow, type ShadowOrder } from "./shadow.ts";
export { signBacktest, verifyBacktest, type BacktestOrder } from "./backtest.ts";
