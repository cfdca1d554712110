import { createHash } from 'node:crypto';
import type { TrustAnchor } from '#contracts';

const KEY_BYTES = 32;

/** Label of an agreement's spool key: a hash, so that a folder listing names no agreement. */
export function spoolLabel(agreement: string): string {
  return `spool-${createHash('sha256').update(agreement).digest('hex').slice(0, 32)}`;
}

/**
 * The spool keys of a unit: one an agreement, made when first asked for, sealed by the anchor outside the database.
 * Destroying the label makes what is spooled under it unreadable.
 */
export function spoolKeys(anchor: TrustAnchor): (agreement: string) => Promise<Uint8Array> {
  const opened = new Map<string, Promise<Uint8Array>>();
  const open = async (label: string): Promise<Uint8Array> => {
    const kept = await anchor.unseal(label);
    if (kept !== null) return kept;
    const fresh = await anchor.random(KEY_BYTES);
    await anchor.seal(label, fresh);
    return fresh;
  };
  return (agreement) => {
    const label = spoolLabel(agreement);
    const key = opened.get(label) ?? open(label);
    opened.set(label, key);
    return key;
  };
}
