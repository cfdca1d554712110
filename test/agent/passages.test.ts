import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROW_PRESENCE } from '#decoders/layout';
import type { Gate } from '#policies';
import { admit, passageOf, sortPassages } from '../../agent/passages.ts';
import type { Route } from '../../agent/routes.ts';

const INPUTS = 40;

/** A route over `cells` inputs, and a gate that opens some of them and counts each question of the others. */
function bench(open: readonly boolean[], cells: readonly number[]) {
  const asked: number[] = [];
  const gate = {
    opens: (_: number, signal: number) => open[signal]!,
    admits: (_: number, signal: number) => {
      asked.push(signal);
      return open[signal]!;
    },
  } as unknown as Gate;
  const route = {
    stream: 0,
    cells: cells.map((cell) => ({ cell, read: (u32: Uint32Array, first: number) => u32[first + cell]! })),
    signals: cells.map((_, i) => i),
    values: new Float64Array(cells.length),
    admitted: new Uint8Array(cells.length),
  } as unknown as Route;
  return { gate, route, asked };
}

describe('the lists of what may pass', () => {
  it('let through exactly what the gate says of each sample, and ask it of all that it keeps back', () => {
    const bits = fc.array(fc.boolean(), { minLength: INPUTS, maxLength: INPUTS });
    fc.assert(
      fc.property(bits, bits, fc.integer({ min: 1, max: INPUTS }), (open, present, count) => {
        const { gate, route, asked } = bench(
          open,
          Array.from({ length: count }, (_, i) => i),
        );
        const passage = passageOf(route);
        sortPassages([passage], gate);
        const words = ROW_PRESENCE / 4;
        const u32 = Uint32Array.from({ length: words + 2 + INPUTS }, (_, i) => Math.max(0, i - words - 1));
        for (const [i, there] of present.entries()) u32[words + (i >>> 5)]! |= there ? 1 << (i & 31) : 0;
        const passed = admit(passage, gate, u32, 0, words + 2);
        const expected = Array.from({ length: count }, (_, i) => present[i]! && open[i]!);
        expect([...route.admitted]).toEqual(expected.map(Number));
        expect([...route.values]).toEqual(expected.map((pass, i) => (pass ? i + 1 : 0)));
        expect(passed).toBe(expected.filter(Boolean).length);
        // A sample that is there and kept back is asked once, so that it is counted; one that passes costs no question.
        const kept = Array.from({ length: count }, (_, i) => i).filter((i) => present[i]! && !open[i]!);
        expect(asked.sort((a, b) => a - b)).toEqual(kept);
      }),
    );
  });

  it('stand anew when the gate has changed', () => {
    const { gate, route } = bench([true, false, true], [0, 1, 2]);
    const passage = passageOf(route);
    sortPassages([passage], gate);
    expect([passage.passing, ...passage.order.subarray(0, passage.passing)]).toEqual([2, 0, 2]);
    sortPassages([passage], { ...gate, opens: (_: number, signal: number) => signal === 1 } as unknown as Gate);
    expect([passage.passing, passage.order[0]]).toEqual([1, 1]);
  });
});
