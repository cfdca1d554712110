import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CAN_EFF_FLAG,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CANFD_BRS,
  CANFD_FDF,
  FD_SLOT_BYTES,
  type FrameBatch,
  IdMatcher,
} from '#contracts';
import { type CandumpOptions, CandumpParser } from '#decoders';

const BOOT = new Uint8Array(8);

interface Read {
  readonly time: number;
  readonly id: number;
  readonly length: number;
  readonly flags: number;
  readonly channel: number;
  readonly data: string;
}

function framesOf({ bytes, slotBytes, count }: FrameBatch): Read[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: count }, (_, i) => {
    const slot = i * slotBytes;
    const payload = bytes.subarray(slot + 16, slot + slotBytes);
    return {
      time: Number(view.getBigUint64(slot, true)),
      id: view.getUint32(slot + 8, true),
      length: bytes[slot + 12]!,
      flags: bytes[slot + 13]!,
      channel: bytes[slot + 14]!,
      data: Buffer.from(payload).toString('hex'),
    };
  });
}

/** Everything that a log gives, cut into chunks of `size` bytes. */
function read(text: string | Uint8Array, options: Partial<CandumpOptions> = {}, size = Number.POSITIVE_INFINITY) {
  const problems: string[] = [];
  const batches: { frames: Read[]; fd: boolean; utcOffsetNs: bigint | null }[] = [];
  const parser = new CandumpParser({
    bootId: BOOT,
    onMalformed: (line, reason) => problems.push(`${line}: ${reason}`),
    ...options,
  });
  const take = () => {
    const batch = parser.take();
    expect(batch).toMatchObject({ utcSource: 'log', utcErrorNs: 1000, bootId: BOOT });
    batches.push({ frames: framesOf(batch), fd: batch.slotBytes === FD_SLOT_BYTES, utcOffsetNs: batch.utcOffsetNs });
  };
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  for (let start = 0; start < bytes.length; start += size) {
    const chunk = bytes.subarray(start, start + size);
    for (let at = 0; at < chunk.length; ) {
      at = parser.feed(chunk, at);
      if (parser.ready) take();
    }
  }
  for (parser.end(); parser.ready; parser.end()) take();
  return { batches, problems, frames: batches.flatMap(({ frames }) => frames), parser };
}

describe('a candump line', () => {
  it('is a classic frame', () => {
    const { frames, problems } = read('(1631416514.717133) can0 0D2#0000FFFF10000000\n');
    expect(problems).toEqual([]);
    expect(frames).toEqual([{ time: 0, id: 0xd2, length: 8, flags: 0, channel: 0, data: '0000ffff10000000' }]);
  });

  it('has a 29-bit id where it has eight digits', () => {
    const { frames } = read('(1.0) can0 00000123#\n(1.0) can0 18FEF100#01\n');
    expect(frames.map(({ id, length }) => [id, length])).toEqual([
      [(0x123 | CAN_EFF_FLAG) >>> 0, 0],
      [(0x18fef100 | CAN_EFF_FLAG) >>> 0, 1],
    ]);
  });

  it('is a CAN FD frame with its flags', () => {
    const { batches } = read(`(1.0) can0 123##1${'AB'.repeat(24)}\n`);
    expect(batches).toHaveLength(1);
    expect(batches[0]).toMatchObject({ fd: true });
    expect(batches[0]!.frames[0]).toMatchObject({
      length: 24,
      flags: CANFD_BRS | CANFD_FDF,
      data: 'ab'.repeat(24) + '00'.repeat(40),
    });
  });

  it('is a remote frame with the length that is asked for', () => {
    const { frames } = read('(1.0) can0 123#R\n(1.0) can0 00000123#R5\n(1.0) can0 123#R8_C\n');
    const rtr = (id: number) => (id | CAN_RTR_FLAG) >>> 0;
    expect(frames.map(({ id, length, data }) => [id, length, Number(`0x${data}`)])).toEqual([
      [rtr(0x123), 0, 0],
      [rtr(0x123 | CAN_EFF_FLAG), 5, 0],
      [rtr(0x123), 8, 0],
    ]);
  });

  it('is an error frame where bit 29 of the id is set', () => {
    const { frames } = read('(1.0) can0 20000004#0004000000000000\n');
    expect(frames[0]).toMatchObject({ id: (4 | CAN_ERR_FLAG) >>> 0, data: '0004000000000000' });
  });

  it('may end with CR LF, a direction, a raw DLC, or nothing at all', () => {
    const text = '(1.0) can0 123#11 R\r\n(1.0) can0 123#1122334455667788_A\n\n(1.0) can0 123#22 T\n(1.0) can0 123#33';
    const { frames, problems } = read(text);
    expect(problems).toEqual([]);
    expect(frames.map(({ data }) => data.slice(0, 2))).toEqual(['11', '11', '22', '33']);
  });

  it('has zeros behind its payload, whatever the slot held before', () => {
    const { frames } = read(`${'(1.0) can0 1#FFFFFFFFFFFFFFFF\n'.replace('1#', '001#')}(1.0) can0 002#01\n`, {
      batchFrames: 1,
    });
    expect(frames.map(({ data }) => data)).toEqual(['ffffffffffffffff', '0100000000000000']);
  });
});

describe('the time of a log', () => {
  it('starts at its first frame and maps to UTC there', () => {
    const { batches, frames } = read(
      '(1631416514.717133) can0 001#\n(1631416515.000001) can0 001#\n(1631416604.5) can0 001#\n',
    );
    expect(batches[0]!.utcOffsetNs).toBe(1_631_416_514_717_133_000n);
    expect(frames.map(({ time }) => time)).toEqual([0, 282_868_000, 89_782_867_000]);
  });

  it('takes nanoseconds, and 0 for what lies before the first frame', () => {
    const { frames } = read('(10.123456789) can0 001#\n(10.000000000) can0 001#\n(10.123456790) can0 001#\n');
    expect(frames.map(({ time }) => time)).toEqual([0, 0, 1]);
  });
});

describe('a malformed line', () => {
  const good = '(1.0) can0 001#11\n';
  const bad: [text: string, reason: string][] = [
    ['hello', 'a line starts with (time)'],
    ['(1.) can0 001#11', 'the fraction of a time has 1 to 9 digits and ends with )'],
    ['(x.0) can0 001#11', 'the time is seconds, a point and a fraction'],
    ['(1.0) can0 01#11', 'an id has 3 digits up to 7FF or 8 digits up to 1FFFFFFF, then #'],
    ['(1.0) can0 800#11', 'an id has 3 digits up to 7FF or 8 digits up to 1FFFFFFF, then #'],
    ['(1.0) can0 40000000#11', 'an id has 3 digits up to 7FF or 8 digits up to 1FFFFFFF, then #'],
    ['(1.0) can0 001#1', 'the line ends too early'],
    ['(1.0) can0 001#1G', 'the payload is pairs of hex digits'],
    ['(1.0) can0 001#112233445566778899', 'a payload has at most 8 bytes'],
    [`(1.0) can0 001##0${'00'.repeat(65)}`, 'a payload has at most 64 bytes'],
    ['(1.0) can0 001##', 'the line ends too early'],
    ['(1.0) can0 001##G', 'a CAN FD frame has one digit of flags after ##'],
    ['(1.0) can0 001#R9', 'a remote frame has R and a length of at most 8'],
    ['(1.0) can0 001#11 and more', 'there is text behind the frame'],
    ['(1.0) can0', 'the line ends too early'],
    [`(1.0) ${'x'.repeat(33)} 001#`, 'an interface has a name of at most 32 characters'],
  ];
  it.each(bad)('%s is counted and reported', (text, reason) => {
    const { frames, problems, parser } = read(`${good}${text}\n${good}`);
    expect(problems).toEqual([`2: ${reason}`]);
    expect(parser.malformed).toBe(1);
    expect(frames).toHaveLength(2);
  });

  it('is not quoted in the report', () => {
    const { problems } = read('(1.0) can0 001#DEADBEEF!\n(1.0) can0 001#CAFE CAFE\n');
    expect(problems.join()).not.toMatch(/DEAD|CAFE/);
    expect(problems).toHaveLength(2);
  });
});

describe('batches of a log', () => {
  const classic = (n: number) => `(1.${n}) can0 10${n}#0${n}\n`;
  const fd = (n: number) => `(1.${n}) can0 10${n}##00${n}\n`;

  it('keep the order of frames while classic and FD frames alternate', () => {
    const { batches, frames } = read([classic(1), classic(2), fd(3), classic(4), fd(5), fd(6)].join(''));
    expect(batches.map((batch) => [batch.fd, batch.frames.length])).toEqual([
      [false, 2],
      [true, 1],
      [false, 1],
      [true, 2],
    ]);
    expect(frames.map(({ id }) => id - 0x100)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('end at a frame without payload of the other size, too', () => {
    for (const tail of ['(1.2) can0 102#\n', '(1.2) can0 102#']) {
      expect(read(fd(1) + tail).frames.map(({ id }) => id)).toEqual([0x101, 0x102]);
    }
  });

  it('are full at the size that is asked for, and cut by time', () => {
    expect(
      read([1, 2, 3, 4, 5].map(classic).join(''), { batchFrames: 2 }).batches.map(({ frames }) => frames.length),
    ).toEqual([2, 2, 1]);
    expect(
      read([1, 2, 3, 4, 5].map(classic).join(''), { spanNs: 1.5e8 }).batches.map(({ frames }) => frames.length),
    ).toEqual([3, 2]);
  });

  it('have channels by interface name, and leave out what no one wants', () => {
    const text =
      '(1.0) can1 001#\n(1.1) vcan0 001#\n(1.2) can0 001#\n(1.3) can0 002#\n(1.4) can0 00000001#\n(1.5) can0 nonsense\n';
    const names: string[] = [];
    const { frames, parser, problems } = read(text, {
      channelOf: (name) => {
        names.push(name);
        return name === 'vcan0' ? null : Number(name.at(-1));
      },
      wanted: (channel) => IdMatcher.of({ ids: [[1], null] }, channel),
    });
    expect(names).toEqual(['can1', 'vcan0', 'can0']);
    expect(frames.map(({ channel, id }) => [channel, id])).toEqual([
      [1, 1],
      [0, 1],
    ]);
    expect(frames[1]!.time).toBe(2e8);
    expect(parser.skipped).toBe(3);
    expect(problems).toHaveLength(1);
  });
});

describe('any log', () => {
  const frame = fc.record({
    time: fc.tuple(fc.integer({ min: 1_600_000_000, max: 1_600_086_000 }), fc.nat(999_999)),
    name: fc.constantFrom('can0', 'vcan12', 'c'),
    id: fc.oneof(
      fc.nat(0x7ff),
      fc.integer({ min: 0, max: 0x1fff_ffff }).map((id) => id + CAN_EFF_FLAG),
    ),
    fd: fc.boolean(),
    data: fc.uint8Array({ maxLength: 64 }),
  });
  const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0');

  it('reads as what was written, wherever chunks are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 30 }),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 9 }),
        (list, size, batchFrames) => {
          const written = list.map((one) => ({ ...one, data: one.fd ? one.data : one.data.slice(0, 8) }));
          const text = written.map(({ time: [s, us], name, id, fd, data }) => {
            const digits = id >= CAN_EFF_FLAG ? hex(id - CAN_EFF_FLAG, 8) : hex(id, 3);
            return `(${s}.${String(us).padStart(6, '0')}) ${name} ${digits}#${fd ? '#1' : ''}${Buffer.from(data).toString('hex').toUpperCase()}\n`;
          });
          const first = written[0]?.time ?? [0, 0];
          const { frames, problems } = read(text.join(''), { batchFrames }, size);
          expect(problems).toEqual([]);
          expect(frames.map(({ time, id, length, data }) => ({ time, id, data: data.slice(0, length * 2) }))).toEqual(
            written.map(({ time: [s, us], id, data }) => ({
              time: Math.max(0, (s - first[0]) * 1e9 + (us - first[1]) * 1000),
              id,
              data: Buffer.from(data).toString('hex'),
            })),
          );
        },
      ),
      { numRuns: 300, seed: 20261125 },
    );
  });

  it('damaged in any way, is read on: every line is a frame or counted', () => {
    const good =
      '(1631416514.717133) can0 0D2#0000FFFF10000000\n(1.5) can0 18FEF100##1AABBCCDDEEFF00112233\n(2.25) can1 123#R4\n';
    const bytes = new TextEncoder().encode(good.repeat(3));
    const damage = fc.array(
      fc.record({ at: fc.nat(bytes.length - 1), to: fc.constantFrom(0, 10, 32, 35, 40, 46, 48, 65, 82, 95, 255) }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(damage, fc.integer({ min: 1, max: 64 }), (changes, size) => {
        const broken = bytes.slice();
        for (const { at, to } of changes) broken[at] = to;
        const { frames, problems, parser } = read(broken, {}, size);
        const whole = read(broken);
        expect(whole.frames).toEqual(frames);
        expect(whole.problems).toEqual(problems);
        const lines = new TextDecoder('latin1')
          .decode(broken)
          .split('\n')
          .filter((line) => /[^ \t\r]/.test(line));
        expect(frames.length + parser.malformed).toBe(lines.length);
      }),
      { numRuns: 1000, seed: 20261125 },
    );
  });
});

describe('a time stamp far ahead', () => {
  const line = (seconds: number, frame = '123#01') => `(${seconds}.000000) can0 ${frame}\n`;

  it('is refused by its line, and the log goes on where it was', () => {
    const { problems, frames } = timesOf(line(1000) + line(9_999_999_999) + line(1001) + line(1002));
    expect(problems).toEqual(['2: a time steps at most a day ahead']);
    expect(frames).toEqual([0, 1e9, 2e9]);
  });

  it('is refused in the usual lines and in those that need a closer look alike', () => {
    const { problems, frames } = timesOf(line(1000) + line(1000 + 86_401, '123##001') + line(1001));
    expect(problems).toEqual(['2: a time steps at most a day ahead']);
    expect(frames).toEqual([0, 1e9]);
  });

  it('is a gap where the next line agrees with it', () => {
    const { problems, frames } = timesOf(line(1000) + line(200_000) + line(200_001) + line(200_002));
    expect(problems).toEqual(['2: a time steps at most a day ahead']);
    expect(frames).toEqual([0, 199_001e9, 199_002e9]);
  });

  it('may be a day away, and as far back as it likes', () => {
    const { problems, frames } = timesOf(line(1000) + line(1000 + 86_400) + line(5) + line(6));
    expect(problems).toEqual([]);
    expect(frames).toEqual([0, 86_400e9, 0, 0]);
  });

  function timesOf(text: string) {
    const { problems, batches } = read(text);
    return { problems, frames: batches.flatMap((batch) => batch.frames.map(({ time }) => time)) };
  }
});
