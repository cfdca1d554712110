import { describe, expect, it } from 'vitest';
import { FAST, frames, minutes, openUnit } from '../agent/unit-parts.ts';
import { INSURER, unitFolder } from '../system/unit-folder.ts';

const SPEED = 'dbc:Motion.Speed';

/** Records that a unit queues over a bus of a second, cut five times a second, and again after a restart. */
async function recordsOf(constraints: readonly Readonly<Record<string, unknown>>[]): Promise<number[]> {
  const folder = await unitFolder({
    ...FAST,
    campaigns: [
      { name: 'ubi', recipient: INSURER, record: '200ms', signals: [`{ signal: "${SPEED}", operation: raw }`] },
    ],
    agreements: [{ uid: 'urn:uuid:1', assignee: INSURER, permit: [SPEED], constraints }],
  });
  const sent: number[] = [];
  try {
    for (let boot = 0; boot < 2; boot++) {
      const unit = await openUnit(folder);
      await unit.frames(frames(minutes(0, 1, 10)), 0);
      await unit.finish();
      const rows = await unit.store.take(10_000);
      sent.push(rows.filter(({ kind }) => kind === 'record').length);
      await unit.close();
    }
  } finally {
    folder.remove();
  }
  return sent;
}

describe('a counter of an agreement', () => {
  it('is held by the store, to the record, and over a restart', { timeout: 60_000 }, async () => {
    const [free] = await recordsOf([]);
    expect(free).toBeGreaterThan(3);
    const counted = await recordsOf([{ leftOperand: 'count', operator: 'lteq', rightOperand: 3 }]);
    expect(counted[0]).toBe(3);
    // What was not sent is still there, and no record joined it.
    expect(counted[1]).toBe(3);
    const none = await recordsOf([{ leftOperand: 'auto:bytes', operator: 'lteq', rightOperand: 0 }]);
    expect(none).toEqual([0, 0]);
  });
});
