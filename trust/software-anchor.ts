import { createCipheriv, createDecipheriv, createHash, hkdfSync, type JsonWebKey } from 'node:crypto';
import { type AnchorDescription, TollgateError, type TrustAnchor } from '#contracts';
import { ed25519Signer, ledgerVerifierKey } from './keys.ts';
import type { AnchorStorage } from './storage.ts';

export interface SoftwareAnchorParts {
  /** Private Ed25519 JWK. */
  readonly ledgerKey: JsonWebKey;
  readonly storage: AnchorStorage;
  /** Bytes that nobody can guess. */
  readonly random: (bytes: number) => Uint8Array;
}

/** Longest secret that `seal` takes: what a TPM takes at least. */
export const MAX_SECRET_BYTES = 128;

const ROOT = 'root';
const COUNTER = 'counter';
const ROOT_BYTES = 32;
const COUNTER_BYTES = 8;

/** A sealed blob: version ‖ salt ‖ ciphertext ‖ tag. */
const VERSION = 1;
const SALT_BYTES = 16;
const TAG_BYTES = 16;
const CIPHER = 'chacha20-poly1305';
const CIPHER_KEY_BYTES = 32;
const CIPHER_NONCE_BYTES = 12;

/**
 * A trust anchor of files: it keeps the contract (durable, a destroyed label never opens again, the counter never goes
 * back on its own), but whoever can read and write its storage has everything. Hence `software-untrusted`.
 *
 * Each sealed value is encrypted under a key that HKDF-SHA256 (RFC 5869) derives from a root in the storage, a fresh salt
 * and the label; so no two values share a key, and a blob moved to another label does not open.
 *
 * @throws {TollgateError} TG_TRUST_KEY when the ledger key is not a private Ed25519 JWK
 */
export function softwareAnchor({ ledgerKey, storage, random }: SoftwareAnchorParts): TrustAnchor {
  return new SoftwareAnchor(ledgerKey, storage, random);
}

class SoftwareAnchor implements TrustAnchor {
  readonly #description: AnchorDescription;
  readonly #sign: (message: Uint8Array) => Uint8Array;
  readonly #storage: AnchorStorage;
  readonly #random: (bytes: number) => Uint8Array;
  /** One change of the storage at a time: two callers of `counter` must not read the same value. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(ledgerKey: JsonWebKey, storage: AnchorStorage, random: (bytes: number) => Uint8Array) {
    this.#sign = ed25519Signer(ledgerKey);
    this.#description = { kind: 'software-untrusted', verifierKey: ledgerVerifierKey(ledgerKey) };
    this.#storage = storage;
    this.#random = random;
  }

  describe(): AnchorDescription {
    return this.#description;
  }

  async sign(message: Uint8Array): Promise<Uint8Array> {
    return this.#sign(message);
  }

  async random(bytes: number): Promise<Uint8Array> {
    return this.#random(bytes);
  }

  async seal(label: string, secret: Uint8Array): Promise<void> {
    if (secret.length > MAX_SECRET_BYTES) {
      throw new TollgateError('TG_TRUST_SECRET', `the secret has ${secret.length} bytes, at most ${MAX_SECRET_BYTES}`);
    }
    await this.#alone(async () => {
      await this.#storage.write(blobName(label), this.#encrypt(await this.#root(), label, secret));
    });
  }

  async unseal(label: string): Promise<Uint8Array | null> {
    return await this.#alone(async () => {
      const blob = await this.#storage.read(blobName(label));
      if (blob === null) return null;
      const secret = decrypt(await this.#root(), label, blob);
      if (secret === null) throw new TollgateError('TG_TRUST_SEALED', 'a sealed value does not open');
      return secret;
    });
  }

  async destroy(label: string): Promise<void> {
    await this.#alone(() => this.#storage.remove(blobName(label)));
  }

  async counter(): Promise<number> {
    return await this.#alone(async () => {
      const root = await this.#root();
      const blob = await this.#storage.read(COUNTER);
      const bytes = blob === null ? null : decrypt(root, COUNTER, blob);
      if (bytes?.length !== COUNTER_BYTES) {
        throw new TollgateError('TG_TRUST_COUNTER', `the counter is ${blob === null ? 'missing' : 'damaged'}`);
      }
      const value = Number(Buffer.from(bytes).readBigUInt64BE()) + 1;
      await this.#storage.write(COUNTER, this.#encrypt(root, COUNTER, counterBytes(value)));
      return value;
    });
  }

  /**
   * The root, made at the first use. The counter is written before the root, so that a root without a counter means that
   * the counter was taken away, whatever moment the power failed at.
   */
  async #root(): Promise<Uint8Array> {
    const kept = await this.#storage.read(ROOT);
    if (kept !== null) {
      if (kept.length === ROOT_BYTES) return kept;
      throw new TollgateError('TG_TRUST_SEALED', `the root of the anchor has ${kept.length} bytes, not ${ROOT_BYTES}`);
    }
    const root = this.#random(ROOT_BYTES);
    await this.#storage.write(COUNTER, this.#encrypt(root, COUNTER, counterBytes(0)));
    await this.#storage.write(ROOT, root);
    return root;
  }

  #encrypt(root: Uint8Array, label: string, secret: Uint8Array): Uint8Array {
    const salt = this.#random(SALT_BYTES);
    const { key, nonce } = derive(root, salt, label);
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    const ciphertext = [cipher.update(secret), cipher.final()];
    return Buffer.concat([Buffer.from([VERSION]), salt, ...ciphertext, cipher.getAuthTag()]);
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** null where the blob was not sealed under this root and label. */
function decrypt(root: Uint8Array, label: string, blob: Uint8Array): Uint8Array | null {
  if (blob.length < 1 + SALT_BYTES + TAG_BYTES || blob[0] !== VERSION) return null;
  const { key, nonce } = derive(root, blob.subarray(1, 1 + SALT_BYTES), label);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(blob.subarray(blob.length - TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(blob.subarray(1 + SALT_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}

function derive(root: Uint8Array, salt: Uint8Array, label: string): { key: Uint8Array; nonce: Uint8Array } {
  const info = `tollgate/software-anchor/${label}`;
  const bytes = new Uint8Array(hkdfSync('sha256', root, salt, info, CIPHER_KEY_BYTES + CIPHER_NONCE_BYTES));
  return { key: bytes.subarray(0, CIPHER_KEY_BYTES), nonce: bytes.subarray(CIPHER_KEY_BYTES) };
}

/** A label may say what it is for (an agreement's uid): its blob's name does not. */
function blobName(label: string): string {
  return `s-${createHash('sha256').update(label).digest('hex')}`;
}

function counterBytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(COUNTER_BYTES);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
