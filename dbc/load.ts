import { TollgateError } from '#contracts';
import { checkDatabase } from './check.ts';
import type { Database, Finding } from './model.ts';
import { readStatements } from './parser/sections.ts';
import { resolve } from './resolve.ts';
import { type Encoding, textOf } from './text.ts';

export interface LoadOptions {
  /** For findings and errors. */
  readonly file: string;
  /** Refuses what the lenient loader mends. */
  readonly strict?: boolean;
  /** Detected where absent. */
  readonly encoding?: Encoding;
}

/**
 * Reads a database. The lenient loader (default) reads what real files contain and reports each defect with its place and
 * its mend; a statement that cannot be read is skipped, never a file.
 *
 * @throws {TollgateError} TG_DBC_SYNTAX where nothing reads as DBC; with `strict`, the first finding of severity error
 */
export function loadDatabase(
  source: string | Uint8Array,
  options: LoadOptions,
): { readonly database: Database; readonly findings: readonly Finding[] } {
  const { file, strict = false, encoding } = options;
  const { text, findings: unreadable } = textOf(source, encoding);
  const statements = readStatements(text);
  if (statements.understood === 0) {
    const fault = statements.findings[0];
    throw new TollgateError(
      'TG_DBC_SYNTAX',
      fault?.message ?? 'expected a statement of the DBC language (VERSION, BU_, BO_, …), found the end of the file',
      {
        place: { file, line: fault?.line ?? 1, column: fault?.column ?? 1 },
        remedy: 'Check that the path leads to a DBC file; nothing of it was read.',
      },
    );
  }
  const { database, columns } = resolve(file, statements);
  const findings = [
    ...unreadable,
    ...statements.findings,
    ...checkDatabase(database, (item) => columns.get(item) ?? 1),
  ];
  findings.sort((a, b) => a.line - b.line || a.column - b.column);
  const fault = strict ? findings.find(({ severity }) => severity === 'error') : undefined;
  if (fault !== undefined) throw findingError(fault, file);
  return { database, findings };
}

/** A finding as an error; every code of a finding stands in the error table. */
export function findingError({ code, line, column, message, fix }: Finding, file: string): TollgateError {
  return new TollgateError(code, message, { place: { file, line, column }, remedy: fix });
}
