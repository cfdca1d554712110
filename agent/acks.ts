import type { JsonWebKey } from 'node:crypto';
import { TollgateError } from '#contracts';
import { openAck } from '#wire';
import type { Ack, DurableStore } from './store/contract.ts';

/** A stream's answer names the holes among the rows of one window; more is somebody else's message. */
const MOST_ACK_BYTES = 64 * 1024;

/**
 * Checks acknowledgements: only the recipient of a stream may say that the unit can delete its records.
 *
 * @param ackKey public ack key of a recipient, null where the unit does not know it
 * @returns null for bytes that the recipient of the stream did not sign
 */
export function ackVerifier(
  store: Pick<DurableStore, 'recipientOf'>,
  ackKey: (did: string) => JsonWebKey | null,
): (bytes: Uint8Array) => Promise<Ack | null> {
  const keyOf = async (stream: Uint8Array) => {
    const recipient = await store.recipientOf(stream);
    return recipient === null ? null : ackKey(recipient);
  };
  return async (bytes) => {
    if (bytes.length > MOST_ACK_BYTES) return null;
    try {
      const { stream, uptoSeq, missing, state } = await openAck(bytes, keyOf);
      return { stream, uptoSeq, missing, state, signed: bytes };
    } catch (error) {
      if (error instanceof TollgateError) return null;
      throw error;
    }
  };
}
