import { CAN_EFF_FLAG, CLASSIC_SLOT_BYTES, type FrameBatch, HEADER_BYTES, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import { loadDatabase } from '#dbc';
import { createBusDecoder, createDecoder, type Decoder, signalInfos } from '#decoders';
import { allocations } from './decode/allocations.ts';

export const name = 'transports';

const FRAMES = 400_000;
const BATCH_FRAMES = 1024;
const ROUNDS = 5;
const GROUPS = 40;
const GAP_NS = 500_000;
/** A message of so many bytes is broadcast by each of the sources in turn, one packet in so many frames. */
const LONG_BYTES = 39;
const PACKET_EVERY = 10;
const SOURCES = 8;
const DM1 = 0xfeca;

/**
 * A busy bus of J1939: frames of 40 groups from 8 sources, and a broadcast of 39 bytes whose packets are every tenth frame. What
 * the stage before the decoder costs, against the same decoder on frames that have the ids of the database already, and what it
 * allocates per frame (the views of a batch among them).
 */
export async function run(): Promise<object> {
  const { database } = loadDatabase(new TextEncoder().encode(dbcText()), { file: 'truck.dbc' });
  const signals = signalInfos(database);
  const batches = busBatches(true);
  const known = busBatches(false);
  const bus = createBusDecoder({ channel: 0, database, signals });
  const plain = createDecoder({ channel: 0, database, signals });
  for (let i = 0; i < 3; i++) for (const decoder of [bus, plain]) rate(decoder, batches);
  const rounds = Array.from({ length: ROUNDS }, () => ({ ours: rate(bus, batches), plain: rate(plain, known) }));
  const { j1939 } = bus.counters();
  return {
    frames: FRAMES,
    messages: j1939?.complete ?? 0,
    malformed: j1939?.malformed ?? 0,
    framesPerSecond: Math.round(median(rounds.map(({ ours }) => ours))),
    plainFramesPerSecond: Math.round(median(rounds.map((one) => one.plain))),
    ratioToPlain: median(rounds.map((one) => one.ours / one.plain)),
    allocations: allocations(bus, batches),
  };
}

function dbcText(): string {
  const group = (i: number) => `BO_ ${(0x98fe0000 + (i << 8) + 0xfe) >>> 0} Group${i}: 8 Vector__XXX
 SG_ First${i} : 0|16@1+ (0.125,0) [0|8031.875] "rpm" Vector__XXX
 SG_ Second${i} : 16|8@1+ (1,-40) [-40|210] "degC" Vector__XXX
 SG_ Third${i} : 32|2@1+ (1,0) [0|3] "" Vector__XXX
`;
  const long = `BO_ ${(0x98000000 + (DM1 << 8) + 0xfe) >>> 0} Long: ${LONG_BYTES} Vector__XXX
 SG_ Count : 0|32@1+ (1,0) [0|0] "" Vector__XXX
 SG_ Last : 304|8@1+ (1,0) [0|250] "" Vector__XXX
`;
  const groups = Array.from({ length: GROUPS }, (_, i) => group(i));
  const words = [...groups, long].map((text) => /^BO_ (\d+)/.exec(text)![1]);
  return `${[...groups, long].join('')}BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";
${words.map((word) => `BA_ "VFrameFormat" BO_ ${word} 3;\n`).join('')}`;
}

/** @param asSent ids with the priorities and sources of a bus; else those of the database */
function busBatches(asSent: boolean): FrameBatch[] {
  const packets = 1 + Math.ceil(LONG_BYTES / 7);
  let [frame, packet] = [0, 0];
  return Array.from({ length: Math.floor(FRAMES / BATCH_FRAMES) }, () => {
    const bytes = new Uint8Array(BATCH_FRAMES * CLASSIC_SLOT_BYTES);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < BATCH_FRAMES; i++, frame++) {
      const at = i * CLASSIC_SLOT_BYTES;
      const payload = at + HEADER_BYTES;
      view.setBigUint64(at, BigInt(frame) * BigInt(GAP_NS), true);
      bytes[at + OFFSET_LENGTH] = 8;
      if (frame % PACKET_EVERY !== 0) {
        const group = (frame * 7) % GROUPS;
        const id = (asSent ? 0x0cfe0000 + (frame % SOURCES) : 0x18fe00fe) + (group << 8);
        view.setUint32(at + OFFSET_ID, (id | CAN_EFF_FLAG) >>> 0, true);
        view.setUint32(payload, frame & 0x7fff, true);
        continue;
      }
      const step = packet % packets;
      const source = Math.floor(packet / packets) % SOURCES;
      packet++;
      view.setUint32(at + OFFSET_ID, ((step === 0 ? 0x1cecff00 : 0x1cebff00) | source | CAN_EFF_FLAG) >>> 0, true);
      if (step === 0) bytes.set([32, LONG_BYTES, 0, packets - 1, 0xff, DM1 & 0xff, DM1 >> 8, 0], payload);
      else bytes.set([step, frame & 0x7f, 0, 0, 0, 0, 0, 0], payload);
    }
    return {
      bytes,
      slotBytes: CLASSIC_SLOT_BYTES,
      count: BATCH_FRAMES,
      bootId: new Uint8Array(8),
      utcOffsetNs: null,
      utcErrorNs: Number.POSITIVE_INFINITY,
      utcSource: 'unknown',
    };
  });
}

function rate(decoder: Decoder, batches: readonly FrameBatch[]): number {
  const start = performance.now();
  for (const batch of batches) decoder.decode(batch);
  return (batches.length * BATCH_FRAMES * 1000) / (performance.now() - start);
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}
