import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ProtocolState } from '../../agent/store/contract.ts';
import { openWriter, promisesIn, storeFaults } from '../crash/promises.ts';
import { folder } from './store-parts.ts';

/** Moments of the protocol that lie in the store. */
const STATES: readonly ProtocolState[] = [
  'transaction-begun',
  'rows-written',
  'transaction-committed',
  'committed',
  'session-stored',
  'checkpoint-stored',
  'proof-stored',
  'puback-stored',
  'ack-stored',
];
const TIMES = 5;
const ROUNDS = 6;

const script = fileURLToPath(new URL('store-child.ts', import.meta.url));

/** Runs a life of the store until it dies at the state for the n-th time; resolves with the signal. */
function life(file: string, promises: string, state: ProtocolState, occurrence: number): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, file, promises, `${occurrence}`, `${ROUNDS}`, state], {
      stdio: 'ignore',
    });
    child.on('exit', (_, signal) => resolve(signal));
  });
}

describe.each(STATES)('a unit that is killed at "%s"', (state) => {
  it(`keeps every promise, ${TIMES} times in a row`, async () => {
    const place = folder();
    const promises = join(place.path, 'promises');
    for (let occurrence = 1; occurrence <= TIMES; occurrence++) {
      expect(await life(place.file, promises, state, occurrence)).toBe('SIGKILL');
      const writer = openWriter(place.file);
      try {
        expect(await storeFaults(writer, promisesIn(promises))).toEqual([]);
      } finally {
        writer.close();
      }
    }
    place.remove();
  });
});
