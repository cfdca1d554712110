import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readLedger, type StoredLedger } from '#agent/store/read-ledger';
import { TollgateError } from '#contracts';
import { nodeCrypto, nodesOfExport, parseExport, parseVerifierKey, sha256Tree, type VerifierKey } from '#ledger';
import { jwkProblem, LEDGER_KEY_FILE, ledgerVerifierKey, publicJwk } from '#trust';

const SQLITE_MAGIC = 'SQLite format 3\0';

/** A ledger in a state folder, a database or an export, as commands read it. */
export type OpenLedger = StoredLedger;

/**
 * Opens a unit's state folder, its database, or an export of the whole ledger. Nothing is verified.
 *
 * @throws {TollgateError} TG_CLI_FILE, TG_LEDGER_DATABASE, TG_LEDGER_EXPORT
 */
export async function openLedger(path: string): Promise<OpenLedger> {
  if (!existsSync(path)) throw fileError(path, 'there is no such file or folder');
  if (isDatabase(path)) return readLedger(path);
  const exported = parseExport(await textOf(path), path);
  if (exported.kind === 'partial') throw fileError(path, 'the export holds some leaves only');
  const { size, prunedBelow, leaves, checkpoints } = exported;
  return {
    file: path,
    size,
    prunedBelow,
    leaf: (index) => leaves[index - prunedBelow]?.data ?? null,
    node: nodesOfExport(exported, sha256Tree),
    checkpoints: checkpoints.map(({ note }) => note),
    close: () => undefined,
  };
}

/** Whether this is a unit's database, or the folder that holds one. */
export function isDatabase(path: string): boolean {
  return beginningOf(path)?.startsWith(SQLITE_MAGIC) ?? true;
}

/** Verifier keys in a recipient's units.json, a unit's ledger.jwk, or the folder that holds one of them. */
export async function keysOf(path: string): Promise<VerifierKey[]> {
  if (isFolder(path)) {
    const inside = [LEDGER_KEY_FILE, 'units.json']
      .map((name) => join(path, name))
      .find((file) => beginningOf(file) !== null);
    if (inside === undefined) throw fileError(path, 'the folder holds neither ledger.jwk nor units.json');
    return await keysOf(inside);
  }
  const text = await textOf(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fileError(path, 'the file is not JSON');
  }
  if (Array.isArray(value)) return value.map((key) => parseVerifierKey(String(key), nodeCrypto));
  const problem = jwkProblem(value === null ? null : publicJwk(Object(value)), 'Ed25519', 'public');
  if (problem !== null) throw fileError(path, `no list of verifier keys, and as a ledger key ${problem}`);
  return [parseVerifierKey(ledgerVerifierKey(Object(value)), nodeCrypto)];
}

/** The first bytes of a file as text; null for a folder and where there is nothing. */
export function beginningOf(file: string): string | null {
  if (isFolder(file)) return null;
  let handle: number | undefined;
  try {
    handle = openSync(file, 'r');
    const bytes = Buffer.alloc(32);
    return bytes.toString('latin1', 0, readSync(handle, bytes, 0, bytes.length, 0));
  } catch {
    return null;
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

export async function textOf(file: string): Promise<string> {
  return await readFile(file, 'utf8').catch((cause: Error) => {
    throw fileError(file, `cannot be read: ${cause.message}`);
  });
}

export function fileError(file: string, message: string): TollgateError {
  return new TollgateError('TG_CLI_FILE', message, { place: { file } });
}
