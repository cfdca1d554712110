import { AGENT_ERRORS } from './errors/agent.ts';
import { BRIDGE_ERRORS } from './errors/bridge.ts';
import { CLI_ERRORS } from './errors/cli.ts';
import { DBC_ERRORS } from './errors/dbc.ts';
import { DECODER_ERRORS } from './errors/decoders.ts';
import { LEDGER_ERRORS } from './errors/ledger.ts';
import { POLICY_ERRORS } from './errors/policies.ts';
import { RECEIVER_ERRORS } from './errors/receiver.ts';
import { TRUST_ERRORS } from './errors/trust.ts';
import { WIRE_ERRORS } from './errors/wire.ts';

/** Cause and remedy of a code, as `docs/errors.md` prints them. */
export interface ErrorEntry {
  readonly cause: string;
  readonly remedy: string;
}

/** Every code of the project, by room. `docs/errors.md` is generated from it. */
export const ERRORS = {
  ...AGENT_ERRORS,
  ...BRIDGE_ERRORS,
  ...CLI_ERRORS,
  ...DBC_ERRORS,
  ...DECODER_ERRORS,
  ...LEDGER_ERRORS,
  ...POLICY_ERRORS,
  ...RECEIVER_ERRORS,
  ...TRUST_ERRORS,
  ...WIRE_ERRORS,
} as const satisfies Record<`TG_${string}`, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** Where the fault lies: a line of a file, a JSON pointer of a document. */
export interface Place {
  readonly file?: string | undefined;
  /** From 1. */
  readonly line?: number | undefined;
  /** From 1. */
  readonly column?: number | undefined;
  /** RFC 6901. */
  readonly pointer?: string | undefined;
}

export interface ErrorOptions {
  readonly place?: Place | undefined;
  /** What to do here, where it says more than the table's remedy ("did you mean …?", what stays in force). */
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/** An error that a person can act on: code, place, what came and what was wanted, remedy. Holds no signal value. */
export class TollgateError extends Error {
  readonly code: ErrorCode;
  readonly place: Place;
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TollgateError';
    this.code = code;
    this.place = options.place ?? {};
    this.remedy = options.remedy ?? ERRORS[code].remedy;
  }

  /** The same as fields, for `--json`. */
  toJSON(): Record<string, unknown> {
    return { code: this.code, message: this.message, ...this.place, remedy: this.remedy };
  }
}

/** `file:line:col  CODE  message`, the pointer and the remedy below it. */
export function formatError(error: TollgateError): string {
  const { file, line, column, pointer } = error.place;
  const where = [file, line, column].filter((part) => part !== undefined).join(':');
  const head = `${where === '' ? '' : `${where}  `}${error.code}  ${error.message}`;
  const at = pointer === undefined ? '' : `\n   at ${pointer === '' ? '/' : pointer}`;
  return `${head}${at}\n   ${error.remedy}`;
}
