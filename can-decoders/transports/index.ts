/** What a bus carries beside frames, before the decoder. */
export { sumOfCounters, type TransportCounters } from './bus.ts';
export { type BusDecoder, type BusDecoderInput, createBusDecoder } from './decoder.ts';
export { type IsoTpEntry, type J1939Mode, type TransportOptions, wordOfId } from './options.ts';
export { SlotKind, TransportStage } from './stage.ts';
