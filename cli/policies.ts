import { readFile } from 'node:fs/promises';
import { TollgateError } from '#contracts';
import { loadDatabase, loadMapping, type SignalCatalogue, signalCatalogue } from '#dbc';
import { type Agreement, type Campaign, loadAgreement, loadCampaign } from '#policies';

/** Documents that are named on a command line: read as the unit would, without asking whether they are trusted. */

export async function readBytes(file: string): Promise<Buffer> {
  return await readFile(file).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot read the file: ${cause.message}`, { place: { file }, cause });
  });
}

export async function readAgreement(file: string): Promise<Agreement> {
  return loadAgreement(await readBytes(file), { file });
}

export async function readCampaign(file: string): Promise<Campaign> {
  return loadCampaign((await readBytes(file)).toString('utf8'), { file });
}

/** The signals of a database with its names; null where none is given. */
export async function readSignals(
  dbc: string | undefined,
  mapping: string | undefined,
): Promise<SignalCatalogue | null> {
  if (dbc === undefined) {
    if (mapping === undefined) return null;
    throw new TollgateError('TG_CLI_USAGE', '--mapping goes with --dbc');
  }
  const { database } = loadDatabase(await readBytes(dbc), { file: dbc });
  const entries =
    mapping === undefined ? [] : loadMapping((await readBytes(mapping)).toString('utf8'), { file: mapping });
  return signalCatalogue([{ name: 'can0', database, mapping: entries }]);
}

/** `key=value` of `--context`. */
export function contextOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at > 0) return [word.slice(0, at), word.slice(at + 1)];
      throw new TollgateError('TG_CLI_USAGE', `--context takes KEY=VALUE such as speed=Vehicle.Speed, not "${word}"`);
    }),
  );
}
