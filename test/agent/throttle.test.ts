import { describe, expect, it } from 'vitest';
import type { Operation, SignalInfo } from '#contracts';
import { throttled } from '../../agent/throttle.ts';

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
