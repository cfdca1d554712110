import { parseArgs } from 'node:util';
import { consentCredential, ownershipCredential } from '#policies/consent/index';
import { DID } from '#policies/credentials/index';
import type { Command } from '../command.ts';
import { CONSENT_HELP, CONSENT_OPTIONS, handOver, readOwner, usage, versionOfNow, wholeNumber } from '../consent.ts';

export const command: Command = {
  name: 'consent withdraw',
  summary: 'Takes an agreement back for ever, or all of them when the vehicle is sold',
  package: 'unit',
  help: `
Usage: tollgate consent withdraw AGREEMENT [--version N] [options]
       tollgate consent withdraw --sold-to DID --unit NAME [--version N] [options]

From the next sample on nothing is taken for the agreement; what waits to be sent is dropped, its key is destroyed, and the unit answers with
a signed receipt. It is for ever: a new consent needs a new uid. With the software anchor the key lies in a file that is overwritten and
removed; flash may keep old blocks of it, which only hardware (a TPM) prevents.

  AGREEMENT       uid of the agreement
  --sold-to DID   the vehicle has another owner: every grant is gone, and from now on the new owner's word counts
  --version N     default: the second of now
${CONSENT_HELP}

Exit code: 0 signed (with --send: carried out), 1 refused or not answered, 2 bad usage or input.

Example:
  tollgate consent withdraw urn:uuid:00000000-0000-4000-8000-000000000001 --send
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { ...CONSENT_OPTIONS, 'sold-to': { type: 'string' }, version: { type: 'string' } },
    });
    const [agreement] = positionals;
    const { 'sold-to': buyer, unit } = values;
    if ((agreement === undefined) === (buyer === undefined) || positionals.length > 1)
      throw usage('consent withdraw takes one AGREEMENT, or --sold-to');
    const owner = await readOwner(values.key);
    const version = values.version === undefined ? versionOfNow() : wholeNumber(values.version, '--version');
    const envelope = { issuer: owner.did, validFromMs: Date.now() };
    if (buyer !== undefined) {
      if (!DID.test(buyer)) throw usage(`"${buyer}" is not a DID`);
      if (unit === undefined) throw usage('a sale is of one unit: --unit NAME');
      return await handOver(owner.sign(ownershipCredential(envelope, { owner: buyer, version, unit })), values, io);
    }
    const subject = {
      agreement: agreement!,
      act: 'withdraw' as const,
      version,
      ...(unit === undefined ? {} : { unit }),
    };
    return await handOver(owner.sign(consentCredential(envelope, subject)), values, io);
  },
};
