import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { acceptSession, chainStart, decodeRecord, encodeRecord, nextChain, openSession, sha256 } from '#wire';
import { exampleIn, exampleRun } from '../ledger/readme.ts';
import { noteKeyId as keyId, ledgerKey as ledger, recipientKey as recipient, schema } from './parts.ts';

describe('the example of wire/README.md', () => {
  it('seals a record that its recipient opens', async () => {
    // example
    // A unit opens a stream and seals one record; its recipient opens both and rebuilds what the ledger says of the record.
    const stream = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const name = { tenant: 't1', pseudonym: 'AAAAAAAAAAAAAAAAAAAAAA', stream };
    const sender = await openSession({ ...name, schema, recipientKey: recipient.publicJwk, sign: ledger.sign, keyId });
    const times = Float64Array.of(61_000);
    const table = { rows: 1, timesMs: times, columns: [{ values: Float64Array.of(8.5), present: null }] };
    const record = encodeRecord(schema, sender.schemaHash.subarray(0, 8), 61_000, [table]);
    const { payload, bodyHash } = await sender.seal(0, record);

    const receiver = await acceptSession(sender.message, name, ledger.publicJwk, recipient.privateJwk);
    const opened = await receiver.open(payload);
    const { tables } = decodeRecord(receiver.schema, opened.record);
    const chain = nextChain(chainStart(stream), opened.bodyHash);
    // end
    expect(tables[0]!.columns[0]!.values[0]).toBe(8.5);
    expect(tables[0]!.timesMs[0]).toBe(61_000);
    expect(opened.bodyHash).toEqual(bodyHash);
    expect(chain).toEqual(sha256(sha256(stream), bodyHash));
  });

  it('is the code that ran here', () => {
    const readme = readFileSync(new URL('../../wire/README.md', import.meta.url), 'utf8');
    expect(exampleIn(readme)).toBe(exampleRun(readFileSync(new URL(import.meta.url), 'utf8')));
  });
});
