import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_RTR_FLAG } from '#contracts';
import { logFormat } from '../../../can-decoders/logs/formats.ts';
import { GvretReader } from '../../../can-decoders/logs/gvret.ts';
import { PlainReader } from '../../../can-decoders/logs/plain.ts';
import type { LogOptions } from '../../../can-decoders/logs/reader.ts';
import { fuzz, read } from './parts.ts';

const csv = (options: LogOptions) => new GvretReader(options);
const plain = (options: LogOptions) => new PlainReader(options);

const CSV = `Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8
166064000,0000021A,false,Rx,0,8,FE,36,12,FE,69,05,07,AD,
166064500,18FEF100,true,Tx,1,2,0A,0B
166065000,00000100,false,Rx,0,12,1,2,3,4,5,6,7,8,9,A,B,C,
`;

describe('a CSV log of SavvyCAN', () => {
  it('gives its frames, in chunks of any size', () => {
    for (const size of [1, 10, 1e6]) {
      const { frames, problems, batches } = read(csv, CSV, {}, size);
      expect(problems).toEqual([]);
      expect(batches[0]).toMatchObject({ utcOffsetNs: null });
      expect(frames).toEqual([
        { time: 0, id: 0x21a, length: 8, flags: 0, channel: '0', data: 'fe3612fe690507ad' },
        { time: 500_000, id: (0x18fef100 | CAN_EFF_FLAG) >>> 0, length: 2, flags: 0, channel: '1', data: '0a0b' },
        { time: 1_000_000, id: 0x100, length: 12, flags: 4, channel: '0', data: '0102030405060708090a0b0c' },
      ]);
    }
  });

  it('may lack the direction, and be of UTC', () => {
    const text = 'Time Stamp,ID,Extended,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n1764000000000001,123,false,0,1,FF\n';
    const { frames, batches } = read(csv, text);
    expect(frames).toMatchObject([{ id: 0x123, data: 'ff' }]);
    expect(batches[0]!.utcOffsetNs).toBe(1_764_000_000_000_001_000n);
  });

  it.each([
    ['a time is a number of microseconds', 'x,1,false,Rx,0,0'],
    ['Extended is true or false', '1,1,maybe,Rx,0,0'],
    ['an id is hex up to 7FF, or extended to 1FFFFFFF', '1,800,false,Rx,0,0'],
    ['a bus is a number', '1,1,false,Rx,x,0'],
    ['LEN is a number up to 64', '1,1,false,Rx,0,65'],
    ['a frame has as many bytes as LEN says', '1,1,false,Rx,0,2,11'],
    ['the columns are Time Stamp, ID, Extended, Bus, LEN and D1 on', 'Time Stamp,ID'],
  ])('counts with its line, and goes on: %s', (reason, line) => {
    const { frames, problems } = read(csv, `${line}\n1,1,false,Rx,0,1,11\n`);
    expect(problems).toEqual([`1: ${reason}`]);
    expect(frames).toHaveLength(1);
  });

  it('survives whatever is done to it', () => fuzz(csv, Buffer.from(CSV)));
});

const PLAIN = `  can0  123   [8]  00 11 22 33 44 55 66 77   '..."3DUf'
  can0  18FEF100   [2]  0A 0B
  can1  123   [0]  remote request
  can1  123   [5]  remote request
  can0  20000004   [8]  00 04 00 00 00 00 00 00   ERRORFRAME
  can0  456  [12]  01 02 03 04 05 06 07 08 09 0A 0B 0C
  can0  457  [01]  07
`;

describe('candump as a person sees it', () => {
  it('gives its frames, in chunks of any size', () => {
    for (const size of [1, 10, 1e6]) {
      const { frames, problems, batches } = read(plain, PLAIN, {}, size);
      expect(problems).toEqual([]);
      expect(batches[0]).toMatchObject({ utcOffsetNs: null });
      expect(frames).toEqual(
        [
          { id: 0x123, length: 8, flags: 0, channel: 'can0', data: '0011223344556677' },
          { id: (0x18fef100 | CAN_EFF_FLAG) >>> 0, length: 2, flags: 0, channel: 'can0', data: '0a0b' },
          { id: 0x123 | CAN_RTR_FLAG, length: 0, flags: 0, channel: 'can1', data: '' },
          { id: 0x123 | CAN_RTR_FLAG, length: 5, flags: 0, channel: 'can1', data: '' },
          { id: 0x20000004, length: 8, flags: 0, channel: 'can0', data: '0004000000000000' },
          { id: 0x456, length: 12, flags: 4, channel: 'can0', data: '0102030405060708090a0b0c' },
          { id: 0x457, length: 1, flags: 4, channel: 'can0', data: '07' },
        ].map((frame) => ({ time: 0, ...frame })),
      );
    }
  });

  it('has a time in front: of UTC, of the start, or a date', () => {
    const line = (time: string) => ` (${time})  can0  123   [1]  00\n`;
    const utc = read(plain, line('1764000000.000001') + line('1764000001.000002'));
    expect(utc.frames.map(({ time }) => time)).toEqual([0, 1_000_001_000]);
    expect(utc.batches[0]!.utcOffsetNs).toBe(1_764_000_000_000_001_000n);
    const start = read(plain, line('000.000000') + line('000.250000'));
    expect(start.frames.map(({ time }) => time)).toEqual([0, 250_000_000]);
    expect(start.batches[0]!.utcOffsetNs).toBeNull();
    const date = read(plain, line('2026-11-25 23:59:59.500000') + line('2026-11-26 00:00:00.500000'));
    expect(date.frames.map(({ time }) => time)).toEqual([0, 1_000_000_000]);
    expect(date.batches[0]!.utcOffsetNs).toBeNull();
  });

  it('may tell direction and FD flags (-x)', () => {
    const { frames } = read(plain, '  can0  RX - -  123   [1]  00\n  can0  TX B E  123  [01]  00\n');
    expect(frames.map(({ flags }) => flags)).toEqual([0, 7]);
  });

  it.each([
    ['a time is (seconds.fraction) or (date time)', '(x) can0 123 [0]'],
    ['a frame is an interface, an id, a length in brackets and bytes', 'can0 123 8 00'],
    ['an id has 3 digits up to 7FF or 8 digits up to 1FFFFFFF', 'can0 800 [0]'],
    ['a length is [0] to [8], or [00] to [64] for CAN FD', 'can0 123 [9] 00'],
    ['a frame has as many bytes as its length says', 'can0 123 [2] 00'],
    ['an interface has a name of at most 32 characters', `${'c'.repeat(33)} 123 [0]`],
  ])('counts with its line, and goes on: %s', (reason, line) => {
    const { frames, problems } = read(plain, `${line}\ncan0 123 [1] 11\n`);
    expect(problems).toEqual([`1: ${reason}`]);
    expect(frames).toHaveLength(1);
  });

  it('survives whatever is done to it', () => fuzz(plain, Buffer.from(PLAIN)));
});

describe('the format of a log', () => {
  const told = (head: string | Buffer, name?: string) => logFormat(Buffer.from(head as string), name).name;
  it('is told by its content, whatever its name', () => {
    expect(told('(1.5) can0 123#00\n', 'x.asc')).toBe('candump');
    expect(told(' (1.5)  can0  123   [1]  00\n')).toBe('candump-plain');
    expect(told(PLAIN)).toBe('candump-plain');
    expect(told(CSV, 'x.log')).toBe('csv');
    expect(told('date Sat Sep 30 03:06:13.191 pm 2017\n')).toBe('asc');
    expect(told('LOGG....')).toBe('blf');
    expect(told(Buffer.from('d4c3b2a1', 'hex'))).toBe('pcap');
    expect(told(Buffer.from('0a0d0d0a', 'hex'))).toBe('pcapng');
  });
  it('is told by its name where the content does not, else it is candump', () => {
    expect(told('nonsense\n', 'a.ASC.gz')).toBe('asc');
    expect(told('', 'a.blf')).toBe('blf');
    expect(told('nonsense\n', 'a.log')).toBe('candump');
  });
});
