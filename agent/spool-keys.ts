import { createHash } from 'node:crypto';
import type { TrustAnchor } from '#contracts';

const KEY_BYTES = 32;

/** Label of an agreement's spool key: a hash, so that a folder listing names no agreement. */
export function spoolLabel(agreement: string): string {
  return `spool-${createHash('sha256').update(agreement).digest('hex').slice(0, 32)}`;
}

/** The spool keys of a unit: one an agreement, sealed by the anchor outside the database. */
export interface SpoolKeys {
  /** The key of an agreement, made when first asked for; null where it was destroyed. */
  readonly of: (agreement: string) => Promise<Uint8Array | null>;
  /** Makes what is spooled under it unreadable, for ever; durable when it resolves. To be repeated after a restart. */
  destroy(agreement: string): Promise<void>;
}

export function spoolKeys(anchor: TrustAnchor): SpoolKeys {
  const opened = new Map<string, Promise<Uint8Array>>();
  const destroyed = new Set<string>();
  const open = async (label: string): Promise<Uint8Array> => {
    const kept = await anchor.unseal(label);
    if (kept !== null) return kept;
    const fresh = await anchor.random(KEY_BYTES);
    await anchor.seal(label, fresh);
    return fresh;
  };
  return {
    of: async (agreement) => {
      const label = spoolLabel(agreement);
      if (destroyed.has(label)) return null;
      const key = opened.get(label) ?? open(label);
      opened.set(label, key);
      // An anchor that failed once is asked again.
      key.catch(() => opened.delete(label));
      return await key;
    },
    async destroy(agreement) {
      const label = spoolLabel(agreement);
      destroyed.add(label);
      // A key that is being made would be sealed after its destruction.
      const key = await opened.get(label)?.catch(() => null);
      opened.delete(label);
      key?.fill(0);
      await anchor.destroy(label);
    },
  };
}
