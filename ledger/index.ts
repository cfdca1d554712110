/** The unit's transparency log: tree, checkpoints, proofs, receipts, exports and the verifier. */
export {
  type Audit,
  type AuditOptions,
  auditLedger,
  type Finding,
  type FindingKind,
  type LedgerSource,
} from './audit.ts';
export {
  type Checkpoint,
  type CheckpointBody,
  formatCheckpointBody,
  parseCheckpoint,
  parseCheckpointBody,
  signCheckpoint,
  verifyCheckpoint,
} from './checkpoint.ts';
export { type ComparedLedger, diffLedgers, type LedgerDiff } from './diff.ts';
export {
  EXPORT_FORMAT,
  type ExportedCheckpoint,
  type ExportedLeaf,
  type ExportInput,
  exportPartial,
  exportWhole,
  type LedgerExport,
  nodesOfExport,
  parseExport,
} from './export.ts';
export {
  bodyHash,
  chainNext,
  chainStart,
  KIND_RECORD,
  LEAF_KINDS,
  type LeafView,
  type RecordLink,
  readLeaf,
} from './leaf.ts';
export {
  HASH_BYTES,
  isSubtree,
  rootOfInclusion,
  type Sha256,
  type TreeHasher,
  treeHasher,
  verifyConsistency,
  verifyInclusion,
  verifySubtreeConsistency,
  verifySubtreeInclusion,
} from './merkle.ts';
export { anchorSigner, nodeCrypto, sha256Tree } from './node-crypto.ts';
export {
  cosignatureTime,
  derSignature,
  formatNote,
  formatSignatureLine,
  formatVerifierKey,
  keyIdOf,
  type Note,
  type NoteSignature,
  type NoteSigner,
  type NoteVerdict,
  parseNote,
  parseVerifierKey,
  type SignatureType,
  sameKey,
  signNote,
  TYPE_COSIGNATURE,
  TYPE_ECDSA,
  TYPE_ED25519,
  unitKeyName,
  type VerifierCrypto,
  type VerifierKey,
  verifierKey,
  verifyNote,
} from './note.ts';
export { formatReceipt, type ParsedReceipt, parseReceipt, type Receipt } from './proof-text.ts';
export {
  appendLeaf,
  type CompactRange,
  consistencyProof,
  copyRange,
  emptyRange,
  inclusionProof,
  MAX_SIZE,
  type NodeReader,
  type NodeSink,
  rangeOf,
  rootAt,
  rootFromRange,
} from './tree.ts';
export {
  type LeafVerdict,
  type RecordClaim,
  type RecordVerdict,
  verifyExport,
  verifyLeaf,
  verifyRecord,
} from './verify.ts';
