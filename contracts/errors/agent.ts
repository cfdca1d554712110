import type { ErrorEntry } from '../errors.ts';

export const AGENT_ERRORS = {
  TG_CONFIG_FILE: {
    cause: 'The configuration file cannot be read.',
    remedy: 'Check the path given with --config and its permissions.',
  },
  TG_CONFIG_SYNTAX: {
    cause: 'The configuration is not YAML.',
    remedy: 'Mend the line; nothing was started.',
  },
  TG_CONFIG_UNKNOWN_KEY: {
    cause: 'The configuration has a key that its schema lacks.',
    remedy: 'Remove or correct the key; agent/config/schema.json describes them all.',
  },
  TG_CONFIG_VALUE: {
    cause: 'A value of the configuration does not have the form that its key asks for.',
    remedy: 'Correct the value; agent/config/schema.json describes it.',
  },
  TG_DOCUMENT_FILE: {
    cause: 'A campaign, agreement, database or mapping that the configuration names cannot be read.',
    remedy: 'Check the path in the configuration.',
  },
  TG_AGREEMENT_UNTRUSTED: {
    cause: "An agreement's bytes are not among those that this unit trusts (unit/trusted.json).",
    remedy: 'Check who changed the file; `tollgate enroll --trust FILE` accepts it. It was not applied.',
  },
  TG_RECIPIENT_UNKNOWN: {
    cause: 'A campaign sends to a recipient for whom the unit holds no key.',
    remedy: 'Add the recipient to unit/recipients.json (`tollgate enroll --recipient DID`).',
  },
  TG_SOURCE_UNAVAILABLE: {
    cause: 'A source of the configuration needs something that this package or machine lacks.',
    remedy: 'See the message; the simulator is part of the tools package.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
