import { describe, expect, it } from 'vitest';
import { differential, PATHS } from './cedar/differential.ts';

/*
 * Random policies, decided by the table and by Cedar. `npm test` runs a part; TOLLGATE_CEDAR=2000 runs as many policies
 * with 50 requests each, some minutes, and prints the coverage.
 */
const WHOLE = Number(process.env.TOLLGATE_CEDAR ?? 0);
const [POLICIES, REQUESTS] = WHOLE > 0 ? [WHOLE, 50] : [400, 10];

describe('a decision', () => {
  it(`equals Cedar's on ${POLICIES} random policies`, { timeout: 3_600_000 }, () => {
    const { permitted, requests, differences, unwritten, paths } = differential(7, POLICIES, REQUESTS);
    if (WHOLE > 0)
      process.stdout.write(
        `${JSON.stringify({ requests, permitted, differences: differences.length, unwritten, paths }, null, 1)}\n`,
      );
    expect(differences).toEqual([]);
    expect(permitted / requests).toBeGreaterThan(0.2);
    expect(unwritten).toEqual([]);
    for (const path of PATHS) expect([path, (paths[path] ?? 0) > 0]).toEqual([path, true]);
  });
});
