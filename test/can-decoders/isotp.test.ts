import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_RTR_FLAG } from '#contracts';
import { fixedLinks, type IsoTpLink, IsoTpListener, type IsoTpOptions, obdLinks } from '#decoders';
import { batchOf, type TestFrame } from './databases.ts';

const MS = 1e6;
const ANSWER = 0x7e8;
const REQUEST = 0x7e0;
const LINK: IsoTpLink = { id: ANSWER, flowId: REQUEST };

const bytes = (length: number, seed = 0) => Array.from({ length }, (_, i) => (i * 37 + seed) & 0xff);
const hex = (text: string) => [...Buffer.from(text.replaceAll(' ', ''), 'hex')];

interface Received {
  readonly id: number;
  readonly timeMs: number;
  readonly payload: number[];
}

function listener(options: Partial<IsoTpOptions> = {}) {
  const received: Received[] = [];
  const listening = new IsoTpListener(
    (id, timeNs, buffer, start, length) => {
      received.push({ id, timeMs: timeNs / MS, payload: [...buffer.subarray(start, start + length)] });
    },
    { links: [LINK], ...options },
  );
  return { received, listening, counters: listening.counters };
}

/** Frames of `id` in hexadecimal, 10 ms apart. */
function listen(frames: readonly (string | TestFrame)[], options: Partial<IsoTpOptions> = {}) {
  const all = listener(options);
  all.listening.feed(
    batchOf(
      frames.map((one, i) => (typeof one === 'string' ? { id: ANSWER, data: hex(one), time: i * 10 * MS } : one)),
    ),
  );
  return all;
}

/** A message in frames of at most `frameBytes`, padded as CAN FD asks for. */
function segment(payload: readonly number[], { frameBytes = 8, prefix = [] as readonly number[] } = {}): number[][] {
  const FD_SIZES = [8, 12, 16, 20, 24, 32, 48, 64];
  const padded = (data: readonly number[]) => {
    const size = data.length <= 8 ? data.length : FD_SIZES.find((one) => one >= data.length)!;
    return [...data, ...Array(size - data.length).fill(0xcc)];
  };
  const size = payload.length;
  const room = frameBytes - prefix.length;
  if (size <= 7 - prefix.length) return [[...prefix, size, ...payload]];
  if (frameBytes > 8 && size <= room - 2) {
    const frame = padded([...prefix, 0, size, ...payload]);
    // Eight bytes or fewer would be read as a classic frame.
    return [frame.length > 8 ? frame : [...frame, ...Array(12 - frame.length).fill(0xcc)]];
  }
  const head =
    size <= 4095
      ? [0x10 | (size >> 8), size & 0xff]
      : [0x10, 0, Math.floor(size / 2 ** 24), (size >> 16) & 0xff, (size >> 8) & 0xff, size & 0xff];
  const frames = [[...prefix, ...head, ...payload.slice(0, room - head.length)]];
  for (let at = room - head.length, number = 1; at < size; at += room - 1, number++) {
    frames.push(padded([...prefix, 0x20 | (number & 0xf), ...payload.slice(at, at + room - 1)]));
  }
  return frames;
}

const framesOf = (data: readonly number[][], id = ANSWER, startMs = 0): TestFrame[] =>
  data.map((one, i) => ({ id, data: one, time: (startMs + i * 10) * MS }));

describe('a single frame', () => {
  it('is a message, with or without padding', () => {
    const { received } = listen(['03 41 0d 32', '03 41 0d 33 cc cc cc cc']);
    expect(received).toEqual([
      { id: ANSWER, timeMs: 0, payload: hex('410d32') },
      { id: ANSWER, timeMs: 10, payload: hex('410d33') },
    ]);
  });

  it('has its length in the second byte where the frame has more than 8', () => {
    const { received } = listen([`00 0a ${'ab'.repeat(10)}`]);
    expect(received[0]!.payload).toEqual(Array(10).fill(0xab));
  });

  it.each([
    ['no length', '00 41 0d 32'],
    ['a length beyond its end', '05 41 0d 32'],
    ['no bytes', ''],
    ['a long form in 8 bytes', '00 05 41 0d 32 00 00 00'],
    ['a short length in 12 bytes', '03 03 0d 32 00 00 00 00 00 00 00 00'],
    ['a long length beyond its end', '00 0b 41 0d 32 00 00 00 00 00 00 00'],
  ])('with %s is malformed', (_, frame) => {
    const { received, counters } = listen([frame]);
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ malformed: 1, complete: 0 });
  });
});

describe('a message of several frames', () => {
  const VIN = '49 02 01 31 46 4d 43 55 30 46 37 58 41 55 43 31 32 33 34 35';
  const FRAMES = ['10 14 49 02 01 31 46 4d', '21 43 55 30 46 37 58 41', '22 55 43 31 32 33 34 35'];

  it('is put together, with the time of its last frame', () => {
    const { received, counters } = listen(FRAMES);
    expect(received).toEqual([{ id: ANSWER, timeMs: 20, payload: hex(VIN) }]);
    expect(counters).toMatchObject({ complete: 1, stray: 0, malformed: 0 });
  });

  it('goes on from sequence number 15 to 0', () => {
    const payload = bytes(6 + 7 * 40);
    expect(listen(framesOf(segment(payload))).received[0]!.payload).toEqual(payload);
  });

  it('ends at a wrong sequence number, whatever follows', () => {
    const { received, counters } = listen([FRAMES[0]!, FRAMES[2]!, FRAMES[1]!]);
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ sequence: 1, stray: 1 });
  });

  it('ends at a frame that comes twice: the standard sends none again', () => {
    expect(listen([FRAMES[0]!, FRAMES[1]!, FRAMES[1]!]).counters).toMatchObject({ sequence: 1 });
  });

  it('ends at a frame that is too short for what is missing', () => {
    expect(listen([FRAMES[0]!, '21 43 55 30', FRAMES[2]!]).counters).toMatchObject({ shortFrame: 1, stray: 1 });
    expect(listen([FRAMES[0]!, FRAMES[1]!, '22 55 43']).counters).toMatchObject({ shortFrame: 1 });
  });

  it('gives way to the next message of its link', () => {
    const { received, counters } = listen([FRAMES[0]!, FRAMES[1]!, '02 41 0d', ...FRAMES]);
    expect(received.map(({ payload }) => payload.length)).toEqual([2, 20]);
    expect(counters).toMatchObject({ replaced: 1, complete: 2 });
  });

  it('is read up to the length of its first frame where later ones are longer', () => {
    const longer = FRAMES.slice(1).map((text) => `${text} ee ee ee ee`);
    expect(listen([FRAMES[0]!, ...longer]).received[0]!.payload).toEqual(hex(VIN));
  });

  it('in a first frame that a single frame would hold is malformed', () => {
    expect(listen(['10 07 01 02 03 04 05 06', '21 07']).counters).toMatchObject({ malformed: 1, stray: 1 });
    expect(listen(['10 08 01 02 03 04 05 06', '21 07 08']).counters).toMatchObject({ complete: 1 });
    expect(listen(['10 14 49 02 01']).counters).toMatchObject({ malformed: 1 });
  });

  it('may have more than 4095 bytes by the escape, up to the limit', () => {
    const payload = bytes(5000);
    expect(listen(framesOf(segment(payload)), { maxBytes: 5000 }).received[0]!.payload).toEqual(payload);
    const refused = listen(framesOf(segment(payload)));
    expect(refused.received).toEqual([]);
    expect(refused.counters).toMatchObject({ tooLong: 1 });
    expect(listen(['10 00 ff ff ff ff 00 00']).counters).toMatchObject({ tooLong: 1 });
    expect(listen(['10 00 00 00 0f ff 00 00']).counters).toMatchObject({ malformed: 1 });
  });

  it('may come in CAN FD frames whose last is padded', () => {
    const payload = bytes(300);
    const frames = segment(payload, { frameBytes: 64 });
    expect(frames.map(({ length }) => length)).toEqual([64, 64, 64, 64, 64]);
    expect(listen(framesOf(frames)).received[0]!.payload).toEqual(payload);
  });
});

describe('flow control', () => {
  const flow = (status: number, timeMs: number, id = REQUEST): TestFrame => ({
    id,
    data: [0x30 | status, 0, 0],
    time: timeMs * MS,
  });
  const [first, ...rest] = segment(bytes(20));
  const start = framesOf([first!]);

  it('of overflow ends the message', () => {
    const { received, counters } = listen([...start, flow(2, 1), ...framesOf(rest, ANSWER, 10)]);
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ overflow: 1, stray: 2 });
  });

  it('of wait prolongs it', () => {
    const frames = [...start, flow(1, 900), flow(1, 1800), flow(0, 2700), ...framesOf(rest, ANSWER, 3600)];
    expect(listen(frames).counters).toMatchObject({ complete: 1, timeout: 0 });
  });

  it('of a message that is not open, or not of the standard, is counted', () => {
    expect(listen([flow(0, 0)]).counters).toMatchObject({ stray: 1 });
    expect(listen([...start, flow(3, 1)]).counters).toMatchObject({ malformed: 1 });
    const short = { ...flow(2, 1), data: [0x32, 0] };
    expect(listen([...start, short, ...framesOf(rest, ANSWER, 10)]).counters).toMatchObject({
      malformed: 1,
      complete: 1,
    });
  });

  it('has its own id: the same frame from the sender changes nothing', () => {
    expect(listen([...start, flow(2, 1, ANSWER), ...framesOf(rest, ANSWER, 10)]).counters).toMatchObject({
      complete: 1,
    });
  });
});

describe('a listener that waits', () => {
  const [first, ...rest] = segment(bytes(20));

  it('gives up after N_Cr, of its link only', () => {
    const at = (ms: number) => listen([...framesOf([first!]), ...framesOf(rest, ANSWER, ms)]).counters;
    expect(at(1000)).toMatchObject({ complete: 1, timeout: 0 });
    expect(at(1001)).toMatchObject({ complete: 0, timeout: 1, stray: 2 });
  });

  it('waits for N_Bs too where flow control is not seen', () => {
    const at = (ms: number) =>
      listen([...framesOf([first!]), ...framesOf(rest, ANSWER, ms)], { links: [{ id: ANSWER }] }).counters;
    expect(at(2000)).toMatchObject({ complete: 1 });
    expect(at(2001)).toMatchObject({ timeout: 1 });
  });

  it('gives up when told the time, and forgets at a new boot', () => {
    const told = listen(framesOf([first!]));
    told.listening.expire(1001 * MS);
    expect(told.counters).toMatchObject({ timeout: 1 });
    const booted = listen(framesOf([first!]));
    booted.listening.reset();
    booted.listening.feed(batchOf(framesOf(rest)));
    expect(booted.counters).toMatchObject({ unfinished: 1, stray: 2, complete: 0 });
  });
});

describe('links', () => {
  it('are all that is listened to', () => {
    const { received, counters } = listen([
      { id: 0x123, data: hex('03 41 0d 32') },
      { id: (ANSWER | CAN_EFF_FLAG) >>> 0, data: hex('03 41 0d 32') },
      { id: (ANSWER | CAN_RTR_FLAG) >>> 0, data: [] },
    ]);
    expect(received).toEqual([]);
    expect(Object.values(counters)).toEqual(Array(10).fill(0));
  });

  it('of OBD are eight with 11 bits, and as many as there are units with 29', () => {
    expect(obdLinks()).toHaveLength(8);
    expect(obdLinks()[7]).toEqual({ id: 0x7ef, flowId: 0x7e7 });
    expect(fixedLinks([0x10])).toEqual([{ id: 0x98daf110, flowId: 0x98da10f1 }]);
    const { received } = listen([{ id: 0x98daf110, data: hex('03 41 0d 32') }], { links: fixedLinks([0x10]) });
    expect(received).toMatchObject([{ id: 0x98daf110, payload: hex('410d32') }]);
  });

  it('of extended addressing differ by the first byte', () => {
    const links = [
      { id: 0x600, address: 1, flowId: 0x601, flowAddress: 9 },
      { id: 0x600, address: 2, flowId: 0x601, flowAddress: 8 },
    ];
    const [one, two] = [bytes(30), bytes(25, 5)];
    const frames = [segment(one, { prefix: [1] }), segment(two, { prefix: [2] })];
    const mixed = Array.from({ length: 6 }, (_, i) => frames.flatMap((all) => all.slice(i, i + 1))).flat();
    const { received } = listen(framesOf([...mixed, hex('01 06 a1 a2 a3 a4 a5 a6'), hex('03 01 00')], 0x600), {
      links,
      addressing: 'extended',
    });
    expect(received.map(({ payload }) => payload)).toEqual([two, one, hex('a1a2a3a4a5a6')]);
    const refused = listen(
      [...framesOf(frames[0]!.slice(0, 1), 0x600), { id: 0x601, data: hex('09 32 00 00'), time: 1 }],
      { links, addressing: 'extended' },
    );
    expect(refused.counters).toMatchObject({ overflow: 1 });
  });

  it('that cannot be told apart are refused', () => {
    const refused = (options: IsoTpOptions) => () => new IsoTpListener(() => {}, options);
    expect(refused({ links: [LINK, LINK] })).toThrow(expect.objectContaining({ code: 'TG_TRANSPORT_LINK' }));
    expect(refused({ links: [LINK], addressing: 'extended' })).toThrow(
      expect.objectContaining({ code: 'TG_TRANSPORT_LINK' }),
    );
  });
});

describe('messages of several links', () => {
  it('come out as they went in, whatever the order between them and the cut of batches', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 71, max: 6000 }));
    const plan = fc.record({
      payload: size.map((length) => bytes(length, length)),
      frameBytes: fc.constantFrom(8, 12, 16, 20, 24, 32, 48, 64),
    });
    const input = fc.record({
      queues: fc.array(fc.array(plan, { maxLength: 3 }), { minLength: 1, maxLength: 8 }),
      picks: fc.infiniteStream(fc.nat(1000)),
      cut: fc.integer({ min: 1, max: 50 }),
      isExtended: fc.boolean(),
    });
    fc.assert(
      fc.property(input, ({ queues, picks, cut, isExtended }) => {
        const waiting = queues.map((plans, link) =>
          plans.flatMap(({ payload, frameBytes }) =>
            segment(payload, { frameBytes, prefix: isExtended ? [link] : [] }).map((data) => ({
              id: isExtended ? 0x600 : ANSWER + link,
              data,
            })),
          ),
        );
        const frames: TestFrame[] = [];
        while (waiting.some((queue) => queue.length > 0)) {
          const open = waiting.filter((queue) => queue.length > 0);
          const next = open[picks.next().value % open.length]!.shift()!;
          frames.push({ ...next, time: frames.length * 1000 });
        }
        const links = isExtended ? queues.map((_, address) => ({ id: 0x600, address })) : obdLinks();
        const { received, listening, counters } = listener({
          links,
          maxBytes: 6000,
          addressing: isExtended ? 'extended' : 'normal',
        });
        for (let i = 0; i < frames.length; i += cut) listening.feed(batchOf(frames.slice(i, i + cut)));
        const expected = queues.flatMap((plans) => plans.map(({ payload }) => JSON.stringify(payload)));
        expect(received.map(({ payload }) => JSON.stringify(payload)).sort()).toEqual(expected.sort());
        expect(counters).toMatchObject({ complete: expected.length, stray: 0, malformed: 0, sequence: 0 });
      }),
      { numRuns: 60, seed: 15765 },
    );
  });
});

describe('frames without sense', () => {
  it('never throw, and every message that begins has one end', () => {
    const frame = fc.record({
      id: fc.constantFrom(ANSWER, REQUEST, ANSWER + 1),
      data: fc
        .tuple(
          fc.constantFrom(0x00, 0x02, 0x10, 0x10, 0x11, 0x21, 0x22, 0x23, 0x20, 0x30, 0x31, 0x32, 0x40),
          fc.constantFrom(0, 8, 12, 20, 255),
          fc.array(fc.nat(255), { maxLength: 62 }),
          fc.constantFrom(1, 3, 8, 8, 8, 8, 12, 64),
        )
        .map(([type, second, rest, cut]) => [type, second, ...rest].slice(0, cut)),
      gap: fc.constantFrom(0, 1, 1, 1, 999, 1100),
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 200 }), (frames) => {
        let ms = 0;
        let begun = 0;
        const { received, listening, counters } = listener({ links: obdLinks(), maxBytes: 300 });
        for (const { id, data, gap } of frames) {
          ms += gap;
          const { complete, tooLong, malformed } = { ...counters };
          listening.feed(batchOf([{ id, data, time: ms * MS }]));
          const isHead = id !== REQUEST && (data[0]! >> 4 === 0 || data[0]! >> 4 === 1);
          if (isHead && counters.malformed === malformed) begun++;
          expect(counters.complete - complete + counters.tooLong - tooLong).toBeLessThanOrEqual(1);
        }
        listening.reset();
        const { complete, timeout, sequence, replaced, overflow, shortFrame, tooLong, unfinished } = counters;
        expect(complete + timeout + sequence + replaced + overflow + shortFrame + tooLong + unfinished).toBe(begun);
        expect(received).toHaveLength(complete);
        for (const { payload } of received) {
          expect(payload.length).toBeGreaterThan(0);
          expect(payload.length).toBeLessThanOrEqual(300);
        }
      }),
      { numRuns: 300, seed: 2 },
    );
  });
});
