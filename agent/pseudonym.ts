import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';

const FILE = 'pseudonym';
const BYTES = 16;
const FORM = /^[A-Za-z0-9_-]{22}$/;

/** The unit's name on the wire, 22 characters of base64url; made at the first start and kept in the state folder. */
export async function pseudonymIn(state: string): Promise<string> {
  const file = join(state, FILE);
  const kept = keptIn(file);
  if (FORM.test(kept)) return kept;
  const fresh = randomBytes(BYTES).toString('base64url');
  const temporary = await open(`${file}.tmp`, 'w', 0o600);
  try {
    await temporary.writeFile(fresh);
    await temporary.sync();
  } finally {
    await temporary.close();
  }
  await rename(`${file}.tmp`, file);
  const folder = await open(state, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return fresh;
}

function keptIn(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
