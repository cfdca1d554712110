import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_RTR_FLAG } from '#contracts';
import {
  createDecoder,
  createInterpreter,
  destinationOf,
  J1939Transport,
  type J1939TransportOptions,
  matchKey,
  PgnMatcher,
  pgnOf,
  RowReader,
  signalInfos,
  sourceOf,
  spnStatus,
  TRANSPORT_TIMEOUTS_MS,
} from '#decoders';
import { batchOf, database, message, signal, type TestFrame } from './databases.ts';

const MS = 1e6;
const ENGINE = 0x00;
const CLUSTER = 0x17;
const ALL = 0xff;
const DM1 = 0xfeca;

interface Packet {
  readonly source: number;
  readonly destination: number;
  readonly format: 0xec | 0xeb;
  readonly data: readonly number[];
}

const pgnBytes = (pgn: number) => [pgn & 0xff, (pgn >> 8) & 0xff, pgn >> 16];
const packetsOf = (size: number) => Math.ceil(size / 7);
const control = (source: number, destination: number, data: number[]): Packet => ({
  source,
  destination,
  format: 0xec,
  data,
});
const bam = (source: number, size: number, pgn: number) =>
  control(source, ALL, [32, size & 0xff, size >> 8, packetsOf(size), 0xff, ...pgnBytes(pgn)]);
const rts = (source: number, destination: number, size: number, pgn: number) =>
  control(source, destination, [16, size & 0xff, size >> 8, packetsOf(size), 0xff, ...pgnBytes(pgn)]);
const cts = (receiver: number, sender: number, count: number, next: number, pgn: number) =>
  control(receiver, sender, [17, count, next, 0xff, 0xff, ...pgnBytes(pgn)]);
const acknowledge = (receiver: number, sender: number, size: number, pgn: number) =>
  control(receiver, sender, [19, size & 0xff, size >> 8, packetsOf(size), 0xff, ...pgnBytes(pgn)]);
const abort = (from: number, to: number, pgn: number) =>
  control(from, to, [255, 3, 0xff, 0xff, 0xff, ...pgnBytes(pgn)]);

function data(source: number, destination: number, payload: readonly number[]): Packet[] {
  return Array.from({ length: packetsOf(payload.length) }, (_, i) => {
    const part = payload.slice(i * 7, i * 7 + 7);
    return { source, destination, format: 0xeb, data: [i + 1, ...part, ...Array(7 - part.length).fill(0xff)] };
  });
}

function frame({ source, destination, format, data: bytes }: Packet, timeMs = 0): TestFrame {
  const id = (CAN_EFF_FLAG | (7 << 26) | (format << 16) | (destination << 8) | source) >>> 0;
  return { id, data: bytes, time: Math.round(timeMs * MS) };
}

/** Packets one after the other, 10 ms apart. */
const steadily = (packets: readonly Packet[], startMs = 0) => packets.map((one, i) => frame(one, startMs + i * 10));

interface Received {
  readonly pgn: number;
  readonly source: number;
  readonly destination: number;
  readonly timeMs: number;
  readonly payload: number[];
}

function listener(options: J1939TransportOptions = {}) {
  const received: Received[] = [];
  const transport = new J1939Transport((pgn, source, destination, timeNs, bytes, length) => {
    received.push({ pgn, source, destination, timeMs: timeNs / MS, payload: [...bytes.subarray(0, length)] });
  }, options);
  return { received, transport };
}

function listen(frames: readonly TestFrame[], options: J1939TransportOptions = {}) {
  const { received, transport } = listener(options);
  transport.feed(batchOf(frames));
  return { received, transport, counters: transport.counters };
}

const bytes = (length: number, seed = 0) => Array.from({ length }, (_, i) => (i * 31 + seed) & 0xff);

describe('the id of a parameter group', () => {
  it('takes the PS byte as part of a PDU2 group', () => {
    expect(pgnOf(0x18fef100)).toBe(0xfef1);
    expect(destinationOf(0x18fef100)).toBe(ALL);
    expect(sourceOf(0x18fef100)).toBe(0);
  });

  it('takes the PS byte as destination in PDU1', () => {
    expect(pgnOf(0x18ef3305)).toBe(0xef00);
    expect(destinationOf(0x18ef3305)).toBe(0x33);
    expect(pgnOf(0x0c000003)).toBe(0);
  });

  it('keeps the data page and the extended data page', () => {
    expect(pgnOf(0x19fef100)).toBe(0x1fef1);
    expect(pgnOf(0x1afef100)).toBe(0x2fef1);
    expect(pgnOf(0x1aef3305)).toBe(0x2ef00);
  });

  it('is the same for every priority, source and (PDU1) destination', () => {
    fc.assert(
      fc.property(
        fc.nat(0x3ffff),
        fc.nat(7),
        fc.nat(7),
        fc.nat(255),
        fc.nat(255),
        fc.nat(255),
        (pgn, p, q, s, t, d) => {
          const isPdu1 = ((pgn >> 8) & 0xff) < 240;
          const other = isPdu1 ? (pgn & 0x3ff00) | d : pgn;
          expect(matchKey((p << 26) | (pgn << 8) | s)).toBe(matchKey((q << 26) | (other << 8) | t));
        },
      ),
    );
  });
});

describe('a database of J1939', () => {
  const group = (name: string, id: number, j1939 = true) => message({ name, id, extended: true, j1939 });
  const idsAfter = (matcher: PgnMatcher, ids: readonly number[]) => {
    const batch = batchOf(ids.map((id) => ({ id, data: [1] })));
    const found = matcher.rewrite(batch);
    const view = new DataView(batch.bytes.buffer);
    return { found, ids: ids.map((_, i) => view.getUint32(i * batch.slotBytes + 8, true)) };
  };
  const word = (id: number) => (id | CAN_EFF_FLAG) >>> 0;

  it('matches frames of any priority and source by their group', () => {
    const matcher = new PgnMatcher(database(group('CCVS', 0x18fef1fe), group('TSC1', 0x0c0000fe)));
    expect(idsAfter(matcher, [word(0x0cfef117), word(0x0c00ff03), word(0x18fef200)])).toEqual({
      found: 2,
      ids: [word(0x18fef1fe), word(0x0c0000fe), word(0x18fef200)],
    });
  });

  it('prefers the message of the very source, then the one without a source', () => {
    const matcher = new PgnMatcher(
      database(group('First', 0x18fef103), group('Any', 0x18fef1fe), group('Cluster', 0x18fef117)),
    );
    expect(matcher.idOf(0xfef1, 0x17)).toBe(0x18fef117);
    expect(matcher.idOf(0xfef1, 0x03)).toBe(0x18fef103);
    expect(matcher.idOf(0xfef1, 0x44)).toBe(0x18fef1fe);
    expect(matcher.idOf(0xfef2, 0x44)).toBe(-1);
  });

  it('leaves alone what is not J1939: 11 bits, remote frames, messages that do not say so', () => {
    const db = database(group('Plain', 0x18fef1fe, false), group('Group', 0x18fef2fe));
    const remote = (word(0x18fef217) | CAN_RTR_FLAG) >>> 0;
    expect(idsAfter(new PgnMatcher(db), [word(0x18fef117), 0x7f1, remote])).toMatchObject({ found: 0 });
    expect(new PgnMatcher(db, { every: true }).idOf(0xfef1, 0x17)).toBe(0x18fef1fe);
  });

  it('does not take the id of another message for the group of one', () => {
    const db = database(group('Group', 0x18fef1fe), group('Plain', 0x18fef117, false));
    expect(idsAfter(new PgnMatcher(db), [word(0x18fef117)]).ids).toEqual([word(0x18fef117)]);
  });

  it('decodes frames of every source, compiled and interpreted', () => {
    const speed = signal({ name: 'Speed', start: 8, length: 16, factor: 1 / 256 });
    const db = database(message({ name: 'CCVS', id: 0x18fef1fe, extended: true, j1939: true, signals: [speed] }));
    for (const make of [createDecoder, createInterpreter]) {
      const decoder = make({ channel: 0, database: db, signals: signalInfos(db) });
      const batch = batchOf([{ id: word(0x0cfef131), data: [0, 0, 80, 0, 0, 0, 0, 0] }]);
      new PgnMatcher(db).rewrite(batch);
      const rows = [...new RowReader(decoder.layout, db).read(decoder.decode(batch))];
      expect(rows.map(({ values }) => values.get('Speed'))).toEqual([80]);
    }
  });
});

describe('a broadcast', () => {
  it('is put together, with the time of its last packet', () => {
    const payload = bytes(20);
    const { received, counters } = listen(steadily([bam(ENGINE, 20, DM1), ...data(ENGINE, ALL, payload)]));
    expect(received).toEqual([{ pgn: DM1, source: ENGINE, destination: ALL, timeMs: 30, payload }]);
    expect(counters).toMatchObject({ complete: 1, stray: 0, malformed: 0 });
  });

  it.each([9, 14, 15, 1785])('may have %i bytes', (size) => {
    const { received } = listen(steadily([bam(ENGINE, size, DM1), ...data(ENGINE, ALL, bytes(size))]));
    expect(received[0]!.payload).toEqual(bytes(size));
  });

  it.each([
    ['fits one frame', 8, 2],
    ['is longer than 255 packets', 1786, 255],
    ['has another number of packets', 20, 4],
  ])('is refused when it %s', (_, size, packets) => {
    const head = bam(ENGINE, size, DM1);
    const wrong = { ...head, data: head.data.map((byte, i) => (i === 3 ? packets : byte)) };
    const { received, counters } = listen(steadily([wrong, ...data(ENGINE, ALL, bytes(20))]));
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ malformed: 1, stray: 3 });
  });

  it('ends at a missing packet', () => {
    const [first, , third] = data(ENGINE, ALL, bytes(20));
    const { received, counters } = listen(steadily([bam(ENGINE, 20, DM1), first!, third!]));
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ missing: 1 });
  });

  it('passes over a packet that comes twice', () => {
    const [first, second, third] = data(ENGINE, ALL, bytes(20));
    const { received, counters } = listen(steadily([bam(ENGINE, 20, DM1), first!, second!, second!, third!]));
    expect(received).toHaveLength(1);
    expect(counters).toMatchObject({ duplicate: 1 });
  });

  it('gives way to the next one of its source', () => {
    const [first] = data(ENGINE, ALL, bytes(20));
    const next = [bam(ENGINE, 9, 0xfee3), ...data(ENGINE, ALL, bytes(9))];
    const { received, counters } = listen(steadily([bam(ENGINE, 20, DM1), first!, ...next]));
    expect(received.map(({ pgn }) => pgn)).toEqual([0xfee3]);
    expect(counters).toMatchObject({ replaced: 1, complete: 1 });
  });
});

describe('a connection', () => {
  const size = 30;
  const payload = bytes(size, 7);
  const request = rts(ENGINE, CLUSTER, size, DM1);
  const packets = data(ENGINE, CLUSTER, payload);
  const clear = (count: number, next: number) => cts(CLUSTER, ENGINE, count, next, DM1);
  const acknowledged = acknowledge(CLUSTER, ENGINE, size, DM1);

  it('is followed through its windows to the acknowledgement', () => {
    const { received, counters } = listen(
      steadily([request, clear(2, 1), ...packets.slice(0, 2), clear(3, 3), ...packets.slice(2), acknowledged]),
    );
    expect(received).toMatchObject([{ pgn: DM1, source: ENGINE, destination: CLUSTER, payload }]);
    expect(counters).toMatchObject({ complete: 1, stray: 0, duplicate: 0, missing: 0 });
  });

  it('takes packets that the receiver asks for again', () => {
    const [one, two, three, four, five] = packets;
    const { received, counters } = listen(
      steadily([
        request,
        clear(5, 1),
        one!,
        three!,
        four!,
        five!,
        clear(4, 2),
        two!,
        three!,
        four!,
        five!,
        acknowledged,
      ]),
    );
    expect(received).toHaveLength(1);
    expect(received[0]!.payload).toEqual(payload);
    expect(counters).toMatchObject({ complete: 1, duplicate: 3, stray: 0 });
  });

  it('is lost when the receiver has all and we have not', () => {
    const { received, counters } = listen(steadily([request, clear(5, 1), ...packets.slice(1), acknowledged]));
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ missing: 1, complete: 0 });
  });

  it.each([
    ['the receiver', abort(CLUSTER, ENGINE, DM1)],
    ['the sender', abort(ENGINE, CLUSTER, DM1)],
  ])('ends when %s aborts', (_, frameOfAbort) => {
    const { received, counters } = listen(
      steadily([request, clear(5, 1), packets[0]!, frameOfAbort, ...packets.slice(1)]),
    );
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ aborted: 1, stray: 4 });
  });

  it('lives as long as the receiver asks again, and longer than its message', () => {
    const again = [clear(1, 1), packets[0]!];
    const { received, counters } = listen([
      ...steadily([request, clear(5, 1), ...packets]),
      ...again.map((one, i) => frame(one, 1300 + i * 1200)),
      ...again.map((one, i) => frame(one, 3700 + i * 1200)),
      frame(acknowledged, 6100),
    ]);
    expect(received).toHaveLength(1);
    expect(counters).toMatchObject({ complete: 1, duplicate: 2, stray: 0, timeout: 0 });
  });

  it('is prolonged by a packet that comes again', () => {
    const frames = [frame(request), frame(clear(5, 1), 1), frame(packets[0]!, 2), frame(packets[0]!, 702)];
    const { counters } = listen([...frames, ...steadily(packets.slice(1), 1402)]);
    expect(counters).toMatchObject({ complete: 1, duplicate: 1, timeout: 0 });
  });

  it('that only waits for its acknowledgement makes room for another', () => {
    const next = [bam(CLUSTER, 9, DM1), ...data(CLUSTER, ALL, bytes(9))];
    const { received, counters } = listen(steadily([request, clear(5, 1), ...packets, ...next]), { sessions: 1 });
    expect(received).toHaveLength(2);
    expect(counters).toMatchObject({ complete: 2, noRoom: 0 });
  });

  it('is not changed by a clear-to-send beyond its end', () => {
    const { counters } = listen(steadily([request, clear(5, 2), clear(1, 0), clear(5, 1), ...packets]));
    expect(counters).toMatchObject({ malformed: 2, complete: 1 });
  });

  it('lies on data page 0 only, in frames of 8 bytes only', () => {
    const onPage = (page: number) =>
      steadily([request, ...packets]).map((one) => ({ ...one, id: (one.id | (page << 24)) >>> 0 }));
    for (const page of [1, 2]) {
      const { received, counters } = listen(onPage(page));
      expect(received).toEqual([]);
      expect(counters).toMatchObject({ stray: 0, malformed: 0 });
    }
    const short = { ...packets[4]!, data: packets[4]!.data.slice(0, 3) };
    const { received, counters } = listen(steadily([request, ...packets.slice(0, 4), short]));
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ malformed: 1 });
  });

  it('goes on when an abort names another group', () => {
    const { received } = listen(steadily([request, clear(5, 1), abort(CLUSTER, ENGINE, 0xfee3), ...packets]));
    expect(received).toHaveLength(1);
  });
});

describe('a transport that waits', () => {
  const { t1, t2, t3, t4 } = TRANSPORT_TIMEOUTS_MS;
  const packets = data(ENGINE, CLUSTER, bytes(20));
  const open = rts(ENGINE, CLUSTER, 20, DM1);
  const clear = (count: number, next: number) => cts(CLUSTER, ENGINE, count, next, DM1);
  const resume = (head: readonly Packet[], waitMs: number, rest: readonly Packet[]) => {
    const start = steadily(head);
    return listen([...start, ...steadily(rest, (head.length - 1) * 10 + waitMs)]);
  };

  it.each([
    ['T1: between two packets', t1, [open, clear(3, 1), packets[0]!], packets.slice(1)],
    ['T1: between two packets of a broadcast', t1, [bam(ENGINE, 20, DM1)], data(ENGINE, ALL, bytes(20))],
    ['T2: after a clear-to-send', t2, [open, clear(3, 1)], packets],
    ['T3: after a request', t3, [open], [clear(3, 1), ...packets]],
    ['T3: after the last packet of a window', t3, [open, clear(1, 1), packets[0]!], [clear(2, 2), ...packets.slice(1)]],
    ['T4: after a hold', t4, [open, clear(0, 0xff)], [clear(3, 1), ...packets]],
  ])('%s', (_, ms, head, rest) => {
    expect(resume(head, ms, rest).counters).toMatchObject({ complete: 1, timeout: 0 });
    expect(resume(head, ms + 1, rest).counters).toMatchObject({ complete: 0, timeout: 1 });
  });

  it('sees the end of time only in frames, of any kind, or when told', () => {
    const { transport, counters } = listen(steadily([open]));
    transport.expire(t3 * MS);
    expect(counters.timeout).toBe(0);
    transport.expire((t3 + 1) * MS);
    expect(counters.timeout).toBe(1);
    const other = listen([frame(open), { id: 0x123, data: [1], time: (t3 + 1) * MS }]);
    expect(other.counters.timeout).toBe(1);
  });

  it('forgets what is open at a new boot', () => {
    const { transport, counters, received } = listen(steadily([open, clear(3, 1), packets[0]!]));
    transport.reset();
    transport.feed(batchOf(steadily(packets.slice(1))));
    expect(received).toEqual([]);
    expect(counters).toMatchObject({ unfinished: 1, stray: 2 });
  });
});

describe('messages of several sources', () => {
  interface Planned {
    readonly source: number;
    readonly destination: number;
    readonly pgn: number;
    readonly payload: number[];
    readonly window: number;
  }
  const plans = fc
    .uniqueArray(
      fc.record({
        source: fc.integer({ min: 0, max: 15 }),
        destination: fc.constantFrom(ALL, 0x80, 0x81),
        pgn: fc.nat(0x3ffff),
        payload: fc.oneof(
          fc.array(fc.nat(255), { minLength: 9, maxLength: 60 }),
          fc.integer({ min: 9, max: 1785 }).map((size) => bytes(size, 3)),
        ),
        window: fc.integer({ min: 1, max: 16 }),
      }),
      { minLength: 1, maxLength: 8, selector: ({ source, destination }) => source * 256 + destination },
    )
    .filter((all) => all.length > 0);

  function segment({ source, destination, pgn, payload, window }: Planned): Packet[] {
    const packets = data(source, destination, payload);
    if (destination === ALL) return [bam(source, payload.length, pgn), ...packets];
    const windows: Packet[] = [];
    for (let i = 0; i < packets.length; i += window) {
      const part = packets.slice(i, i + window);
      windows.push(cts(destination, source, part.length, i + 1, pgn), ...part);
    }
    const end = acknowledge(destination, source, payload.length, pgn);
    return [rts(source, destination, payload.length, pgn), ...windows, end];
  }

  it('come out as they went in, whatever the order between them and the cut of batches', () => {
    fc.assert(
      fc.property(plans, fc.infiniteStream(fc.nat(1000)), fc.integer({ min: 1, max: 40 }), (all, picks, cut) => {
        const queues = all.map(segment);
        const frames: TestFrame[] = [];
        while (queues.some((queue) => queue.length > 0)) {
          const open = queues.filter((queue) => queue.length > 0);
          frames.push(frame(open[picks.next().value % open.length]!.shift()!, frames.length * 0.1));
        }
        const { received, transport } = listener();
        for (let i = 0; i < frames.length; i += cut) transport.feed(batchOf(frames.slice(i, i + cut)));
        const text = (list: readonly Omit<Received, 'timeMs'>[]) =>
          list
            .map(({ pgn, source, destination, payload }) => JSON.stringify([pgn, source, destination, payload]))
            .sort();
        expect(text(received)).toEqual(text(all));
        expect(transport.counters).toMatchObject({ complete: all.length, stray: 0, malformed: 0, duplicate: 0 });
      }),
      { numRuns: 60, seed: 1939 },
    );
  });

  it('beyond the number of sessions are counted and leave those before whole', () => {
    const one = [bam(1, 9, DM1), bam(2, 9, DM1), ...data(1, ALL, bytes(9)), ...data(2, ALL, bytes(9))];
    const { received, counters } = listen(steadily(one), { sessions: 1 });
    expect(received.map(({ source }) => source)).toEqual([1]);
    expect(counters).toMatchObject({ noRoom: 1, stray: 2 });
  });

  it('of another channel are passed over when asked', () => {
    const frames = steadily([bam(1, 9, DM1), ...data(1, ALL, bytes(9))]).map((one) => ({ ...one, channel: 1 }));
    expect(listen(frames, { channel: 0 }).received).toEqual([]);
    expect(listen(frames, { channel: 1 }).received).toHaveLength(1);
  });
});

describe('frames without sense', () => {
  it('never throw, never make a message of a wrong size, and every announcement has one end', () => {
    const packet = fc.record({
      source: fc.constantFrom(0, 1, 0x80),
      destination: fc.constantFrom(0, 1, 0x80, ALL),
      format: fc.constantFrom(0xec as const, 0xeb as const),
      data: fc.oneof(
        fc.tuple(
          fc.constantFrom(16, 17, 19, 32, 255, 1, 2),
          fc.constantFrom(9, 14, 20, 0, 1),
          fc.constantFrom(0, 0, 1),
          fc.constantFrom(2, 3, 1, 255),
          fc.constant(0xff),
          fc.constant(0xca),
          fc.constant(0xfe),
          fc.constant(0),
        ),
        fc.array(fc.nat(255), { maxLength: 8 }),
      ),
      gap: fc.constantFrom(0, 1, 700, 800, 1300),
    });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 200 }), (packets) => {
        let time = 0;
        const frames = packets.map((one) => {
          time += one.gap;
          return frame({ ...one, data: [...one.data] }, time);
        });
        const { received, transport, counters } = listen(frames, { sessions: 2 });
        transport.reset();
        for (const { payload } of received) expect(payload.length).toBeGreaterThanOrEqual(9);
        const { complete, timeout, aborted, missing, replaced, noRoom, unfinished } = counters;
        const ends = complete + timeout + aborted + missing + replaced + noRoom + unfinished;
        const announcements = packets.filter(({ data: [kind, low, high, count], destination, data: all }) => {
          const size = low! | (high! << 8);
          return (
            all.length === 8 &&
            size >= 9 &&
            size <= 1785 &&
            count === packetsOf(size) &&
            ((kind === 32 && destination === ALL) || (kind === 16 && destination !== ALL))
          );
        });
        const heads = announcements.filter(({ format }) => format === 0xec);
        expect(ends).toBe(heads.length);
      }),
      { numRuns: 300, seed: 21 },
    );
  });
});

describe('a raw value', () => {
  it.each([
    [8, 0xfa, 'valid'],
    [8, 0xfb, 'specific'],
    [8, 0xfc, 'reserved'],
    [8, 0xfd, 'reserved'],
    [8, 0xfe, 'error'],
    [8, 0xff, 'not-available'],
    [12, 0xfaf, 'valid'],
    [12, 0xfef, 'error'],
    [12, 0xff0, 'not-available'],
    [16, 0xfaff, 'valid'],
    [16, 0xfb00, 'specific'],
    [16, 0xfdff, 'reserved'],
    [16, 0xfe00, 'error'],
    [16, 0xfeff, 'error'],
    [16, 0xff00, 'not-available'],
    [24, 0xfe0000, 'error'],
    [32, 0xfaffffff, 'valid'],
    [32, 0xfbffffff, 'specific'],
    [32, 0xfe000000, 'error'],
    [32, 0xffffffff, 'not-available'],
    [2, 1, 'valid'],
    [2, 2, 'error'],
    [2, 3, 'not-available'],
    [4, 0xd, 'valid'],
    [4, 0xe, 'error'],
    [4, 0xf, 'not-available'],
    [7, 0x7e, 'error'],
    [1, 1, 'valid'],
    [64, 0xffff_ffff_ffff_ffffn, 'valid'],
    [16, -1, 'not-available'],
    [8, 254n, 'error'],
  ] as const)('of %i bits, %s, is %s', (bits, raw, status) => {
    expect(spnStatus(raw, bits)).toBe(status);
  });
});
