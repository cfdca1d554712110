import type { JsonWebKey } from 'node:crypto';
import { TollgateError } from '#contracts';
import { ackKeyId, openAck, parseSign1 } from '#wire';
import type { Ack, DurableStore } from './store/contract.ts';

/** An acknowledgement whose signature holds. */
export interface CheckedAck extends Ack {
  /** Leaves under the newest checkpoint of this unit that the recipient verified; 0 or absent before the first. */
  readonly checkpointSize?: number;
}

/** A stream's answer names the holes among the rows of one window; more is somebody else's message. */
const MOST_ACK_BYTES = 64 * 1024;
/** Key id, RFC 9052 §3.1. */
const HEADER_KID = 4;
/** Streams whose recipient is remembered; the store knows the rest. */
const MOST_STREAMS = 256;

/**
 * Checks acknowledgements: only the recipient of a stream may say that the unit can delete its records.
 *
 * The signature comes first and the store is asked last, and once a stream: each question to it ends the gathering of
 * PUBACKs, so a stranger who could make us ask would make us write.
 *
 * @param recipients public ack keys of the unit's recipients, by DID; read anew for each acknowledgement
 * @returns null for bytes that the recipient of the stream did not sign
 */
export function ackVerifier(
  store: Pick<DurableStore, 'recipientOf'>,
  recipients: ReadonlyMap<string, { readonly ack: JsonWebKey }>,
): (bytes: Uint8Array) => Promise<CheckedAck | null> {
  const known = new Map<string, string>();
  const recipientOf = async (stream: Uint8Array): Promise<string | null> => {
    const name = Buffer.from(stream).toString('base64url');
    const kept = known.get(name);
    if (kept !== undefined) return kept;
    const recipient = await store.recipientOf(stream);
    if (recipient === null) return null;
    if (known.size >= MOST_STREAMS) known.delete(known.keys().next().value!);
    known.set(name, recipient);
    return recipient;
  };
  /** Two recipients may share a key. */
  const signers = (bytes: Uint8Array) => {
    const id = parseSign1(bytes).protectedHeaders.get(HEADER_KID);
    const isSigner = (key: JsonWebKey) => id instanceof Uint8Array && Buffer.compare(ackKeyId(key), id) === 0;
    return [...recipients].filter(([, { ack }]) => isSigner(ack));
  };
  return async (bytes) => {
    if (bytes.length > MOST_ACK_BYTES) return null;
    try {
      const found = signers(bytes);
      if (found.length === 0) return null;
      const [, { ack: key }] = found[0]!;
      const { stream, uptoSeq, missing, state, checkpointSize } = await openAck(bytes, async () => key);
      const recipient = await recipientOf(stream);
      if (!found.some(([did]) => did === recipient)) return null;
      return { stream, uptoSeq, missing, state, signed: bytes, checkpointSize };
    } catch (error) {
      if (error instanceof TollgateError && error.code.startsWith('TG_WIRE_')) return null;
      throw error;
    }
  };
}
