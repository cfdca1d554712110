import { describe, expect, it } from 'vitest';
import { decodeStatus, encodeStatus } from '#wire';
import { verdictOf } from './parts.ts';

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

describe('the status of a unit', () => {
  it.each(['online', 'offline'] as const)('says that it is %s, and nothing else', (state) => {
    expect(text(encodeStatus(state))).toBe(`{"version":1,"state":"${state}"}`);
    expect(decodeStatus(encodeStatus(state))).toBe(state);
  });

  it('is empty where the pseudonym is retired', () => {
    expect(decodeStatus(new Uint8Array())).toBeNull();
  });

  it.each(['{"version":2,"state":"online"}', '{"state":"online","version":1}', '{"version":1,"state":"online"} ', 'x'])(
    'is not %s',
    async (other) => {
      expect(await verdictOf(() => decodeStatus(Buffer.from(other)))).toBe('TG_WIRE_MALFORMED');
    },
  );
});
