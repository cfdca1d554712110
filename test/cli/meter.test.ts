import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '#cli/main';
import { never, openService } from '../system/service-parts.ts';
import { UBI_AGREEMENT, type UnitFolder, unitFolder } from '../system/unit-folder.ts';

async function run(...args: string[]) {
  let out = '';
  let err = '';
  const io = {
    stdin: (async function* () {})(),
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    interactive: false,
    signal: new AbortController().signal,
  };
  return { code: await main(['meter', ...args], io), out, err };
}

/** Two starts over one log of three seconds: speed every 10 ms, in records of 200 ms. */
describe('tollgate meter', () => {
  let unit: UnitFolder;
  const drive = async () => {
    const service = await openService(unit.config({}));
    await service.play(never());
    await service.settle(never());
    await service.end();
  };
  beforeAll(async () => {
    unit = await unitFolder({ seconds: 3 });
    await drive();
  });
  afterAll(() => unit.remove());

  const book = () => join(unit.state, 'meter.cbor');
  const verify = (...more: string[]) => run('--verify', book(), '--keys', unit.keys, ...more);

  it('says what left, when, under what and by which operation', async () => {
    const { code, out } = await run('--state', unit.state, '--json');
    expect(code).toBe(0);
    const [row, ...more] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(more).toEqual([]);
    expect(row).toMatchObject({
      agreement: UBI_AGREEMENT.uid,
      recipient: 'did:web:insurer.example',
      purpose: 'auto:UbiInsurance',
      action: 'distribute',
      from: '2026-01-01T00:00:00.000Z',
      records: 15,
      samples: 300,
      allowed: 300,
      denied: 0,
      secondsActive: 3,
      sealedRecords: 15,
      fields: { 'dbc:Motion.Speed': 300 },
      transforms: { 'raw, every sample': 300 },
    });
    expect(Object.values(row.algorithms)).toEqual([15]);
    expect(Object.values(row.policies)).toEqual([15]);
    expect(row.bytes).toBeGreaterThan(0);
  });

  it('writes a table and CSV of the same', async () => {
    expect((await run('--state', unit.state)).out).toContain('300 values in 15 records');
    const [head, row] = (await run('--state', unit.state, '--csv')).out.split('\r\n');
    expect(head!.split(',').slice(0, 4)).toEqual(['hour', 'from', 'agreement', 'recipient']);
    expect(row!.replace(/"[^"]*"/g, 'quoted').split(',')).toHaveLength(head!.split(',').length);
    expect(row).toContain('dbc:Motion.Speed=300');
    expect((await run('--state', unit.state, '--recipient', 'did:web:other.example')).out).toBe(
      'Nothing was counted.\n',
    );
  });

  it('verifies the chain, its signatures and its leaves', async () => {
    expect(await verify('--state', unit.state)).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 meter records, 300 values, verified'),
    });
  });

  it('seals what came since in another part of the hour', async () => {
    await drive();
    const { out } = await run('--state', unit.state, '--json');
    expect(JSON.parse(out)).toMatchObject({ records: 30, samples: 600, sealedRecords: 30, secondsActive: 6 });
    expect(await verify('--state', unit.state)).toMatchObject({
      code: 0,
      out: expect.stringContaining('2 meter records, 600 values'),
    });
  });

  it('does not verify once a byte is another, a record is gone or half of one was written', async () => {
    const whole = readFileSync(book());
    const first = 4 + whole.readUInt32BE(0);
    const of = async (bytes: Uint8Array) => {
      writeFileSync(book(), bytes);
      return await verify();
    };
    try {
      const changed = Buffer.from(whole);
      changed[first - 1]! ^= 1;
      expect(await of(changed)).toMatchObject({ code: 1, out: expect.stringContaining('no key of these signed it') });
      expect(await of(whole.subarray(first))).toMatchObject({
        code: 1,
        out: expect.stringContaining('does not follow'),
      });
      expect(await of(whole.subarray(0, whole.length - 5))).toMatchObject({
        code: 1,
        out: expect.stringContaining('after the last whole record'),
      });
      expect(await of(Buffer.concat([whole.subarray(0, 4), Buffer.alloc(first - 4)]))).toMatchObject({
        code: 2,
        err: expect.stringContaining('TG_METER_DAMAGED'),
      });
    } finally {
      writeFileSync(book(), whole);
    }
  });

  it('goes on after a power cut in the middle of a record', async () => {
    appendFileSync(book(), Buffer.from([0, 0, 1, 0, 1, 2, 3]));
    await drive();
    expect(await verify('--state', unit.state)).toMatchObject({
      code: 0,
      out: expect.stringContaining('3 meter records, 900 values'),
    });
  });

  it('ends with 2 without keys or a store', async () => {
    expect(await run('--verify', book())).toMatchObject({ code: 2 });
    expect(await run('--state', join(unit.path, 'nowhere'))).toMatchObject({ code: 2 });
  });
});
