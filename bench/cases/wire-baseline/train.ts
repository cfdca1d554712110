import { writeFileSync } from 'node:fs';
import { BitCoder, WEIGHT_ONE } from '#wire/columns/coder';
import { HEAD_SLOTS } from '#wire/columns/head';
import { PRIOR_CLASSES, PRIOR_COUNTS, PRIOR_RUN, PRIOR_STEP, WEIGHT_STEP } from '#wire/columns/priors';
import { COLUMN_COUNTERS, RecordCodec } from '#wire/columns/record';
import { MODEL_COUNTERS, NODES } from '#wire/columns/residuals';
import { cut, decimate, schemaOf } from './campaign.ts';
import type { DriveColumn } from './drive.ts';
import { syntheticDrive } from './synthetic.ts';

// Trains the start probabilities of the record codec on made-up vehicles and writes wire/columns/trained.ts:
//   node bench/cases/wire-baseline/train.ts
// No recorded drive is used, so that every recorded drive is one that the codec has not seen. Run it twice: the
// mixer's weights are learnt with the start probabilities of the run before.

/** What each counter saw, in order; −1 starts a new column. */
class TracingCoder extends BitCoder {
  readonly seen: (number[] | undefined)[] = [];
  readonly seenHead: (number[] | undefined)[] = [];
  readonly weightSums = new Float64Array(PRIOR_CLASSES * NODES * 4);
  readonly weightCounts = new Float64Array(PRIOR_CLASSES * NODES);
  private readonly column = new Int32Array(PRIOR_CLASSES * MODEL_COUNTERS).fill(-1);
  private readonly record = new Int32Array(HEAD_SLOTS).fill(-1);
  records = 0;

  override bit(y: number, node: number, s0: number, s1: number, s2: number, s3: number): number {
    if (this.priorClass < 0) return super.bit(y, node, s0, s1, s2, s3);
    const base = this.priorClass * MODEL_COUNTERS;
    this.note(base + s0, y);
    this.note(base + s1, y);
    this.note(base + s2, y);
    this.note(base + s3, y);
    const bit = super.bit(y, node, s0, s1, s2, s3);
    const at = this.priorClass * NODES + node;
    this.weightCounts[at]!++;
    for (let i = 0; i < 4; i++) this.weightSums[at * 4 + i]! += this.weights[node * 4 + i]!;
    return bit;
  }

  override single(y: number, slot: number): number {
    let list = this.seenHead[slot];
    if (list === undefined) {
      list = [];
      this.seenHead[slot] = list;
    }
    if (this.record[slot] !== this.records) {
      this.record[slot] = this.records;
      list.push(-1);
    }
    list.push(y);
    return super.single(y, slot);
  }

  private note(slot: number, y: number): void {
    let list = this.seen[slot];
    if (list === undefined) {
      list = [];
      this.seen[slot] = list;
    }
    if (this.column[slot] !== this.columns) {
      this.column[slot] = this.columns;
      list.push(-1);
    }
    list.push(y);
  }
}

/** Cost in bits of the noted bits for a counter that starts at p after `count` bits, and is never sure. */
function cost(list: readonly number[], p0: number, count: number): number {
  let sum = 0;
  let p = p0;
  let n = count;
  for (const bit of list) {
    if (bit < 0) {
      p = p0;
      n = count;
      continue;
    }
    const q = Math.min(0.9995, Math.max(0.0005, p));
    sum -= Math.log2(bit === 1 ? q : 1 - q);
    p += (bit - p) / (n + 1.5);
    if (n < 127) n++;
  }
  return sum;
}

/** At most so many bits of a counter are weighed: the rest says the same. */
const ENOUGH = 40_000;

function learnt(list: readonly number[] | undefined): number {
  if (list === undefined) return PRIOR_RUN;
  const some = list.length > ENOUGH ? list.slice(0, ENOUGH) : list;
  let early = 0;
  let earlyOnes = 0;
  let ones = 0;
  let bits = 0;
  let at = 0;
  for (const bit of some) {
    if (bit < 0) {
      at = 0;
      continue;
    }
    bits++;
    ones += bit;
    if (at++ < 4) {
      early++;
      earlyOnes += bit;
    }
  }
  let best = Number.POSITIVE_INFINITY;
  let byte = PRIOR_RUN;
  const levels = new Set<number>();
  for (const p of [(ones + 0.5) / (bits + 1), (earlyOnes + 0.5) / (early + 1)]) {
    const level = Math.round((Math.log(p / (1 - p)) * 256) / PRIOR_STEP);
    for (const near of [level - 1, level, level + 1]) levels.add(Math.max(-16, Math.min(15, near)));
  }
  for (const level of levels) {
    const p = 1 / (1 + Math.exp((-level * PRIOR_STEP) / 256));
    PRIOR_COUNTS.forEach((count, c) => {
      // A faint pull towards "nothing known" keeps what was seen twice from being believed.
      const total = cost(some, p, count) + count * 0.02 + Math.abs(level) * 0.02;
      if (total < best) {
        best = total;
        byte = ((level + 16) << 3) | c;
      }
    });
  }
  return byte;
}

function pack(lists: readonly (number[] | undefined)[], size: number): string {
  const bytes: number[] = [];
  let run = 0;
  const flush = (): void => {
    while (run > 0) {
      bytes.push(PRIOR_RUN, Math.min(run, 256) - 1);
      run -= Math.min(run, 256);
    }
  };
  for (let i = 0; i < size; i++) {
    const byte = learnt(lists[i]);
    if (byte === PRIOR_RUN) run++;
    else {
      flush();
      bytes.push(byte);
    }
  }
  flush();
  return Buffer.from(bytes).toString('base64');
}

const VEHICLES = 30;
const SECONDS = 20;

function main(): void {
  const coder = new TracingCoder(COLUMN_COUNTERS, NODES, HEAD_SLOTS);
  const feed = (drive: DriveColumn[]): void => {
    for (const [columns, recordMs] of [
      [drive, 1000],
      [drive, 10_000],
      [decimate(drive, 100), 1000],
      [decimate(drive, 100), 10_000],
      [decimate(drive, 1000), 1000],
      [decimate(drive, 1000), 10_000],
    ] as const) {
      const codec = new RecordCodec(schemaOf(columns), coder);
      for (const { t0Ms, tables } of cut(columns, recordMs, 0, SECONDS * 1000)) {
        coder.records++;
        codec.write(t0Ms, tables);
      }
    }
  };
  for (let seed = 1; seed <= VEHICLES; seed++) feed(syntheticDrive(seed * 7919, SECONDS));
  const weights = new Int8Array(PRIOR_CLASSES * NODES * 4);
  for (let i = 0; i < weights.length; i++) {
    const count = coder.weightCounts[i >> 2]!;
    const mean = (coder.weightSums[i]! + 50 * 0.35 * WEIGHT_ONE) / (count + 50);
    weights[i] = Math.max(-127, Math.min(127, Math.round(mean / WEIGHT_STEP)));
  }
  writeFileSync(
    new URL('../../../wire/columns/trained.ts', import.meta.url),
    `// Made by bench/cases/wire-baseline/train.ts; priors.ts says how it is read.\n` +
      `export const MODEL_TABLE =\n  '${pack(coder.seen, PRIOR_CLASSES * MODEL_COUNTERS)}';\n` +
      `export const HEAD_TABLE =\n  '${pack(coder.seenHead, HEAD_SLOTS)}';\n` +
      `export const WEIGHT_TABLE =\n  '${Buffer.from(weights.buffer).toString('base64')}';\n`,
  );
  process.stdout.write(`trained on ${coder.records} records\n`);
}

main();
