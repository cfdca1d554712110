/** The other end: opens what units send, stores it, proves it, acknowledges it. */
export { type ReceiverAlarm, TOLD_A_MINUTE } from './alarms.ts';
export type {
  Batch,
  ChainLink,
  EvictedRecord,
  KnownCheckpoint,
  Mark,
  OpenedRecord,
  Position,
  ProofStep,
  Reached,
  ReceiverStore,
  RecordSink,
  Stored,
  StoredAck,
  StoredAlarm,
  StoredStream,
  StreamId,
  StreamState,
  UnitHead,
  WaitingProof,
} from './contract.ts';
export { JsonLines, linesOf } from './jsonl.ts';
export { loadReceiverKeys, type ReceiverKeys, receiverKeys } from './keys.ts';
export { openReceiverStore } from './open-store.ts';
export {
  ALARM_MS,
  BATCH_BYTES,
  BATCH_MS,
  BATCH_RECORDS,
  createReceiver,
  type Receiver,
  type ReceiverOptions,
  type ReceiverStatus,
} from './receiver.ts';
export { FILTERS, filtersOf, type ReceiverService, type ReceiverServiceOptions, startReceiver } from './service.ts';
export { SqliteStore } from './sqlite-store.ts';
export { type Cell, type ColumnValues, columnsOf, physical, type Row, rowsOf } from './values.ts';
