/** What both ends share: every byte that leaves the unit, and the order in which it is hashed and signed. */
export { type AckBody, type AckState, ackKeyId, openAck, signAck } from './ack.ts';
export { open as openAead, seal as sealAead } from './aead.ts';
export { CborFloat, type CborKey, CborSimple, type CborTag, type CborValue, decodeCbor, encodeCbor } from './cbor.ts';
export {
  createRecordDecoder,
  createRecordEncoder,
  type DecodedRecord,
  decodeRecord,
  encodeRecord,
  MAX_CELLS,
  MAX_RECORD_BYTES,
  MAX_ROWS,
  type RecordDecoder,
  type RecordEncoder,
} from './columns/index.ts';
export {
  ALG_EDDSA,
  ALG_ES256,
  openEncrypt0,
  openMac0,
  openSign1,
  parseEncrypt0,
  parseMac0,
  parseSign1,
  sign1,
} from './cose.ts';
export { sha256 } from './hash.ts';
export {
  ackLeaf,
  bodyHash,
  bootLeaf,
  type ConsentAct,
  chainStart,
  consentLeaf,
  type DecisionBody,
  type DocumentKind,
  decisionBody,
  decisionLeaf,
  decodeLeaf,
  documentLeaf,
  encodeLeaf,
  expressLeaf,
  gapLeaf,
  type KeyAct,
  type KeyUse,
  keyLeaf,
  LEAF_ACK,
  LEAF_BOOT,
  LEAF_CONSENT,
  LEAF_DECISION,
  LEAF_DOCUMENT,
  LEAF_EXPRESS,
  LEAF_GAP,
  LEAF_KEY,
  LEAF_METER,
  LEAF_RECORD,
  LEAF_TIME_JUMP,
  type Leaf,
  type LeafTime,
  leafHash,
  meterLeaf,
  nextChain,
  type RecordLink,
  recordLeaf,
  recordLink,
  timeJumpLeaf,
} from './leaf.ts';
export { type LeafEvent, leafEvent } from './leaf-event.ts';
export {
  decodeMeter,
  decodeMetered,
  encodeMeter,
  encodeMetered,
  METER_START,
  type Metered,
  type MeterRecord,
  meterHash,
  meterIn,
  openMeter,
  signMeter,
} from './meter.ts';
export { type Consistency, decodeProof, type EvictedRecord, encodeProof, MOST_EVICTED, type Proof } from './proof.ts';
export {
  type ColumnType,
  NO_TIMING,
  type Schema,
  type SchemaColumn,
  type SchemaGroup,
  type Table,
  type TableColumn,
  type Timing,
} from './schema.ts';
export { decodeSchema, encodeSchema, schemaHash } from './schema-codec.ts';
export {
  acceptSession,
  type Disclosure,
  type OpenedRecord,
  openSession,
  peekSession,
  type ReceiverSession,
  type SealedRecord,
  type SenderSession,
  type SessionOptions,
  type StreamName,
} from './session.ts';
export { decodeStatus, encodeStatus, type UnitState } from './status.ts';
export {
  ackTopic,
  documentTopic,
  parseStreamTopic,
  proofTopic,
  recordTopic,
  type StreamTopic,
  sessionTopic,
  statusTopic,
  type TopicKind,
} from './topics.ts';
