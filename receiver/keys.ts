import type { JsonWebKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TollgateError } from '#contracts';
import { nodeCrypto, parseVerifierKey, type VerifierKey } from '#ledger';
import { ACK_KEY_FILE, type Curve, ed25519Signer, HPKE_KEY_FILE, jwkProblem, UNITS_FILE } from '#trust';
import { ackKeyId } from '#wire';

/** What a receiver is: its own keys, and the ledger keys of its units. */
export interface ReceiverKeys {
  /** X25519, private. */
  readonly hpke: JsonWebKey;
  /** Signs acknowledgements, Ed25519, and the key's id in them. */
  readonly signAck: (message: Uint8Array) => Promise<Uint8Array>;
  readonly ackKeyId: Uint8Array;
  readonly units: readonly VerifierKey[];
}

/**
 * Keys from the values of their files.
 *
 * @param units C2SP verifier keys of the units' ledgers
 * @throws {TollgateError} TG_RECEIVER_KEYS
 */
export function receiverKeys(hpke: unknown, ack: unknown, units: unknown, folder = ''): ReceiverKeys {
  const hpkeKey = jwk(hpke, 'X25519', join(folder, HPKE_KEY_FILE));
  const ackKey = jwk(ack, 'Ed25519', join(folder, ACK_KEY_FILE));
  const sign = ed25519Signer(ackKey);
  return {
    hpke: hpkeKey,
    signAck: async (message) => sign(message),
    ackKeyId: ackKeyId(ackKey),
    units: verifierKeys(units, join(folder, UNITS_FILE)),
  };
}

/**
 * The keys in a folder as `tollgate enroll --local` writes it: `hpke.jwk`, `ack.jwk`, `units.json`.
 *
 * @throws {TollgateError} TG_RECEIVER_KEYS
 */
export async function loadReceiverKeys(folder: string): Promise<ReceiverKeys> {
  const [hpke, ack, units] = await Promise.all(
    [HPKE_KEY_FILE, ACK_KEY_FILE, UNITS_FILE].map((name) => readJson(join(folder, name))),
  );
  return receiverKeys(hpke, ack, units, folder);
}

async function readJson(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw keyError(file, `cannot be read: ${cause.message}`);
  });
  try {
    return JSON.parse(text);
  } catch {
    // The message of JSON.parse quotes the text, and the text may be a key.
    throw keyError(file, 'the file is not JSON');
  }
}

function jwk(value: unknown, curve: Curve, file: string): JsonWebKey {
  const problem = jwkProblem(value, curve, 'private');
  if (problem !== null) throw keyError(file, problem);
  return value as JsonWebKey;
}

function verifierKeys(value: unknown, file: string): VerifierKey[] {
  const list: unknown[] = Array.isArray(value) ? value : [];
  if (!Array.isArray(value)) throw keyError(file, 'a list of verifier keys was expected');
  return list.map((text, i) => {
    if (typeof text !== 'string') throw keyError(file, 'a verifier key is a string', `/${i}`);
    try {
      return parseVerifierKey(text, nodeCrypto);
    } catch (error) {
      throw keyError(file, error instanceof Error ? error.message : String(error), `/${i}`);
    }
  });
}

function keyError(file: string, message: string, pointer?: string): TollgateError {
  return new TollgateError('TG_RECEIVER_KEYS', message, { place: { file, pointer } });
}
