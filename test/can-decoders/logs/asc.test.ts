import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_RTR_FLAG } from '#contracts';
import { AscReader } from '../../../can-decoders/logs/asc.ts';
import type { LogOptions } from '../../../can-decoders/logs/reader.ts';
import { fuzz, read } from './parts.ts';

const make = (options: LogOptions) => new AscReader(options);

const LOG = `date Sat Sep 30 03:06:13.191 pm 2017
base hex  timestamps absolute
internal events logged
// version 9.0.0
Begin Triggerblock Sat Sep 30 03:06:13.191 pm 2017
   0.000000 Start of measurement
   0.015991 1  C4              Rx   d 8 40 01 02 03 04 05 06 FF  Length = 0 BitCount = 64 ID = 196
   1.015991 1  CHIPSTATUS  RxErr: 0 TxErr: 0
   2.015992 2  18FEF100x       Tx   d 2 0A 0B
   2.5 1  123 Rx r 5
   2.6 1  ErrorFrame ECC: 10100010
   3.0 CANFD   1 Rx         11  Engine  1 0 9 12 01 02 03 04 05 06 07 08 09 0a 0b 0c   102203  133  303000 e0006659
   3.1 CANFD   2 Tx     10000x  0 1 1  1 AA  130000 130 1000 0 0 0 0 0
End TriggerBlock
`;

describe('an ASC log', () => {
  it('gives classic, FD, remote and error frames, and passes other events over', () => {
    const { frames, problems } = read(make, LOG);
    expect(problems).toEqual([]);
    expect(frames).toEqual([
      { time: 0, id: 0xc4, length: 8, flags: 0, channel: '1', data: '40010203040506ff' },
      { time: 2_000_001_000, id: (0x18fef100 | CAN_EFF_FLAG) >>> 0, length: 2, flags: 0, channel: '2', data: '0a0b' },
      { time: 2_484_009_000, id: 0x123 | CAN_RTR_FLAG, length: 5, flags: 0, channel: '1', data: '' },
      { time: 2_584_009_000, id: 0x20000080, length: 8, flags: 0, channel: '1', data: '0000000000000000' },
      { time: 2_984_009_000, id: 0x11, length: 12, flags: 5, channel: '1', data: '0102030405060708090a0b0c' },
      { time: 3_084_009_000, id: (0x10000 | CAN_EFF_FLAG) >>> 0, length: 1, flags: 6, channel: '2', data: 'aa' },
    ]);
  });

  it('is the same in chunks of any size and batches of one frame', () => {
    const whole = read(make, LOG).frames;
    for (const size of [1, 2, 7, 64]) expect(read(make, LOG, { batchFrames: 1 }, size).frames).toEqual(whole);
  });

  it('has UTC only where the zone of its dates is told', () => {
    expect(read(make, LOG).batches[0]).toMatchObject({ utcOffsetNs: null, utcSource: 'unknown' });
    const { batches } = read(make, LOG, { zoneMinutes: 120 });
    const utc = BigInt(Date.UTC(2017, 8, 30, 13, 6, 13, 191)) * 1_000_000n + 15_991_000n;
    expect(batches[0]).toMatchObject({ utcOffsetNs: utc, utcSource: 'log' });
  });

  it('may be decimal, and count each time from the event before', () => {
    const text = 'base dec timestamps relative\n1.5 1 291 Rx d 2 255 16\n0.25 1 Statistic: D 0\n0.25 1 10x Rx d 0\n';
    expect(read(make, text).frames.map(({ time, id, data }) => [time, id, data])).toEqual([
      [0, 291, 'ff10'],
      [500_000_000, (10 | CAN_EFF_FLAG) >>> 0, ''],
    ]);
  });

  it.each([
    ['a line starts with a time, or is of the header', 'hello'],
    ['a date is such as Thu Apr 20 10:17:26.123 pm 2017', 'date yesterday'],
    ['the base is hex or dec', 'base oct'],
    ['an id is digits up to 7FF, or up to 1FFFFFFF with x behind', '1.0 1 800 Rx d 0'],
    ['an id is digits up to 7FF, or up to 1FFFFFFF with x behind', '1.0 1 20000000x Rx d 0'],
    ['a frame has as many bytes as its DLC says', '1.0 1 1 Rx d 3 11 22'],
    ['a frame has as many bytes as its DLC says', '1.0 1 1 Rx d 1 1FF'],
    ['a DLC is a number up to 64', '1.0 1 1 Rx d 41'],
    ['a frame has d or r behind its direction', '1.0 1 1 Rx q'],
    ['a CANFD line has BRS, ESI, DLC and a length up to 64', '1.0 CANFD 1 Rx 1 0 0 9 65 00'],
    ['a frame has as many bytes as its length says', '1.0 CANFD 1 Rx 1 0 0 9 12 00'],
    ['a line has at most 4096 characters', `1.0 1 1 Rx d 0 ${'x'.repeat(5000)}`],
  ])('counts with its line, and goes on: %s', (reason, line) => {
    const { frames, problems } = read(make, `\n${line}\n1.0 1 1 Rx d 0\n`);
    expect(problems).toEqual([`2: ${reason}`]);
    expect(frames).toHaveLength(1);
  });

  it('survives whatever is done to it', () => fuzz(make, Buffer.from(LOG)));
});
