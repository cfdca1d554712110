import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { nearest, type SignalInfo, TollgateError } from '#contracts';
import { type Database, databaseTypes } from '#dbc';
import { compileDatabase, type DecoderForm, loaderText, loaderTypes, signalInfos } from '#decoders';
import type { Command } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';

const FORMS: readonly DecoderForm[] = ['scalar', 'simd', 'grouped'];

export const command: Command = {
  name: 'dbc compile',
  summary: 'Writes the decoder of a database as a WebAssembly module for use elsewhere',
  package: 'tools',
  help: `
Usage: tollgate dbc compile FILE [--out DIR] [--signals LIST] [--form FORM] [--encoding E] [--json]

Writes NAME.wasm (the decoder: no import, one memory), NAME.json (how it is called, where things lie, what its rows hold), NAME.mjs (a loader
without dependencies: load(bytes).decode(frames)) and NAME.d.mts (its types by message). They run wherever WebAssembly does. What is not in
the list of signals is not in the module.

  --out DIR        where to write (default: here)
  --signals LIST   names of messages and of signals as MESSAGE.SIGNAL, with commas (default: all)
  --form FORM      scalar (loads no byte but those of its signals; default), simd or grouped (faster, for batches)
  --encoding E     utf-8, windows-1252 or gb18030 (default: detected)
  --json           what was written as one JSON object: files, bytes, messages, signals

Example:
  tollgate dbc compile car.dbc --signals Engine,Motion.Speed --out build
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        out: { type: 'string', default: '.' },
        signals: { type: 'string' },
        form: { type: 'string', default: 'scalar' },
        encoding: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new TollgateError('TG_CLI_USAGE', 'dbc compile takes one FILE');
    const form = FORMS.find((one) => one === values.form);
    if (form === undefined) throw new TollgateError('TG_CLI_USAGE', `--form takes ${FORMS.join(', ')}`);
    const { database, findings } = await readDatabase(file, values);
    io.err(mendedText(file, findings));
    const signals = values.signals === undefined ? signalInfos(database) : chosen(database, values.signals.split(','));
    const { module, manifest } = compileDatabase({ ...database, file: basename(file) }, { signals, form });
    const name = basename(file).replace(/\.dbc$/i, '');
    const wanted = new Set(signals.map(({ dbcName }) => dbcName));
    const types = loaderTypes(databaseTypes(only({ ...database, file: basename(file) }, wanted)));
    const files: readonly (readonly [name: string, content: string | Uint8Array])[] = [
      [`${name}.wasm`, module],
      [`${name}.json`, `${JSON.stringify(manifest, null, 1)}\n`],
      [`${name}.mjs`, loaderText(manifest)],
      [`${name}.d.mts`, types],
    ];
    await write(values.out, files);
    const counts = { bytes: module.length, messages: manifest.messages.length, signals: signals.length };
    const names = files.map(([one]) => join(values.out, one));
    if (values.json) io.out(`${JSON.stringify({ files: names, ...counts })}\n`);
    else {
      io.out(`${names.join('\n')}\n`);
      io.out(`${counts.signals} signals of ${counts.messages} messages in ${counts.bytes} bytes\n`);
    }
    return 0;
  },
};

/** @throws {TollgateError} TG_CLI_USAGE for a name that the database lacks */
function chosen(database: Database, names: readonly string[]): SignalInfo[] {
  const all = signalInfos(database);
  const found = new Set<SignalInfo>();
  for (const name of names.map((one) => one.trim()).filter((one) => one !== '')) {
    const own = all.filter(({ message, signal }) => name === message || name === `${message}.${signal}`);
    if (own.length === 0) {
      const known = all.flatMap(({ message, signal }) => [message, `${message}.${signal}`]);
      const near = nearest(name, known);
      throw new TollgateError('TG_CLI_USAGE', `there is no message or signal ${name}`, {
        remedy: near === undefined ? undefined : `Did you mean ${near}?`,
      });
    }
    for (const one of own) found.add(one);
  }
  return all.filter((one) => found.has(one));
}

/** The database with the chosen signals only, for the types. */
function only(database: Database, names: ReadonlySet<string>): Database {
  const messages = database.messages.map((message) => ({
    ...message,
    signals: message.signals.filter(({ name }) => names.has(`dbc:${message.name}.${name}`)),
  }));
  return { ...database, messages: messages.filter(({ signals }) => signals.length > 0) };
}

/** @throws {TollgateError} TG_CLI_FILE */
async function write(dir: string, files: readonly (readonly [string, string | Uint8Array])[]): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
    for (const [name, content] of files) await writeFile(join(dir, name), content);
  } catch (cause) {
    throw new TollgateError('TG_CLI_FILE', `cannot be written: ${(cause as Error).message}`, {
      place: { file: dir },
      cause,
    });
  }
}
