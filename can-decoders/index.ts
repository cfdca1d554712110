/** CAN and CAN FD frames to signals and back, compiled from a DBC and from exactly the signals that are wanted. */
export { type CandumpOptions, CandumpParser } from './candump/parser.ts';
export { CellReader } from './cells.ts';
export {
  type CompiledDatabase,
  type CompiledManifest,
  type CompiledMessage,
  type CompiledSignal,
  type CompileOptions,
  compileDatabase,
} from './compile.ts';
export { type Changes, createDecoder, type Decoder, type DecoderInput, type Rows } from './decoder.ts';
export type { DecoderForm } from './emit/memory.ts';
export { createEncoder, type EncodedFrame, type EncodeOptions, type Encoder } from './encode.ts';
export { createInterpreter } from './interpret.ts';
export { fixedLinks, type IsoTpLink, obdLinks } from './isotp/links.ts';
export { type IsoTpCounters, type IsoTpHandler, IsoTpListener, type IsoTpOptions } from './isotp/listener.ts';
export { destinationOf, GLOBAL_ADDRESS, isPdu2, matchKey, NULL_ADDRESS, pgnOf, sourceOf } from './j1939/id.ts';
export { PgnMatcher, type PgnMatcherOptions } from './j1939/match.ts';
export { hasSpnStatus, type SpnStatus, spnStatus } from './j1939/status.ts';
export {
  type J1939MessageHandler,
  J1939Transport,
  type J1939TransportCounters,
  type J1939TransportOptions,
  LARGEST_MESSAGE_BYTES,
  TRANSPORT_TIMEOUTS_MS,
} from './j1939/transport.ts';
export {
  type CellLayout,
  isPresent,
  isShort,
  type MessageLayout,
  messageOf,
  ROW_TIME,
  type RowLayout,
} from './layout.ts';
export { loaderText, loaderTypes } from './loader.ts';
export { LOG_FORMATS, type LogFormat, logFormat, MOST_HEAD_BYTES } from './logs/formats.ts';
export type { LogOptions, LogReader } from './logs/reader.ts';
export { AscWriter, CandumpWriter, type LogWriter } from './logs/writer.ts';
export {
  type NegativeHandler,
  ObdAnswers,
  type ObdCounters,
  type ObdHandler,
  type ObdOptions,
  RESPONSE_PENDING,
  SERVICE_CURRENT_DATA,
  SERVICE_READ_DATA,
  SERVICE_VEHICLE_INFORMATION,
} from './obd/answers.ts';
export { overlaps } from './overlap.ts';
export type { EncodeValue } from './raw.ts';
export { exact, idWord, labelOf, physical, rawBigInt, signalInfo, signalInfos } from './signals.ts';
export {
  type BusDecoder,
  type BusDecoderInput,
  createBusDecoder,
  type IsoTpEntry,
  type J1939Mode,
  SlotKind,
  sumOfCounters,
  type TransportCounters,
  type TransportOptions,
  TransportStage,
} from './transports/index.ts';
export { type DecodedFrame, RowReader, type RowReaderOptions } from './values.ts';
