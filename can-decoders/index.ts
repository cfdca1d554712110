/** CAN and CAN FD frames to signals and back, compiled from a DBC and from exactly the signals that are wanted. */
export { type CandumpOptions, CandumpParser } from './candump/parser.ts';
export { createDecoder, type Decoder, type DecoderInput, type Rows } from './decoder.ts';
export type { DecoderForm } from './emit/memory.ts';
export { createEncoder, type EncodedFrame, type EncodeOptions, type Encoder } from './encode.ts';
export { createInterpreter } from './interpret.ts';
export {
  type CellLayout,
  type MessageLayout,
  ROW_FLAG_SHORT,
  ROW_HEADER_BYTES,
  type RowLayout,
} from './layout.ts';
export { overlaps } from './overlap.ts';
export type { EncodeValue } from './raw.ts';
export { exact, idWord, labelOf, physical, rawBigInt, signalInfo, signalInfos } from './signals.ts';
export { type DecodedFrame, RowReader } from './values.ts';
