import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CandumpParser } from '#decoders';
import { AscReader } from '../../../can-decoders/logs/asc.ts';
import { AscWriter, CandumpWriter, type LogWriter } from '../../../can-decoders/logs/writer.ts';
import { read } from './parts.ts';

const LOG = `(1764000000.000001) can0 123#0102
(1764000000.500000) can1 18FEF100#
(1764000001.000000123) can0 7FF#R5
(1764000001.600001) can0 20000080#0000000000000000
(1764000002.000001) can0 456##10102030405060708090A0B0C
(1764000002.000002) can0 00000456##2AA
(1764000002.000003) can0 001#FF
`;

const candump = (text: string | Uint8Array, batchFrames = 1024) =>
  read((options) => new CandumpParser(options), text, { batchFrames });

function written(writer: LogWriter, text: string, batchFrames: number): string {
  const parts = candump(text, batchFrames).batches.map((batch) => Buffer.from(writer.write(batch)).toString());
  return [...parts, Buffer.from(writer.end()).toString()].join('');
}

describe('a writer of candump -L', () => {
  it('writes what was read, whatever its batches', () => {
    for (const frames of [1, 2, 1024]) expect(written(new CandumpWriter(['can0', 'can1']), LOG, frames)).toBe(LOG);
  });

  it('writes any frame so that it is read the same', () => {
    const frame = fc.record({
      micros: fc.nat(5_000_000),
      id: fc.oneof(
        fc.nat(0x7ff).map((id) => id.toString(16).padStart(3, '0')),
        fc.nat(0x1fffffff).map((id) => id.toString(16).padStart(8, '0')),
      ),
      rest: fc.oneof(
        fc.uint8Array({ maxLength: 8 }).map((data) => Buffer.from(data).toString('hex')),
        fc.uint8Array({ maxLength: 64 }).map((data) => `#${data.length % 4}${Buffer.from(data).toString('hex')}`),
        fc.constantFrom('R', 'R1', 'R8'),
      ),
    });
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 30 }), (frames) => {
        let micros = 0;
        const lines = frames.map(({ micros: step, id, rest }) => {
          micros += step;
          const time = `${1_764_000_000 + Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')}`;
          return `(${time}) can0 ${id}#${rest}\n`.replace(/ [0-9a-f]+#.*/, (part) => part.toUpperCase());
        });
        const text = lines.join('');
        expect(written(new CandumpWriter(), text, 7)).toBe(text);
        const asc = read((options) => new AscReader(options), written(new AscWriter(), text, 7));
        expect(asc.problems).toEqual([]);
        expect(asc.frames).toEqual(candump(text).frames.map((one) => ({ ...one, channel: '1' })));
      }),
      { numRuns: 100, seed: 20261125 },
    );
  });
});

describe('a writer of ASC', () => {
  it('writes header, frames and end', () => {
    expect(written(new AscWriter(), LOG, 2)).toBe(`date Mon Nov 24 16:00:00.000 2025
base hex  timestamps absolute
internal events logged
Begin Triggerblock Mon Nov 24 16:00:00.000 2025
0.000000 Start of measurement
0.000000 1  123 Rx   d 2 01 02
0.499999 2  18FEF100x Rx   d 0
0.999999123 1  7FF Rx   r 5
1.600000 1  ErrorFrame
2.000000 CANFD 1 Rx 456 1 0 9 12 01 02 03 04 05 06 07 08 09 0A 0B 0C 0 0 3000 0 0 0 0 0
2.000001 CANFD 1 Rx 00000456x 0 1 1 1 AA 0 0 5000 0 0 0 0 0
2.000002 1  001 Rx   d 1 FF
End TriggerBlock
`);
  });
});
