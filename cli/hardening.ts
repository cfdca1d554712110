import { TollgateError } from '#contracts';

/** What an agent or a receiver writes is read by its own user alone. */
export const OWNER_ONLY = 0o077;

/**
 * An agent that could make code from strings would run what a document or a frame smuggled in.
 *
 * @throws {TollgateError} TG_CLI_CODE_GENERATION where the process still can
 */
export function requireShutCodeGeneration(): void {
  const shut = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(' ')].some((flag) =>
    flag.startsWith('--disallow-code-generation-from-strings'),
  );
  if (!shut) throw new TollgateError('TG_CLI_CODE_GENERATION', 'this process may make code from strings');
}
