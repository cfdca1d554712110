import { writeSync } from 'node:fs';
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

/** Levels as pino has them, so that what reads its lines reads these. */
const INFO = 30;
const WARN = 40;
const STDERR = 2;

/**
 * Structured lines on stderr, one JSON object each; what keeps them (journald) rotates and caps them. Written here rather than by a
 * library: few lines are written, and a library costs every start 15 ms and 3 MiB (docs/decisions/0017).
 */
export function processLog(): Log {
  const write = (level: number, event: string, fields: LogFields = {}) => {
    const line = `${JSON.stringify({ level, time: new Date().toISOString(), ...fields, msg: event })}\n`;
    try {
      writeSync(STDERR, line);
    } catch {
      // A reader that is slow or gone loses lines; the agent goes on.
    }
  };
  return {
    info: (event, fields) => write(INFO, event, fields),
    warn: (event, fields) => write(WARN, event, fields),
  };
}

/** An error as a log may show it: its code, never its message. */
export function logError(log: Log, event: string, error: TollgateError): void {
  log.warn(event, { code: error.code });
}
