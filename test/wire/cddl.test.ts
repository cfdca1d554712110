import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type CborValue,
  decodeCbor,
  decodeLeaf,
  decodeMeter,
  decodeProof,
  decodeSchema,
  encodeCbor,
  encodeMeter,
  encodeProof,
  encodeRecord,
  encodeSchema,
  encodeStatus,
  recordLeaf,
  recordLink,
} from '#wire';
import { Cddl } from './cddl.ts';
import * as parts from './parts.ts';
import { leaves } from './written.ts';

const room = new URL('../../wire/', import.meta.url);
const files = readdirSync(room).filter((name) => name.endsWith('.cddl'));
const open = (file: string) => new Cddl(readFileSync(new URL(file, room), 'utf8'));

const session = await parts.newSession();
const table = {
  rows: 2,
  timesMs: Float64Array.of(0, 1000),
  columns: [{ values: Float64Array.of(1.5, 2), present: null }],
};
const record = (partial: boolean) =>
  encodeRecord(parts.schema, session.schemaHash.subarray(0, 8), 61_000, [{ ...table, partial }]);

/** The one structure that is JSON text, as CBOR with the same members. */
const ofJson = (bytes: Uint8Array) =>
  encodeCbor(new Map(Object.entries(JSON.parse(Buffer.from(bytes).toString()) as Record<string, CborValue>)));

/** What the encoders write, by file; the first rule of a file is the structure that it is named for. */
const written: Readonly<Record<string, readonly Uint8Array[]>> = {
  'session.cddl': [session.message],
  'envelope.cddl': [(await session.seal(0, record(false))).payload, (await session.seal(70_000, record(true))).payload],
  'record.cddl': [record(false), record(true)],
  'schema.cddl': [
    encodeSchema(parts.schema),
    encodeSchema({ ...parts.schema, utcOffsetMs: null, utcErrorMs: null, groups: [] }),
    encodeSchema({ ...parts.schema, timing: { ticksPerMs: 10, baseMs: 5, stepMs: 1_000 } }),
    encodeSchema({
      ...parts.schema,
      groups: [{ windowMs: 0, columns: [{ ...parts.column, result: 'cell', type: 'int' }] }],
    }),
  ],
  'leaf.cddl': [...leaves],
  'proof.cddl': [
    encodeProof(parts.proof),
    encodeProof({ ...parts.proof, path: [], evicted: [], consistency: null }),
    encodeProof({ ...parts.proof, checkpoint: 'a note of another form' }),
  ],
  'ack.cddl': [await parts.signedAck(), await parts.signedAck({ ...parts.ackBody, missing: [], state: 'proven' })],
  'status.cddl': (['online', 'offline'] as const).map((state) => ofJson(encodeStatus(state))),
  'meter.cddl': [encodeMeter(parts.meter), encodeMeter({ ...parts.meter, hour: -5, fields: new Map() })],
};
/** Rules of what is computed on both ends and never travels; `bytes.test.ts` opens a session from them alone. */
const COMPUTED = [
  'metered',
  'meter_sign1',
  'hpke_info',
  'place',
  'enc_structure',
  'external_aad',
  'packed_head',
  'late',
];

describe.each(files)('%s', (file) => {
  const cddl = open(file);
  const [top] = cddl.rules.keys();
  const examples = written[file] ?? [];

  it('is what the encoder writes', () => {
    expect(examples.length).toBeGreaterThan(0);
    for (const bytes of examples) expect(cddl.mismatch(top!, decodeCbor(bytes))).toBeNull();
  });

  it('has no rule that nothing is written by', () => {
    const { rules, reached } = cddl;
    expect([...rules.keys()].filter((name) => !reached.has(name) && !COMPUTED.includes(name))).toEqual([]);
  });

  it('misses every field that is dropped, and every one too many', () => {
    for (const bytes of examples) {
      const value = decodeCbor(bytes);
      if (!Array.isArray(value)) continue;
      const fields = value as readonly CborValue[];
      // The one optional field of all: groups of a record whose last window had not ended.
      const fixed = file === 'record.cddl' ? 4 : fields.length;
      for (let i = 0; i < fixed; i++) {
        const short = fields.filter((_, at) => at !== i);
        expect(cddl.mismatch(top!, short), `field ${i}`).not.toBeNull();
      }
      expect(cddl.mismatch(top!, [...fields, null])).not.toBeNull();
    }
  });
});

describe('a field that is dropped inside', () => {
  it.each([
    ['session.cddl', 2],
    ['ack.cddl', 2],
  ])('shows in the signed payload of %s', (file, part) => {
    const fields = decodeCbor(written[file]![0]!) as readonly CborValue[];
    const payload = decodeCbor(fields[part] as Uint8Array) as readonly CborValue[];
    for (let i = 0; i < payload.length; i++) {
      const short = encodeCbor(payload.filter((_, at) => at !== i));
      expect(
        open(file).mismatch(
          file.replace('.cddl', ''),
          fields.map((one, at) => (at === part ? short : one)),
        ),
      ).not.toBeNull();
    }
  });

  it('is named', () => {
    const [version, checkpoint, seq, index, path, evicted, grown] = decodeCbor(
      encodeProof(parts.proof),
    ) as readonly CborValue[];
    const [[lost]] = evicted as readonly [readonly [number, Uint8Array]];
    expect(
      open('proof.cddl').mismatch('proof', [version!, checkpoint!, seq!, index!, path!, [[lost]], grown!]),
    ).toMatch('proof/evicted/item/body_hash: missing');
  });
});

describe('what the CDDL refuses', () => {
  const others: readonly CborValue[] = [0, -1, 2 ** 40, 'x', null, true, new Uint8Array(32), [], new Map([[1, 1]])];

  it.each<[string, Uint8Array, (bytes: Uint8Array) => unknown]>([
    ['schema.cddl', encodeSchema(parts.schema), decodeSchema],
    ['proof.cddl', encodeProof(parts.proof), decodeProof],
    ['meter.cddl', encodeMeter(parts.meter), decodeMeter],
    ['leaf.cddl', recordLeaf(parts.link), (bytes) => recordLink(decodeLeaf(bytes))],
  ])('the reader of %s refuses too', async (file, bytes, decode) => {
    const cddl = open(file);
    const fields = decodeCbor(bytes) as readonly CborValue[];
    for (const at of fields.keys()) {
      for (const other of others) {
        const changed = fields.map((one, i) => (i === at ? other : one));
        const wrong = cddl.mismatch(file.replace('.cddl', ''), changed);
        const verdict = await parts.verdictOf(() => decode(encodeCbor(changed)));
        if (wrong !== null) expect(verdict, `field ${at}: ${wrong}`).toBe('TG_WIRE_MALFORMED');
        else expect(verdict, `field ${at}`).toBe('accepted');
      }
    }
  });
});
