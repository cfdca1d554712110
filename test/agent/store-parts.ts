import { createHash, generateKeyPairSync, hash, sign } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chainNext, chainStart, keyIdOf, type NoteSigner, nodeCrypto, signCheckpoint, TYPE_ED25519 } from '#ledger';
import { encodeCbor } from '#wire/cbor';
import type { DurableStore, MeterDelta, OutboxRow, RecordEntry, StreamEntry } from '../../agent/store/contract.ts';
import { openStore, type StoreOptions } from '../../agent/store/index.ts';

const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer');

export const BOOT_ID = new Uint8Array(8).fill(0xb0);
export const AGREEMENT = 'urn:uuid:a1';

/** @param fast where no sync costs time, if there is such a place: for tests of order, not of durability */
export function folder(fast = false): { path: string; file: string; remove(): void } {
  const place = fast && existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const path = mkdtempSync(join(place, 'tollgate-store-'));
  return { path, file: join(path, 'tollgate.sqlite'), remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A key that depends on the agreement's name only, so that a second process has the same. */
export const fixedKey = async (agreement: string): Promise<Uint8Array> =>
  createHash('sha256').update(`key of ${agreement}`).digest();

export function open(file: string, more: Partial<StoreOptions> = {}): Promise<DurableStore> {
  return openStore({
    file,
    maxBytes: 1 << 30,
    groupCommitMs: 60_000,
    gatherMs: 0,
    bootId: BOOT_ID,
    spoolKeys: fixedKey,
    ...more,
  });
}

export function meterOf(more: Partial<MeterDelta> = {}): MeterDelta {
  const names = {
    agreement: AGREEMENT,
    recipient: 'did:web:a',
    purpose: 'auto:P',
    action: 'distribute',
    hour: 480_000,
  };
  return {
    ...names,
    records: 1,
    samples: 3,
    bytes: 100,
    fields: { 'Vehicle.Speed': 2, 'dbc:A.B': 1 },
    denied: 0,
    ...more,
  };
}

/** A stream as the sealing side would make it: sequence numbers, chain and leaves in order. */
export class TestStream {
  readonly entry: StreamEntry;
  seq = 0;
  /** Boottime of the first record, ms. */
  startMs = 0;
  #chain: Uint8Array;

  constructor(name: string, more: Partial<StreamEntry> = {}) {
    const stream = sha256(Buffer.from(name)).slice(0, 8);
    const pseudonym = more.pseudonym ?? 'AAAAAAAAAAAAAAAAAAAAAA';
    this.entry = {
      stream,
      pseudonym,
      recipient: 'did:web:a',
      purpose: 'auto:P',
      agreement: AGREEMENT,
      campaign: name,
      priority: 3,
      topic: `v1/t/${pseudonym}/tx/${Buffer.from(stream).toString('base64url')}`,
      session: Buffer.from(`session of ${name}`),
      ...more,
    };
    this.#chain = chainStart(stream, sha256);
  }

  record(bytes = 40, meter: Partial<MeterDelta> = {}): RecordEntry {
    const seq = this.seq++;
    const { stream, agreement, recipient, purpose, campaign } = this.entry;
    const payload = Buffer.alloc(bytes, `${campaign}/${seq} `);
    const bodyHash = sha256(payload);
    this.#chain = chainNext(this.#chain, bodyHash, sha256);
    const boottimeMs = this.startMs + 1_000 * seq;
    const extra = [stream, seq, new Uint8Array(8), this.#chain];
    const leaf = encodeCbor([1, 1, BOOT_ID, boottimeMs, 1_728_000_000_000 + boottimeMs, bodyHash, extra]);
    return { stream, seq, payload, leaf, bodyHash, meter: meterOf({ agreement, recipient, purpose, ...meter }) };
  }

  /** Begins in `store` and appends so many records. */
  async fill(store: DurableStore, count: number, bytes = 40): Promise<this> {
    if (this.seq === 0) store.begin(this.entry);
    for (let i = 0; i < count; i++) await store.append(this.record(bytes));
    return this;
  }
}

export function bootLeaf(number = 0): Uint8Array {
  return encodeCbor([1, 0, BOOT_ID, number, null, sha256(Uint8Array.of(number)), []]);
}

/** `campaign/seq` of records, `session campaign`, `proof`. */
export function labels(rows: readonly OutboxRow[]): string[] {
  return rows.map(({ kind, payload }) => {
    const text = Buffer.from(payload).toString();
    return kind === 'record' ? text.split(' ')[0]! : kind === 'session' ? text.replace('session of', 'session') : kind;
  });
}

const pair = generateKeyPairSync('ed25519');
const publicKey = Buffer.from(pair.publicKey.export({ format: 'jwk' }).x!, 'base64url');
const named = { name: 'tollgate/0011223344556677', type: TYPE_ED25519, publicKey } as const;
export const SIGNER: NoteSigner = {
  key: { ...named, keyId: keyIdOf(named.name, named.type, publicKey, nodeCrypto.sha256) },
  sign: async (message) => sign(null, message, pair.privateKey),
};

export async function checkpoint(store: DurableStore): Promise<number> {
  const { size, root } = await store.head();
  await store.checkpoint(size, await signCheckpoint(size, root, SIGNER));
  return size;
}
