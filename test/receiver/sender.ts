import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MqttProtocol } from '#firmware-bridge/mqtt';
import { nodeCrypto, parseVerifierKey, signCheckpoint } from '#ledger';
import { publicJwk } from '#trust';
import { encodeProof, openAck } from '#wire';
import { type DurableStore, openStore } from '../../agent/store/index.ts';
import { createUplink, type Uplink } from '../../agent/uplink.ts';
import { ACK, TENANT, type TestStream, TestUnit } from './parts.ts';

/** Waits between attempts, at most a minute on the road, are short here; the store goes by the host's time. */
const TIMING = {
  sleep: (ms: number, signal: AbortSignal) =>
    sleep(ms > 60_000 ? ms : Math.min(ms, 150), undefined, { signal }).catch(() => undefined),
};
const ACK_TIMEOUT_MS = 1_500;
/** A unit with the real store and uplink; its records are made by the test. */
export class Sender {
  readonly unit = new TestUnit();
  readonly errors: string[] = [];
  store!: DurableStore;
  uplink!: Uplink;
  readonly #closers: (() => Promise<void>)[];
  readonly #file: string;
  readonly #url: string;
  readonly #protocol: MqttProtocol;

  /** @param closers called by the test at its end, last first */
  constructor(url: string, protocol: MqttProtocol, closers: (() => Promise<void>)[]) {
    this.#closers = closers;
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-e2e-'));
    closers.push(async () => rmSync(folder, { recursive: true, force: true }));
    this.#file = join(folder, 'unit.sqlite');
    this.#url = url;
    this.#protocol = protocol;
  }

  async start(): Promise<this> {
    const spoolKey = new Uint8Array(32).fill(5);
    this.store = await openStore({
      file: this.#file,
      maxBytes: 2 ** 28,
      groupCommitMs: 50,
      bootId: new Uint8Array(randomBytes(8)),
      spoolKeys: async () => spoolKey,
    });
    this.uplink = createUplink({
      store: this.store,
      link: { url: this.#url, protocol: this.#protocol },
      tenant: TENANT,
      pseudonym: this.unit.pseudonym,
      window: 32,
      timing: TIMING,
      ackTimeoutMs: ACK_TIMEOUT_MS,
      verifyAck: async (bytes) => {
        const ack = await openAck(bytes, async () => publicJwk(ACK)).catch(() => null);
        return ack === null ? null : { ...ack, signed: bytes };
      },
      observe: { error: ({ code }) => void this.errors.push(code) },
    });
    this.uplink.start();
    this.#closers.push(() => this.stop());
    return this;
  }

  async stop(): Promise<void> {
    await this.uplink.close();
    await this.store.close();
  }

  begin(stream: TestStream): void {
    const who = { recipient: 'did:web:a', purpose: 'p', agreement: 'urn:uuid:1', campaign: 'c', priority: 3 };
    const { pseudonym } = this.unit;
    this.store.begin({ stream: stream.stream, pseudonym, ...who, topic: stream.topic, session: stream.session.bytes });
  }

  async append(stream: TestStream, count: number): Promise<void> {
    const meter = {
      ...{ agreement: 'urn:uuid:1', recipient: 'did:web:a', purpose: 'p', action: 'distribute' },
      ...{ hour: 1, records: 1, samples: 12, bytes: 1, fields: { 'Vehicle.Speed': 10 }, denied: 0 },
    };
    for (let i = 0; i < count; i++) await this.store.append({ ...(await stream.sealed()), meter });
    await this.store.commit();
  }

  /** Checkpoint and proofs, as the agent publishes them once a minute. */
  async publish(): Promise<void> {
    const { size, root } = await this.store.head();
    const key = parseVerifierKey(this.unit.verifierKey, nodeCrypto);
    const checkpoint = await signCheckpoint(size, root, { key, sign: this.unit.sign });
    await this.store.checkpoint(size, checkpoint);
    for (const material of await this.store.proofs(size)) {
      await this.store.proof(material, encodeProof({ checkpoint, ...material }));
    }
  }
}
