import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createOperation } from '#privacy';
import { resources as given, info as signal } from './parts.ts';

const EXAMPLE = `const spec = { kind: 'aggregate', windowMs: 1000, results: ['min', 'mean'] } as const;
const operation = createOperation(spec, [{ info, operation: spec }], resources);
operation.push(200e6, Float64Array.of(40), Uint8Array.of(1), out);
operation.push(700e6, Float64Array.of(50), Uint8Array.of(1), out);
operation.advance(1000e6, out); // out.row(0, [40, 45], [1, 1])`;

describe('the example of the README', () => {
  it('stands there as it runs here', () => {
    expect(readFileSync(new URL('../../privacy/README.md', import.meta.url), 'utf8')).toContain(EXAMPLE);
  });

  it('does what it says', () => {
    const info = signal();
    const resources = given();
    const rows: unknown[] = [];
    const out = {
      row: (timeNs: number, cells: Float64Array, present: Uint8Array) => rows.push([timeNs, [...cells], [...present]]),
    };
    const spec = { kind: 'aggregate', windowMs: 1000, results: ['min', 'mean'] } as const;
    const operation = createOperation(spec, [{ info, operation: spec }], resources);
    operation.push(200e6, Float64Array.of(40), Uint8Array.of(1), out);
    operation.push(700e6, Float64Array.of(50), Uint8Array.of(1), out);
    operation.advance(1000e6, out); // out.row(0, [40, 45], [1, 1])
    expect(rows).toEqual([[0, [40, 45], [1, 1]]]);
  });
});
