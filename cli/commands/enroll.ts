import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { addIssuers, addRecipient, loadUnitKeys, refuseExisting, trustAgreements, writeEnrolment } from '#agent/keys';
import { TollgateError } from '#contracts';
import { didKeyOf } from '#policies/credentials/index';
import { type EnrolmentDocument, enrolment, ownerDocuments, recipientDocuments } from '#trust';
import type { Command, Io } from '../command.ts';
import { table } from '../text.ts';

const random = (bytes: number) => randomBytes(bytes);
/** `did:method:id`, W3C DID Core §3.1. */
const DID = /^did:[a-z0-9]+:[A-Za-z0-9._:%-]+$/;

export const command: Command = {
  name: 'enroll',
  summary: 'make the keys of a unit and its recipients, or trust agreements',
  package: 'unit',
  help: `
Usage: tollgate enroll --local DIR [--recipient DID …] [--owner | --no-owner] [--standing DID …] [--pin FILE …] [--trust FILE …]

Before identity exists, both ends' keys are made in one place:
  DIR/unit/       ledger.jwk, recipients.json, trusted.json   for the unit (unit.keys of its configuration)
  DIR/recipient/  hpke.jwk, ack.jwk, units.json               for the recipient; take it there, then delete it here
  DIR/owner/      owner.jwk                                   for the owner: \`tollgate consent\` signs with it; take it away from the unit
The unit pins its owner, and whoever rates recipients, in unit/issuers.json.
Keys that exist are never overwritten.

  --local DIR      folder that holds, or will hold, unit/
  --recipient DID  also makes keys for this recipient; where the unit exists, adds the recipient to it
  --owner          makes an owner for a unit that has none; a new unit gets one unless --no-owner
  --standing DID   the unit believes what this body says of recipients (credit, role)
  --pin FILE       DID document of a did:web; its keys are pinned, nothing is fetched
  --trust FILE     the unit accepts these bytes of an agreement from now on (SHA-256 in trusted.json)
  --json           the answer as one JSON object

Example:
  tollgate enroll --local keys --recipient did:web:insurer.example --trust agreements/insurer.json
`,
  run,
};

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      local: { type: 'string' },
      recipient: { type: 'string', multiple: true, default: [] },
      trust: { type: 'string', multiple: true, default: [] },
      owner: { type: 'boolean', default: false },
      'no-owner': { type: 'boolean', default: false },
      standing: { type: 'string', multiple: true, default: [] },
      pin: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
    },
  });
  const { local, recipient: recipients, standing, pin, owner, json } = values;
  if (local === undefined) throw usage('--local DIR is needed: the folder for the keys');
  // A shell expands `--trust agreements/*.json` into one option and words that follow it.
  if (positionals.length > 0 && values.trust.length === 0)
    throw usage(`"${positionals[0]}" is not an option of enroll`);
  const wrong = [...recipients, ...standing].find((did) => !DID.test(did));
  if (wrong !== undefined) throw usage(`"${wrong}" is not a DID (did:web:insurer.example)`);
  if (new Set(recipients).size < recipients.length) throw usage('a recipient is named twice');

  const hashes = await Promise.all([...values.trust, ...positionals].map(hashOf));
  const unit = join(local, 'unit');
  const isNew = !existsSync(unit);
  const asked = recipients.length + hashes.length + standing.length + pin.length > 0 || owner;
  if (!isNew && !asked) await refuseExisting([unit]);
  const written = isNew
    ? await enrolNew(local, recipients, !values['no-owner'])
    : await enrolMore(local, unit, recipients, owner);
  if (standing.length + pin.length > 0) await addIssuers(unit, standing, pin);
  const added = hashes.length === 0 ? 0 : await trustAgreements(unit, hashes);
  const { verifierKey, trusted, issuers } = await loadUnitKeys(unit);
  if (json) {
    io.out(
      `${JSON.stringify({ verifierKey, owner: issuers?.owner ?? null, files: written, trusted: [...trusted], added })}\n`,
    );
    return 0;
  }
  for (const file of written) io.out(`wrote ${file}\n`);
  io.out(
    table([
      ['ledger key', verifierKey],
      ['owner', issuers?.owner ?? 'none'],
      ['trusted agreements', `${trusted.size}${added > 0 ? ` (${added} new)` : ''}`],
    ]),
  );
  return 0;
}

async function enrolNew(local: string, recipients: readonly string[], owner: boolean): Promise<string[]> {
  return await write(local, enrolment({ recipients, random, ...(owner ? { ownerDid: didKeyOf } : {}) }));
}

/** Adds recipients to a unit that exists; each gets a folder of its own. */
async function enrolMore(
  local: string,
  unit: string,
  recipients: readonly string[],
  owner: boolean,
): Promise<string[]> {
  const { verifierKey, recipients: known } = await loadUnitKeys(unit);
  const twice = recipients.find((did) => known.has(did));
  if (twice !== undefined) {
    const place = { file: join(unit, 'recipients.json') };
    throw new TollgateError('TG_TRUST_EXISTS', `the unit already has keys of ${twice}; nothing was written`, { place });
  }
  const written: string[] = owner ? await write(local, ownerDocuments(random, didKeyOf)) : [];
  for (const did of recipients) {
    const { keys, documents } = recipientDocuments(freeFolder(local), [verifierKey], random);
    written.push(...(await write(local, documents)));
    await addRecipient(unit, did, keys);
  }
  return written;
}

async function write(local: string, documents: readonly EnrolmentDocument[]): Promise<string[]> {
  await writeEnrolment(local, documents);
  return documents.map(({ path }) => join(local, path));
}

function freeFolder(local: string): string {
  let name = 'recipient';
  for (let i = 2; existsSync(join(local, name)); i++) name = `recipient-${i}`;
  return name;
}

async function hashOf(file: string): Promise<string> {
  const bytes = await readFile(file).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file }, cause });
  });
  return createHash('sha256').update(bytes).digest('hex');
}

function usage(message: string): TollgateError {
  return new TollgateError('TG_CLI_USAGE', message, { remedy: 'tollgate enroll --help shows usage and an example.' });
}
