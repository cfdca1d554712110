/** The other end: opens what units send, stores it, proves it, acknowledges it. */
export type {
  Batch,
  ChainLink,
  EvictedRecord,
  KnownCheckpoint,
  Mark,
  OpenedRecord,
  ReceiverStore,
  RecordSink,
  StoredAck,
  StoredStream,
  StreamProgress,
  StreamState,
} from './contract.ts';
export { JsonLines, linesOf } from './jsonl.ts';
export { loadReceiverKeys, type ReceiverKeys, receiverKeys } from './keys.ts';
export {
  ALARM_MS,
  BATCH_MS,
  BATCH_RECORDS,
  createReceiver,
  type Receiver,
  type ReceiverAlarm,
  type ReceiverOptions,
  type ReceiverStatus,
} from './receiver.ts';
export { FILTERS, type ReceiverService, type ReceiverServiceOptions, startReceiver } from './service.ts';
export { SqliteStore } from './sqlite-store.ts';
export { type Cell, physical, type Row, rowsOf } from './values.ts';
