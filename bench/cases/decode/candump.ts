import { CAN_EFF_FLAG, HEADER_BYTES, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import { CandumpParser, type Decoder } from '#decoders';
import type { BenchInput } from './input.ts';

const CHUNK_BYTES = 1 << 16;
const ROUNDS = 5;

/** The frames of the input as `candump -L` writes them, 1 ms apart. */
function candumpText({ batches }: BenchInput): Uint8Array {
  const lines: string[] = [];
  let ms = 0;
  for (const { bytes, slotBytes, count } of batches) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = 0; i < count; i++, ms++) {
      const slot = i * slotBytes;
      const id = view.getUint32(slot + OFFSET_ID, true);
      const digits = (id & CAN_EFF_FLAG) === 0 ? 3 : 8;
      const name = ((id & ~CAN_EFF_FLAG) >>> 0).toString(16).toUpperCase().padStart(digits, '0');
      const data = bytes.subarray(slot + HEADER_BYTES, slot + HEADER_BYTES + bytes[slot + OFFSET_LENGTH]!);
      const time = `${1_700_000_000 + Math.floor(ms / 1000)}.${String((ms % 1000) * 1000).padStart(6, '0')}`;
      lines.push(`(${time}) can0 ${name}#${Buffer.from(data).toString('hex').toUpperCase()}\n`);
    }
  }
  return new TextEncoder().encode(lines.join(''));
}

/** Frames/s from candump text to batches, and on to rows, one thread: the best of the rounds. */
export function candumpRates(input: BenchInput, decoder: Decoder): { parse: number; parseAndDecode: number } {
  const text = candumpText(input);
  const rate = (each: (parser: CandumpParser) => void): number => {
    let best = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const parser = new CandumpParser({ bootId: new Uint8Array(8) });
      const start = performance.now();
      for (let from = 0; from < text.length; from += CHUNK_BYTES) {
        const chunk = text.subarray(from, from + CHUNK_BYTES);
        for (let at = 0; at < chunk.length; ) {
          at = parser.feed(chunk, at);
          if (parser.ready) each(parser);
        }
      }
      for (parser.end(); parser.ready; parser.end()) each(parser);
      best = Math.max(best, (input.frames / (performance.now() - start)) * 1000);
    }
    return best;
  };
  return { parse: rate((parser) => parser.take()), parseAndDecode: rate((parser) => decoder.decode(parser.take())) };
}
