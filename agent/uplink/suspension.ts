import { readFile } from 'node:fs/promises';
import { TollgateError } from '#contracts';
import { replaceFile } from './traffic.ts';

/** Why the unit sends no records until somebody has looked at it. */
export interface Suspension {
  readonly reason: 'rolled back';
  readonly code: 'TG_UPLINK_ROLLED_BACK';
  /** Leaves that the ledger here had. */
  readonly size: number;
  /** Leaves under the checkpoint that a recipient has seen of it. */
  readonly seen: number;
  /** The signed acknowledgement that says so, base64. */
  readonly evidence: string;
}

/**
 * The suspension that stands in a file, or null. It outlives the process: a restart is no repair. A file that does not
 * read as one suspends too: unknown means no.
 */
export async function readSuspension(path: string): Promise<Suspension | null> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new TollgateError('TG_CONFIG_FILE', `cannot be read: ${error.message}`, {
      place: { file: path },
      cause: error,
    });
  });
  if (text === null) return null;
  const unknown = { reason: 'rolled back', code: 'TG_UPLINK_ROLLED_BACK', size: 0, seen: 0, evidence: '' } as const;
  try {
    return { ...unknown, ...(JSON.parse(text) as Partial<Suspension>) };
  } catch {
    return unknown;
  }
}

export async function writeSuspension(path: string, suspension: Suspension): Promise<void> {
  await replaceFile(path, JSON.stringify(suspension));
}

/** The unit's own anchor says that its disk is an old copy; no recipient had to. */
export function oldCopy(): Suspension {
  return { reason: 'rolled back', code: 'TG_UPLINK_ROLLED_BACK', size: 0, seen: 0, evidence: '' };
}

export function rolledBack(size: number, seen: number, signed: Uint8Array): Suspension {
  const evidence = Buffer.from(signed).toString('base64');
  return { reason: 'rolled back', code: 'TG_UPLINK_ROLLED_BACK', size, seen, evidence };
}
