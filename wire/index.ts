export {
  createRecordEncoder,
  type DecodedRecord,
  decodeRecord,
  encodeRecord,
  MAX_CELLS,
  MAX_RECORD_BYTES,
  MAX_ROWS,
  type RecordEncoder,
} from './columns/index.ts';
