import type { TollgateError } from '#contracts';

/** What a log line may carry: counts, codes and names of the project. No value, position, key or topic has a place here. */
export interface LogFields {
  readonly code?: string;
  readonly count?: number;
  readonly bytes?: number;
  readonly ms?: number;
  readonly size?: number;
  readonly source?: string;
  readonly line?: number;
  readonly campaign?: string;
  readonly up?: boolean;
}

export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
}

/** Structured lines on stderr, one JSON object each; what keeps them (journald) rotates and caps them. */
export async function processLog(): Promise<Log> {
  const { pino, destination } = await import('pino');
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination({ dest: 2, sync: true }));
  return {
    info: (event, fields = {}) => logger.info(fields, event),
    warn: (event, fields = {}) => logger.warn(fields, event),
  };
}

/** An error as a log may show it: its code, never its message. */
export function logError(log: Log, event: string, error: TollgateError): void {
  log.warn(event, { code: error.code });
}
