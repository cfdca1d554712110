import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '#agent/config/load';
import { documentFiles, loadDocuments } from '#agent/documents';
import { loadUnitKeys } from '#agent/keys';
import { logSource } from '#agent/sources/log';
import { mergedSources } from '#agent/sources/merge';
import { sourceFactory } from '#cli/sources';
import type { FrameBatch, FrameSource } from '#contracts';
import { Unit } from '../../agent/unit.ts';
import { unitFolder } from '../system/unit-folder.ts';
import { FAST, recipientOf } from './unit-parts.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'merge-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const BOOT = new Uint8Array(8);
/** 2026-01-01, s. */
const START_S = 1_767_225_600;

function log(name: string, timesMs: readonly number[], id: string, channel: number, batchFrames = 3): FrameSource {
  const path = join(dir, name);
  const lines = timesMs.map(
    (ms) => `(${START_S + Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}000) bus ${id}#00\n`,
  );
  writeFileSync(path, lines.join(''));
  return logSource({ name, path, channel, bootId: BOOT, batchFrames });
}

interface Seen {
  readonly source: number;
  readonly ms: number;
  readonly offset: bigint | null;
}

async function play(sources: readonly FrameSource[]): Promise<Seen[]> {
  const seen: Seen[] = [];
  const deliver = (source: number) => async (batch: FrameBatch) => {
    const { bytes, slotBytes, count, utcOffsetNs } = batch;
    const view = new DataView(bytes.buffer, bytes.byteOffset, count * slotBytes);
    for (let at = 0; at < count * slotBytes; at += slotBytes) {
      seen.push({ source, ms: Number(view.getBigUint64(at, true)) / 1e6, offset: utcOffsetNs });
    }
    await new Promise((resolve) => setImmediate(resolve));
  };
  await Promise.all(
    sources.map(async (source, i) => {
      await source.open(deliver(i), { ids: [null, null, null] });
      await source.ended;
    }),
  );
  return seen;
}

describe('logs of buses that were recorded together', () => {
  it('come in the order of their times, from the earliest first frame on', async () => {
    const sources = mergedSources([
      log('a', [1000, 1010, 1020, 1030, 1500], '100', 0),
      log('b', [400, 1005, 1010, 1025, 1026], '200', 1),
    ]);
    const seen = await play(sources);
    expect(seen.map(({ source, ms }) => [source, ms])).toEqual([
      [1, 0],
      [0, 600],
      [1, 605],
      [0, 610],
      [1, 610],
      [0, 620],
      [1, 625],
      [1, 626],
      [0, 630],
      [0, 1100],
    ]);
    expect(new Set(seen.map(({ offset }) => offset))).toEqual(
      new Set([BigInt(START_S) * 1_000_000_000n + 400_000_000n]),
    );
  });

  it('come all, in order, whatever their times and batches', async () => {
    const times = fc.array(fc.nat(300), { maxLength: 12 }).map((list) => [...list].sort((a, b) => a - b));
    await fc.assert(
      fc.asyncProperty(
        fc.array(times, { minLength: 2, maxLength: 3 }),
        fc.integer({ min: 1, max: 4 }),
        async (lists, size) => {
          const seen = await play(mergedSources(lists.map((list, i) => log(`p${i}`, list, '100', i, size))));
          const first = Math.min(...lists.flat());
          const expected = lists
            .flatMap((list, source) => list.map((ms) => ({ source, ms: ms - first })))
            .sort((a, b) => a.ms - b.ms || a.source - b.source);
          expect(seen.map(({ source, ms }) => ({ source, ms }))).toEqual(expected);
        },
      ),
      { numRuns: 60, seed: 5 },
    );
  });

  it('go on where one of them cannot be told the time of, which is refused', async () => {
    writeFileSync(join(dir, 'no.asc'), 'base hex timestamps absolute\n1.5 1 100 Rx d 1 00\n');
    const [asc, other] = mergedSources([
      logSource({ name: 'no.asc', path: join(dir, 'no.asc'), channel: 0, bootId: BOOT }),
      log('c', [10, 20], '100', 1),
    ]);
    const seen: number[] = [];
    const refused = asc!.open(() => undefined, { ids: [null] }).then(() => asc!.ended);
    await Promise.all([
      expect(refused).rejects.toMatchObject({ code: 'TG_LOG_NO_UTC' }),
      other!.open(({ count }) => void seen.push(count), { ids: [null, null] }).then(() => other!.ended),
    ]);
    expect(seen).toEqual([2]);
  });

  it('end when they are closed, though another one waits', async () => {
    const [a, b] = mergedSources([log('d', [0, 10, 20, 30], '100', 0), log('e', [5], '200', 1)]);
    await a!.open(() => undefined, { ids: [null, null] });
    await a!.close();
    await b!.close();
    await expect(a!.ended).resolves.toBeUndefined();
  });
});

describe('a unit with two buses of one log', () => {
  it('records each bus under its channel, in one boottime', async () => {
    const signals = ['can0', 'can1'].map((bus) => `{ signal: "dbc:${bus}/Motion.Speed", operation: raw }`);
    const permit = ['dbc:can0/Motion.Speed', 'dbc:can1/Motion.Speed'];
    const folder = await unitFolder({
      ...FAST,
      campaigns: [{ name: 'both', record: '1s', signals }],
      agreements: [{ uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa02', permit }],
    });
    const recipient = await recipientOf(folder);
    const frames = Array.from({ length: 40 }, (_, i) => {
      const bus = i % 3 === 0 ? 'can1' : 'can0';
      return `(${START_S}.${String(i * 1000).padStart(6, '0')}) ${bus} 100#${i.toString(16).padStart(2, '0')}00000000000000\n`;
    });
    writeFileSync(folder.log, frames.join(''));
    const file = folder.config({});
    const text = JSON.parse(readFileSync(file, 'utf8'));
    const [source] = text.sources;
    text.sources = ['can0', 'can1'].map((name) => ({ ...source, name, interface: name }));
    writeFileSync(file, JSON.stringify(text));
    const config = await loadConfig(file);
    const keys = await loadUnitKeys(folder.keys);
    const { documents, problems } = await loadDocuments(documentFiles(config), keys.trusted, null);
    expect(problems).toEqual([]);
    const unit = await Unit.open({
      documents: documents!,
      keys,
      state: folder.state,
      tenant: 't1',
      version: '0',
      live: false,
      maxBytes: 2 ** 30,
      groupCommitMs: 50,
    });
    const make = sourceFactory(config, { info: () => undefined, warn: () => undefined });
    const sources = await Promise.all(config.sources.map(make));
    await Promise.all(sources.map((one, channel) => unit.play(one, channel)));
    await unit.finish();
    await recipient.take(unit);
    await unit.close();
    const groups = recipient.records.flatMap(({ schema, tables }) =>
      tables.map(
        ({ rows, timesMs }, i) => [schema.groups[i]!.columns[0]!.signal, [...timesMs.subarray(0, rows)]] as const,
      ),
    );
    const of = (bus: string) => groups.filter(([name]) => name === `dbc:${bus}/Motion.Speed`).flatMap(([, ms]) => ms);
    const times = Array.from({ length: 40 }, (_, i) => i);
    expect(of('can1')).toEqual(times.filter((i) => i % 3 === 0));
    expect(of('can0')).toEqual(times.filter((i) => i % 3 !== 0));
    await recipient.close();
    folder.remove();
  });
});
