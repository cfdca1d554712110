import type { ErrorEntry } from '../errors.ts';

export const CLI_ERRORS = {
  TG_CLI_USAGE: {
    cause: 'The command was called with words that it does not take.',
    remedy: 'Call the command with --help: it shows usage and an example.',
  },
  TG_CLI_FILE: {
    cause: 'A file named on the command line cannot be read or written.',
    remedy: 'Check the path and its permissions.',
  },
  TG_CLI_CODE_GENERATION: {
    cause: 'The agent was started by a Node that may make code from strings.',
    remedy: 'Start it with the tollgate command, or with node --disallow-code-generation-from-strings.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
