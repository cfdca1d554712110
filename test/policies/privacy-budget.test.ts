import { describe, expect, it } from 'vitest';
import { FAST, frames, minutes, openUnit } from '../agent/unit-parts.ts';
import { INSURER, unitFolder } from '../system/unit-folder.ts';

const SPEED = 'dbc:Motion.Speed';
const NOISE = `{ signal: "${SPEED}", operation: noise, window: 100ms, epsilon: 0.5, range: [0, 200] }`;

describe('a privacy budget', () => {
  it('is spent by the values that leave, blocks when it is, and stays spent over a restart', {
    timeout: 60_000,
  }, async () => {
    const constraints = [{ leftOperand: 'auto:budget', operator: 'lteq', rightOperand: 2 }];
    const folder = await unitFolder({
      ...FAST,
      campaigns: [{ name: 'ubi', recipient: INSURER, record: '100ms', signals: [NOISE] }],
      agreements: [{ uid: 'urn:uuid:1', assignee: INSURER, permit: [SPEED], constraints }],
    });
    try {
      for (let boot = 0; boot < 2; boot++) {
        const unit = await openUnit(folder);
        await unit.frames(frames(minutes(0, 1, 10)), 0);
        await unit.finish();
        // Four values of 0.5 are 2; the second boot finds nothing left.
        expect(unit.store.budget(`urn:uuid:1 epsilon/#p1/${SPEED}`)).toBe(2_000_000);
        const meter = await unit.store.meter();
        expect(meter.reduce((sum, { samples }) => sum + samples, 0)).toBe(4);
        await unit.close();
      }
    } finally {
      folder.remove();
    }
  });
});
