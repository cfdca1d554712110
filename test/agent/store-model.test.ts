import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DurableStore, OutboxRow } from '../../agent/store/contract.ts';
import { folder, open, TestStream } from './store-parts.ts';

const RECORD_BYTES = 50;
const WRAPPED_BYTES = RECORD_BYTES + 16;
const CAP = 12;

/** What the store promises of its records, as simply as it can be said. */
class Model {
  readonly rows: {
    name: string;
    priority: number;
    seq: number;
    age: number;
    state: 'queued' | 'inflight' | 'pubacked';
  }[] = [];
  readonly acked: string[] = [];
  readonly evicted: string[] = [];
  #age = 0;

  commit(added: readonly { name: string; priority: number; seq: number }[]): void {
    for (const row of added) this.rows.push({ ...row, age: this.#age++, state: 'queued' });
    while (this.rows.length > CAP) {
      const [victim] = this.rows
        .filter(({ state }) => state !== 'inflight')
        .sort((a, b) => a.priority - b.priority || a.age - b.age);
      if (victim === undefined) break;
      this.rows.splice(this.rows.indexOf(victim), 1);
      this.evicted.push(`${victim.name}/${victim.seq}`);
    }
  }

  take(limit: number): string[] {
    const queued = this.rows
      .filter(({ state }) => state === 'queued')
      .sort((a, b) => b.priority - a.priority || a.age - b.age);
    const taken = queued.slice(0, limit);
    for (const row of taken) row.state = 'inflight';
    return taken.map(({ name, seq }) => `${name}/${seq}`);
  }

  pubacked(names: readonly string[]): void {
    for (const row of this.rows)
      if (names.includes(`${row.name}/${row.seq}`) && row.state === 'inflight') row.state = 'pubacked';
  }

  ack(name: string, upto: number, missing: readonly number[]): void {
    for (const row of this.rows.filter((one) => one.name === name && one.seq <= upto)) {
      if (missing.includes(row.seq)) {
        if (row.state === 'pubacked') row.state = 'queued';
        continue;
      }
      this.rows.splice(this.rows.indexOf(row), 1);
      this.acked.push(`${name}/${row.seq}`);
    }
  }

  requeue(all: boolean): void {
    for (const row of this.rows) if (row.state === 'inflight' || all) row.state = 'queued';
  }
}

const STREAMS = [
  { name: 'low', priority: 0 },
  { name: 'mid', priority: 3 },
  { name: 'mid2', priority: 3 },
  { name: 'high', priority: 7 },
];

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      streams: fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const), limit: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pubacked' as const), every: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('ack' as const),
      stream: fc.nat(3),
      back: fc.nat(4),
      holes: fc.array(fc.nat(6)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('requeue' as const), all: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

const label = ({ payload }: OutboxRow) => Buffer.from(payload).toString().split(' ')[0]!;

describe('the store', () => {
  it('does what the model does, whatever comes in which order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        const place = folder(true);
        const maxBytes = CAP * WRAPPED_BYTES;
        let store: DurableStore = await open(place.file, { maxBytes });
        let boot = 0;
        const begun = () =>
          STREAMS.map(
            ({ name, priority }) => new TestStream(`${name}${boot}`, { priority, campaign: `${name}${boot}` }),
          );
        let streams = begun();
        const model = new Model();
        const upto = new Map<string, number>();
        let taken: OutboxRow[] = [];
        try {
          for (const now of steps) {
            if (now.do === 'commit') {
              const added = now.streams.map((number) => {
                const stream = streams[number]!;
                const { seq } = stream;
                void stream.fill(store, 1, RECORD_BYTES);
                return { name: stream.entry.campaign, priority: stream.entry.priority, seq };
              });
              await store.commit();
              model.commit(added);
            } else if (now.do === 'take') {
              // Sessions go first and are no matter of the model.
              let records: OutboxRow[] = [];
              let wanted = now.limit;
              while (wanted > 0) {
                const rows = await store.take(wanted);
                if (rows.length === 0) break;
                taken.push(...rows);
                records = [...records, ...rows.filter(({ kind }) => kind === 'record')];
                wanted = now.limit - records.length;
              }
              expect(records.map(label)).toEqual(model.take(now.limit));
            } else if (now.do === 'pubacked') {
              const some = taken.filter((_, index) => index % now.every === 0);
              taken = taken.filter((row) => !some.includes(row));
              await store.pubacked(some.map(({ id }) => id));
              model.pubacked(some.map(label));
            } else if (now.do === 'ack') {
              const { entry, seq } = streams[now.stream]!;
              const uptoSeq = seq - 1 - now.back;
              // A receiver's answers do not go back; late ones have a test of their own.
              if (uptoSeq < (upto.get(entry.campaign) ?? 0)) continue;
              upto.set(entry.campaign, uptoSeq);
              const missing = [...new Set(now.holes.map((hole) => uptoSeq - hole))].filter((hole) => hole >= 0);
              await store.ack({ stream: entry.stream, uptoSeq, missing, state: 'opened', signed: Buffer.from('ack') });
              model.ack(entry.campaign, uptoSeq, missing);
            } else if (now.do === 'requeue') {
              await store.requeue(now.all ? 0 : 3_600_000);
              model.requeue(now.all);
              taken = [];
            } else {
              await store.close();
              store = await open(place.file, { maxBytes });
              model.requeue(false);
              taken = [];
              boot++;
              streams = begun();
            }
            const stats = await store.stats();
            expect(stats.bytes).toBe(model.rows.length * WRAPPED_BYTES);
            expect({ acked: stats.acked, evicted: stats.evicted }).toEqual({
              acked: model.acked.length,
              evicted: model.evicted.length,
            });
          }
          const evicted = (await store.recordsAbout({})).filter(({ state }) => state === 'evicted');
          expect(evicted.map(({ campaign, seq }) => `${campaign}/${seq}`).sort()).toEqual([...model.evicted].sort());
        } finally {
          await store.close();
          place.remove();
        }
      }),
      { numRuns: 15, seed: 20_260, endOnFailure: true },
    );
  }, 180_000);
});
