import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '#agent/config/load';
import { documentFiles, loadDocuments } from '#agent/documents';
import { loadUnitKeys } from '#agent/keys';
import type { Operation, SignalInfo } from '#contracts';
import { rowsOf } from '#receiver';
import { throttled } from '../../agent/throttle.ts';
import { Unit } from '../../agent/unit.ts';
import { batchOf, type TestFrame } from '../can-decoders/databases.ts';
import { unitFolder } from '../system/unit-folder.ts';
import { FAST, recipientOf } from './unit-parts.ts';

const MS = 1e6;

function signal(parts: Partial<SignalInfo>): SignalInfo {
  const numbers = { channel: 0, id: 1, f: 1, o: 0, factor: 1, offset: 0, bits: 16 };
  return {
    name: 's',
    dbcName: 'dbc:m.s',
    message: 'm',
    signal: 's',
    unit: '',
    type: 'int',
    signed: false,
    ...numbers,
    ...parts,
  };
}

/** Times (ms) and cells that come through. */
function through(signals: readonly SignalInfo[], samples: readonly (readonly [ms: number, ...cells: number[]])[]) {
  const passed: (readonly [number, ...(number | null)[]])[] = [];
  const inner: Operation = {
    name: 'raw',
    columns: [],
    push: (timeNs, cells, admitted) => {
      passed.push([timeNs / MS, ...[...cells].map((cell, i) => (admitted[i] === 1 ? cell : null))]);
    },
    advance: () => undefined,
    finish: () => undefined,
  };
  const operation = throttled(inner, signals);
  const out = { row: () => undefined };
  for (const [ms, ...cells] of samples) {
    operation.push(
      ms * MS,
      Float64Array.from(cells),
      Uint8Array.from(cells, () => 1),
      out,
    );
  }
  return { passed, isSame: operation === inner };
}

describe('a signal with a least interval', () => {
  it('is recorded at its first sample and then no sooner than that', () => {
    const { passed } = through(
      [signal({ minIntervalNs: 100 * MS })],
      [
        [0, 1],
        [99, 2],
        [100, 3],
        [150, 4],
        [250, 5],
      ],
    );
    expect(passed).toEqual([
      [0, 1],
      [100, 3],
      [250, 5],
    ]);
  });

  it('holds back nothing of its neighbours', () => {
    const { passed } = through(
      [signal({ minIntervalNs: 100 * MS }), signal({})],
      [
        [0, 1, 7],
        [10, 2, 8],
      ],
    );
    expect(passed).toEqual([
      [0, 1, 7],
      [10, null, 8],
    ]);
  });
});

describe('a signal with a deadband', () => {
  it('is recorded where its physical value went further than that', () => {
    const samples = [
      [0, 10],
      [1, 12],
      [2, 13],
      [3, 11],
      [4, 13],
    ] as const;
    expect(through([signal({ f: 0.5, deadband: 1 })], samples).passed).toEqual([
      [0, 10],
      [2, 13],
    ]);
  });

  it('of 0 is recorded at every change', () => {
    expect(
      through(
        [signal({ deadband: 0 })],
        [
          [0, 1],
          [1, 1],
          [2, 2],
        ],
      ).passed,
    ).toEqual([
      [0, 1],
      [2, 2],
    ]);
  });

  it('keeps both words of a wide signal together', () => {
    const wide = signal({ type: 'wide', bits: 64, deadband: 0 });
    expect(
      through(
        [wide, wide],
        [
          [0, 1, 5],
          [1, 1, 5],
          [2, 1, 6],
        ],
      ).passed,
    ).toEqual([
      [0, 1, 5],
      [2, 1, 6],
    ]);
  });
});

describe('signals that ask for nothing', () => {
  it('cost nothing', () => {
    expect(through([signal({})], []).isSame).toBe(true);
  });
});

describe('what a mapping says', () => {
  it('reaches the record: unit, values for labels, least interval, deadband', async () => {
    const signals = ['Motion.Speed', 'Motion.Throttle', 'Battery.Charge'];
    const folder = await unitFolder({
      ...FAST,
      campaigns: [
        { name: 'raw', record: '1s', signals: signals.map((one) => `{ signal: "dbc:${one}", operation: raw }`) },
      ],
    });
    const recipient = await recipientOf(folder);
    writeFileSync(
      folder.file('mapping.yaml'),
      `- { signal: "dbc:Motion.Speed", path: Vehicle.Speed, unit: m/s, minInterval: 100ms }
- { signal: "dbc:Motion.Throttle", path: Vehicle.Throttle, transform: { mapping: [{ from: 0, to: 7 }, { from: 1.5, to: -8 }] } }
- { signal: "dbc:Battery.Charge", path: Vehicle.Charge, deadband: 1 }
`,
    );
    const file = folder.config({});
    const text = JSON.parse(readFileSync(file, 'utf8'));
    text.sources[0].mapping = 'mapping.yaml';
    writeFileSync(file, JSON.stringify(text));
    const unit = await openConfigured(file, folder.state, folder.keys);
    const frames = Array.from({ length: 30 }, (_, i): TestFrame[] => [
      { id: 0x100, data: [i, 0, i % 4, 0, 0, 0, 0, 0], time: i * 10 * MS },
      { id: 0x300, data: [(i * 40) & 0xff, (i * 40) >> 8, 0, 0], time: i * 10 * MS },
    ]).flat();
    await unit.frames(batchOf(frames), 0);
    await unit.finish();
    await recipient.take(unit);
    await unit.close();
    const cells = recipient.records
      .flatMap((record) => [...rowsOf(record)])
      .flatMap(({ timeMs, cells: list }) =>
        list.map(({ column, value }) => [column.signal, timeMs, Math.round(Number(value) * 1e6) / 1e6] as const),
      );
    const of = (name: string) => cells.filter(([signal_]) => signal_ === name).map(([, ms, value]) => [ms, value]);
    expect(of('Vehicle.Speed')).toEqual([0, 100, 200].map((ms) => [ms, Math.round((ms / 10 / 100 / 3.6) * 1e6) / 1e6]));
    expect(of('Vehicle.Throttle').slice(0, 4)).toEqual([
      [0, 7],
      [30, -8],
      [40, 7],
      [70, -8],
    ]);
    expect(of('Vehicle.Charge').slice(0, 3)).toEqual([
      [0, 0],
      [30, 1.2],
      [60, 2.4],
    ]);
    await recipient.close();
    folder.remove();
  });
});

async function openConfigured(file: string, state: string, keyFolder: string): Promise<Unit> {
  const keys = await loadUnitKeys(keyFolder);
  const { documents, problems } = await loadDocuments(documentFiles(await loadConfig(file)), keys.trusted, null);
  if (documents === null || problems.length > 0) throw problems[0];
  const limits = { maxBytes: 2 ** 30, groupCommitMs: 50 };
  return await Unit.open({ documents, keys, state, tenant: 't1', version: '0', live: false, ...limits });
}
