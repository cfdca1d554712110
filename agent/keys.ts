import { type JsonWebKey, randomBytes } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';
import { access, type FileHandle, mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TollgateError, type TrustAnchor } from '#contracts';
import { DID, type IssuerKey, readDidDocument } from '#policies/credentials/index';
import {
  type AnchorStorage,
  type Curve,
  type EnrolmentDocument,
  ISSUERS_FILE,
  jsonText,
  jwkProblem,
  LEDGER_KEY_FILE,
  ledgerVerifierKey,
  RECIPIENTS_FILE,
  type RecipientKeys,
  softwareAnchor,
  TRUSTED_FILE,
} from '#trust';

/** The unit's key folder on disk: `unit/` as `tollgate enroll --local` writes it, and the anchor's `sealed/` in it. */

export interface UnitKeys {
  readonly anchor: TrustAnchor;
  /** By DID. */
  readonly recipients: ReadonlyMap<string, RecipientKeys>;
  /** SHA-256 of the agreement files that the owner accepted, hex. */
  readonly trusted: ReadonlySet<string>;
  /** C2SP verifier key of the ledger key. */
  readonly verifierKey: string;
  /** Whose credentials the unit believes; null: it was enrolled without an owner, and takes none. */
  readonly issuers: Issuers | null;
}

/** `unit/issuers.json`: pinned when the unit is enrolled, never learned from the network. */
export interface Issuers {
  /** DID of the owner when the unit was enrolled; ownership may have gone on since. */
  readonly owner: string;
  /** DIDs of the bodies that rate recipients. */
  readonly standing: readonly string[];
  /** Keys of did:web, by DID. */
  readonly pinned: ReadonlyMap<string, readonly IssuerKey[]>;
}

const SEALED_FOLDER = 'sealed';
/** Only the agent's user reads keys and sealed values. */
const SECRET_MODE = 0o600;
const PUBLIC_MODE = 0o644;
const FOLDER_MODE = 0o700;
const TEMPORARY = '.tmp';

/**
 * Reads the key folder that `unit.keys` of the configuration names.
 *
 * @throws {TollgateError} TG_TRUST_FILE, TG_TRUST_DOCUMENT, TG_TRUST_KEY with file and pointer
 */
export async function loadUnitKeys(dir: string): Promise<UnitKeys> {
  const ledgerKey = await readJwk(join(dir, LEDGER_KEY_FILE), 'Ed25519');
  const recipients = readRecipients(await readJson(join(dir, RECIPIENTS_FILE)), join(dir, RECIPIENTS_FILE));
  const trusted = await readTrusted(join(dir, TRUSTED_FILE));
  const storage = fileStorage(join(dir, SEALED_FOLDER));
  const anchor = softwareAnchor({ ledgerKey, storage, random: (bytes) => randomBytes(bytes) });
  const issuers = await readIssuers(join(dir, ISSUERS_FILE));
  return { anchor, recipients, trusted, verifierKey: ledgerVerifierKey(ledgerKey), issuers };
}

async function readJwk(file: string, curve: Curve): Promise<JsonWebKey> {
  const value = await readJson(file);
  const problem = jwkProblem(value, curve, 'private');
  if (problem !== null) throw new TollgateError('TG_TRUST_KEY', `the key is unusable: ${problem}`, { place: { file } });
  return value as JsonWebKey;
}

function readRecipients(value: unknown, file: string): ReadonlyMap<string, RecipientKeys> {
  if (!isObject(value)) throw wrongForm(file, '', 'an object from DIDs to keys was expected');
  const recipients = new Map<string, RecipientKeys>();
  for (const [did, keys] of Object.entries(value)) {
    const at = `/${did.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (!isObject(keys)) throw wrongForm(file, at, 'an object {hpke, ack} was expected');
    const odd = Object.keys(keys).find((key) => key !== 'hpke' && key !== 'ack');
    if (odd !== undefined) throw wrongForm(file, `${at}/${odd}`, 'this key is not known here');
    const problems = {
      hpke: jwkProblem(keys.hpke, 'X25519', 'public'),
      ack: jwkProblem(keys.ack, 'Ed25519', 'public'),
    };
    for (const [name, problem] of Object.entries(problems)) {
      if (problem !== null) throw wrongForm(file, `${at}/${name}`, problem);
    }
    recipients.set(did, { hpke: keys.hpke as JsonWebKey, ack: keys.ack as JsonWebKey });
  }
  return recipients;
}

async function readTrusted(file: string): Promise<Set<string>> {
  const value = await readJson(file);
  if (!Array.isArray(value)) throw wrongForm(file, '', 'a list of SHA-256 hashes was expected');
  for (const [i, hash] of value.entries()) {
    const isHash = typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash);
    if (!isHash) throw wrongForm(file, `/${i}`, 'a SHA-256 in 64 hexadecimal digits was expected');
  }
  return new Set(value as string[]);
}

async function readIssuers(file: string): Promise<Issuers | null> {
  // Only a file that is not there says so: one that cannot be read must not make a unit without an owner.
  const isThere = await withPlace(file, async () => {
    try {
      accessSync(file, constants.F_OK);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  });
  if (!isThere) return null;
  const value = await readJson(file);
  if (!isObject(value)) throw wrongForm(file, '', 'an object {owner, standing, documents} was expected');
  const odd = Object.keys(value).find((key) => !['owner', 'standing', 'documents'].includes(key));
  if (odd !== undefined) throw wrongForm(file, `/${odd}`, 'this key is not known here');
  const { owner, standing = [], documents = {} } = value;
  const isDid = (did: unknown): did is string => typeof did === 'string' && DID.test(did);
  if (!isDid(owner)) throw wrongForm(file, '/owner', 'a DID was expected');
  if (!Array.isArray(standing) || !standing.every(isDid))
    throw wrongForm(file, '/standing', 'a list of DIDs was expected');
  if (!isObject(documents)) throw wrongForm(file, '/documents', 'an object from DIDs to DID documents was expected');
  const pinned = new Map<string, readonly IssuerKey[]>();
  for (const [did, document] of Object.entries(documents)) {
    const read = readDidDocument(Buffer.from(JSON.stringify(document)), file);
    if (read.did !== did) throw wrongForm(file, '/documents', `the document of ${did} is that of ${read.did}`);
    pinned.set(did, read.keys);
  }
  return { owner, standing, pinned };
}

/**
 * Adds bodies that rate recipients, and DID documents of did:web, to `issuers.json` of a unit's key folder.
 *
 * @param standing DIDs
 * @param documents files of DID documents
 * @throws {TollgateError} TG_TRUST_FILE, TG_TRUST_DOCUMENT where there is no owner yet, TG_CREDENTIAL_ISSUER
 */
export async function addIssuers(
  dir: string,
  standing: readonly string[],
  documents: readonly string[],
): Promise<void> {
  const file = join(dir, ISSUERS_FILE);
  if ((await readIssuers(file)) === null)
    throw wrongForm(file, '', 'the unit has no owner yet: enrol one with --owner');
  const value = (await readJson(file)) as { owner: string; standing?: string[]; documents?: Record<string, unknown> };
  const pinned = { ...value.documents };
  for (const path of documents) {
    const bytes = await withPlace(path, () => readFile(path));
    pinned[readDidDocument(bytes, path).did] = JSON.parse(bytes.toString('utf8')) as unknown;
  }
  const text = jsonText({
    owner: value.owner,
    standing: [...new Set([...(value.standing ?? []), ...standing])],
    documents: pinned,
  });
  await withPlace(file, () => writeDurably(file, Buffer.from(text), PUBLIC_MODE));
}

/**
 * Adds hashes of agreement files to `trusted.json` of a unit's key folder.
 *
 * @param hashes SHA-256, hex
 * @returns how many were new
 * @throws {TollgateError} TG_TRUST_FILE, TG_TRUST_DOCUMENT
 */
export async function trustAgreements(dir: string, hashes: readonly string[]): Promise<number> {
  const file = join(dir, TRUSTED_FILE);
  const trusted = await readTrusted(file);
  const before = trusted.size;
  for (const hash of hashes) trusted.add(hash);
  await withPlace(file, () => writeDurably(file, Buffer.from(jsonText([...trusted])), PUBLIC_MODE));
  return trusted.size - before;
}

/**
 * Adds a recipient to `recipients.json` of a unit's key folder.
 *
 * @throws {TollgateError} TG_TRUST_EXISTS when the unit knows this DID; TG_TRUST_FILE, TG_TRUST_DOCUMENT
 */
export async function addRecipient(dir: string, did: string, keys: RecipientKeys): Promise<void> {
  const file = join(dir, RECIPIENTS_FILE);
  const recipients = readRecipients(await readJson(file), file);
  if (recipients.has(did)) {
    throw new TollgateError('TG_TRUST_EXISTS', `the unit already has keys of ${did}`, { place: { file } });
  }
  const text = jsonText({ ...Object.fromEntries(recipients), [did]: keys });
  await withPlace(file, () => writeDurably(file, Buffer.from(text), PUBLIC_MODE));
}

/** Throws TG_TRUST_EXISTS where one of `files` exists. */
export async function refuseExisting(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const exists = await access(file, constants.F_OK).then(
      () => true,
      () => false,
    );
    if (exists)
      throw new TollgateError('TG_TRUST_EXISTS', 'this file exists; nothing was written', { place: { file } });
  }
}

/**
 * Writes the documents of an enrolment below `dir`, private keys readable by their owner alone. Refuses as a whole when
 * one of them exists.
 *
 * @throws {TollgateError} TG_TRUST_EXISTS, TG_TRUST_FILE
 */
export async function writeEnrolment(dir: string, documents: readonly EnrolmentDocument[]): Promise<void> {
  await refuseExisting(documents.map(({ path }) => join(dir, path)));
  for (const { path, text, secret } of documents) {
    const file = join(dir, path);
    await withPlace(file, async () => {
      await mkdir(dirname(file), { recursive: true, mode: FOLDER_MODE });
      await writeDurably(file, Buffer.from(text), secret ? SECRET_MODE : PUBLIC_MODE);
    });
  }
}

/**
 * Blobs of an anchor as files of a folder. What a write replaces and what `remove` takes away is overwritten in place
 * first, as far as the file system honours that (flash may keep old blocks: docs/threat-model.md).
 */
export function fileStorage(dir: string): AnchorStorage {
  const path = (name: string) => join(dir, name);
  return {
    read: (name) =>
      withPlace(path(name), async () => {
        try {
          return readFileSync(path(name));
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
          throw error;
        }
      }),
    write: (name, bytes) =>
      withPlace(path(name), async () => {
        await mkdir(dir, { recursive: true, mode: FOLDER_MODE });
        const old = await openIfThere(path(name));
        try {
          await writeDurably(path(name), bytes, SECRET_MODE);
          // The new file is durable under the name: only now may the old one's bytes go.
          if (old !== null) await overwrite(old);
        } finally {
          await old?.close();
        }
      }),
    remove: (name) =>
      withPlace(path(name), async () => {
        for (const file of [path(name), `${path(name)}${TEMPORARY}`]) {
          const handle = await openIfThere(file);
          if (handle === null) continue;
          try {
            await overwrite(handle);
          } finally {
            await handle.close();
          }
          await unlink(file);
        }
        await syncFolder(dir);
      }),
  };
}

async function openIfThere(file: string): Promise<FileHandle | null> {
  return await open(file, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}

async function overwrite(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat();
  await handle.write(randomBytes(size), 0, size, 0);
  await handle.sync();
}

/** Write a temporary file, fsync it, rename it over `file`, fsync the folder: whole or not at all after a power cut. */
export async function writeDurably(file: string, bytes: Uint8Array, mode: number): Promise<void> {
  const temporary = `${file}${TEMPORARY}`;
  const handle = await open(temporary, 'w', mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(dirname(file));
}

export async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  try {
    await handle?.sync();
  } finally {
    await handle?.close();
  }
}

async function readJson(file: string): Promise<unknown> {
  // Small and waited for at the start: a turn over the thread pool costs more than the reading.
  const text = await withPlace(file, async () => readFileSync(file, 'utf8'));
  try {
    return JSON.parse(text);
  } catch {
    // The message of JSON.parse quotes the text, and the text may be a key.
    throw wrongForm(file, '', 'the file is not JSON');
  }
}

async function withPlace<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof TollgateError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new TollgateError('TG_TRUST_FILE', `cannot be read or written (${code})`, { place: { file }, cause });
  }
}

function wrongForm(file: string, pointer: string, message: string): TollgateError {
  return new TollgateError('TG_TRUST_DOCUMENT', message, { place: { file, pointer } });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
