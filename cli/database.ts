import { readFile } from 'node:fs/promises';
import { TollgateError } from '#contracts';
import { type Database, type Encoding, type Finding, findingError, loadDatabase } from '#dbc';

const ENCODINGS: readonly Encoding[] = ['utf-8', 'windows-1252', 'gb18030'];

export interface ReadOptions {
  /** As given by `--encoding`; detected where absent. */
  readonly encoding?: string | undefined;
  readonly strict?: boolean;
}

/**
 * A DBC file with what the loader found in it.
 *
 * @throws {TollgateError} TG_CLI_FILE, TG_CLI_USAGE for an encoding that is none, and what `loadDatabase` throws
 */
export async function readDatabase(
  path: string,
  { encoding, strict = false }: ReadOptions = {},
): Promise<{ database: Database; findings: readonly Finding[] }> {
  const known = ENCODINGS.find((one) => one === encoding);
  if (encoding !== undefined && known === undefined) {
    throw new TollgateError('TG_CLI_USAGE', `--encoding takes ${ENCODINGS.join(', ')}, not "${encoding}"`);
  }
  const bytes = await readFile(path).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file: path }, cause });
  });
  return loadDatabase(bytes, { file: path, strict, ...(known === undefined ? {} : { encoding: known }) });
}

/** How many errors the lenient loader mended, so that nobody takes a broken file for a sound one. */
export function mendedText(path: string, findings: readonly Finding[]): string {
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  if (errors === 0) return '';
  return `${path}: ${errors} error${errors === 1 ? ' was' : 's were'} mended while reading; tollgate dbc lint tells which.\n`;
}

/** `FILE:line:column  CODE  what was found` and the fix below it, as errors read. */
export function findingText(path: string, finding: Finding): string {
  const { place, code, message, remedy } = findingError(finding, path);
  return `${path}:${place.line}:${place.column}  ${finding.severity}  ${code}  ${message}\n   ${remedy}\n`;
}

/** Findings shown where a database is only used; `dbc lint` shows them all. */
const MOST_DEFECTS = 10;

/** The errors that the lenient loader mended, each with its place and fix; '' where there are none. */
export function defectsText(path: string, findings: readonly Finding[]): string {
  const errors = findings.filter(({ severity }) => severity === 'error');
  const shown = errors.slice(0, MOST_DEFECTS).map((finding) => findingText(path, finding));
  if (errors.length > MOST_DEFECTS)
    shown.push(`${path}: ${errors.length - MOST_DEFECTS} more, see tollgate dbc lint\n`);
  return shown.join('');
}
