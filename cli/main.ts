import { readdirSync } from 'node:fs';
import { formatError, nearest, TollgateError } from '#contracts';
import type { Command, Io } from './command.ts';
import { bold } from './text.ts';

const COMMANDS = new URL('./commands/', import.meta.url);
/** `.ts` in a checkout, `.js` in the package. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

const EXIT_USAGE = 2;
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** The commands of a program: a folder of files, or what was bundled into one. */
export interface CommandSet {
  /** Words separated by one space. */
  readonly names: readonly string[];
  /** Loads one command and nothing else. */
  load(name: string): Promise<Command>;
}

/** All commands of a checkout or of the npm package: `dbc-lint.ts` is `dbc lint`. */
export function folderCommands(): CommandSet {
  const names = readdirSync(COMMANDS)
    .filter((file) => file.endsWith(EXTENSION) && !file.endsWith('.d.ts'))
    .map((file) => file.slice(0, -EXTENSION.length).replaceAll('-', ' '))
    .sort();
  return {
    names,
    async load(name) {
      const file = `${name.replaceAll(' ', '-')}${EXTENSION}`;
      const module: { command: Command } = await import(new URL(file, COMMANDS).href);
      return module.command;
    },
  };
}

/** @returns the exit code: 0 done, 1 the answer is no, 2 bad usage or input */
export async function main(
  argv: readonly string[],
  io: Io = processIo(),
  commands: CommandSet = folderCommands(),
): Promise<number> {
  const { names } = commands;
  const found = names
    .filter((name) => name.split(' ').every((word, i) => argv[i] === word))
    .sort((a, b) => b.length - a.length)[0];
  if (found === undefined) return await withoutCommand(argv, commands, io);
  const rest = argv.slice(found.split(' ').length);
  const command = await commands.load(found);
  if (rest.includes('--help') || rest.includes('-h')) {
    io.out(`${command.help.trim()}\n`);
    return 0;
  }
  try {
    return await command.run(rest, io);
  } catch (error) {
    return report(error, rest, io);
  }
}

async function withoutCommand(argv: readonly string[], commands: CommandSet, io: Io): Promise<number> {
  const asked = argv.filter((word) => !word.startsWith('-')).join(' ');
  if (argv.includes('--version')) {
    const { version } = await import('./version.ts');
    io.out(`tollgate ${version()}\n`);
    return 0;
  }
  const { names, load } = commands;
  const help = argv.includes('--help') || argv.includes('-h');
  if (asked === '' && (argv.length === 0 || help)) {
    io.out(await overview(commands, io));
    return 0;
  }
  const group = names.filter((name) => name.startsWith(`${argv[0]} `));
  if (help && group.length > 0) {
    io.out(await overview({ names: group, load }, io));
    return 0;
  }
  const near = group.length > 0 ? group.join(', ') : nearest(asked, names);
  io.err(`tollgate: there is no command "${asked}".${near === undefined ? '' : ` Did you mean: ${near}?`}\n`);
  return EXIT_USAGE;
}

async function overview({ names, load }: CommandSet, io: Io): Promise<string> {
  const commands = await Promise.all(names.map(load));
  const width = Math.max(...names.map((name) => name.length));
  const rows = commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`);
  return `${bold('tollgate', io)}: the edge agent of the automotive trusted data space

Usage: tollgate COMMAND [OPTIONS]      tollgate COMMAND --help

${rows.join('\n')}
`;
}

function report(error: unknown, args: readonly string[], io: Io): number {
  if (error instanceof TollgateError) {
    io.err(args.includes('--json') ? `${JSON.stringify({ error })}\n` : `${formatError(error)}\n`);
    return EXIT_USAGE;
  }
  // parseArgs speaks plainly of unknown options; anything else is a defect and keeps its stack.
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code.startsWith('ERR_PARSE_ARGS')) io.err(`tollgate: ${(error as Error).message}\n`);
  else io.err(`${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT_USAGE;
}

/** The process's own streams; SIGINT and SIGTERM abort `signal`. A closed pipe (`| head`) ends quietly. */
export function processIo(): Io {
  const controller = new AbortController();
  for (const name of SIGNALS) process.once(name, () => controller.abort(name));
  let watched = false;
  // Streams are made when they are used: the agent uses none of them, and they cost its start 10 ms.
  const stdout = () => {
    if (!watched) {
      watched = true;
      process.stdout.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EPIPE') process.exit(0);
      });
    }
    return process.stdout;
  };
  return {
    get stdin() {
      return process.stdin;
    },
    out: (text) => void stdout().write(text),
    err: (text) => void process.stderr.write(text),
    get interactive() {
      return stdout().isTTY === true;
    },
    signal: controller.signal,
  };
}
