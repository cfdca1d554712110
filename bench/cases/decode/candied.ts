import candied from 'candied';
import { HEADER_BYTES, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import type { Database } from '#dbc';
import type { BenchInput } from './input.ts';

/** Frames of candied are objects with an array a payload; they are made before the clock starts. */
interface CandiedFrame {
  readonly id: number;
  readonly dlc: number;
  readonly isExtended: boolean;
  readonly payload: number[];
}

const EXTENDED = 0x8000_0000;

export interface CandiedRound {
  readonly framesPerSecond: number;
  /** Shows that it decoded at all. */
  readonly valuesPerFrame: number;
}

/**
 * The database in the one form that candied reads without loss: it passes over signals with a space between the numbers
 * or a second one before `SG_`.
 */
function plainDbc({ messages }: Database): string {
  const lines = ['VERSION ""', 'NS_ :', 'BS_:', 'BU_: ECU'];
  for (const { id, extended, name, length, signals } of messages) {
    lines.push('', `BO_ ${extended ? id + EXTENDED : id} ${name}: ${length} ECU`);
    for (const one of signals) {
      const order = `${one.byteOrder === 'intel' ? 1 : 0}${one.signed ? '-' : '+'}`;
      const mux = one.multiplexer === null ? '' : ` m${one.multiplexRanges[0]?.low ?? 0}`;
      lines.push(
        ` SG_ ${one.name}${one.isMultiplexer ? ' M' : mux} : ${one.start}|${one.length}@${order} (${one.factor},${one.offset}) [0|0] "" ECU`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

/** @returns a round of candied's `decode` over the first frames of the input */
export function candiedRound(input: BenchInput, most: number): () => CandiedRound {
  const can = new candied.Can();
  can.database = new candied.Dbc().load(plainDbc(input.database));
  const frames: CandiedFrame[] = [];
  for (const { bytes, slotBytes, count } of input.batches) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = 0; i < count && frames.length < most; i++) {
      const slot = i * slotBytes;
      const id = view.getUint32(slot + OFFSET_ID, true);
      const dlc = bytes[slot + OFFSET_LENGTH]!;
      if (dlc > 8) continue;
      frames.push({
        id: (id & ~EXTENDED) >>> 0,
        dlc,
        isExtended: (id & EXTENDED) !== 0,
        payload: Array.from(bytes.subarray(slot + HEADER_BYTES, slot + HEADER_BYTES + dlc)),
      });
    }
  }
  return () => {
    const start = performance.now();
    let values = 0;
    for (const frame of frames) values += can.decode(frame)?.boundSignals.size ?? 0;
    const framesPerSecond = (frames.length / (performance.now() - start)) * 1000;
    return { framesPerSecond, valuesPerFrame: values / frames.length };
  };
}
