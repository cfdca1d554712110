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
  TG_CONFIG_SENSITIVITY: {
    cause: 'An entry of "sensitivity" in the configuration reaches no signal of the databases and mappings.',
    remedy:
      'Correct the branch or name; `tollgate dbc list` shows the names of a database. No plan was made: what was in force stays in force.',
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
  TG_STORE_FULL: {
    cause: 'The disk, or the room given to the store, is full.',
    remedy: 'Free space on the disk; nothing that was committed is lost, and the store goes on by itself.',
  },
  TG_STORE_READONLY: {
    cause: 'The file or the file system of the store may only be read, or became so after an error of the disk.',
    remedy:
      'Check the disk and mount it writable; nothing that was committed is lost, what waits is still sent, and the store goes on by itself.',
  },
  TG_STORE_CORRUPT: {
    cause: 'The database of the store is damaged: a page does not read as it was written.',
    remedy:
      'Keep the file for examination (`tollgate verify` locates the damage) and start with an empty state folder.',
  },
  TG_STORE_IO: {
    cause: 'The operating system refused to read or write the store, or it cannot be written durably there.',
    remedy: 'Check the state folder, its permissions and its file system; SQLite needs WAL and shared memory.',
  },
  TG_STORE_LOCKED: {
    cause: 'Another agent has the store open.',
    remedy: 'Stop the other agent, or give this one a state folder of its own.',
  },
  TG_STORE_VERSION: {
    cause: 'The store was written by another version of the agent.',
    remedy: 'Start the version that wrote it and let it send what waits, or name an empty state folder.',
  },
  TG_STORE_LEDGER: {
    cause: 'The tree of the ledger is not the one that its newest checkpoint signs.',
    remedy:
      'The database was changed or rolled back. Keep it for examination; `tollgate verify` locates the first wrong leaf.',
  },
  TG_STORE_SEQUENCE: {
    cause: 'A record does not follow the one before it in its stream.',
    remedy: 'A fault of the agent: a sequence number is a nonce and is used once. The record was not stored.',
  },
  TG_STORE_KEY: {
    cause: 'The trust anchor did not give a spool key.',
    remedy: 'Check the anchor; what was appended waits in memory, and the store tries again.',
  },
  TG_STORE_CLOSED: {
    cause: 'The store is closed, or its thread ended.',
    remedy: 'Start the agent again; what was committed is on disk.',
  },
  TG_UPLINK_TOO_LARGE: {
    cause: 'A message is larger than the largest packet that the broker takes.',
    remedy:
      "Raise the broker's largest packet (128 KiB serve every record) or shorten the campaign's `record.every`; the others go on.",
  },
  TG_UPLINK_DOCUMENT: {
    cause: 'A document for the unit was too large, or documents came faster than people make them.',
    remedy: 'Check who may publish to the topic of documents; it was not read, and its sender sends it again.',
  },
  TG_UPLINK_ROLLED_BACK: {
    cause: "A recipient has seen more of this unit's ledger than there is: an older copy of its disk was put back.",
    remedy:
      'No record leaves. Keep the state folder for examination and give the unit an empty one; a restart does not lift this.',
  },
  TG_METER_DAMAGED: {
    cause: 'A meter record in the state folder is not what the unit wrote.',
    remedy:
      'Keep the file for examination; `tollgate meter --verify` says how far it holds. The counters are in the store.',
  },
  TG_STORE_NODE: {
    cause: 'This Node is too old for the database driver.',
    remedy: 'Start the agent with the Node that its package brings (version 24), or with any from 22 on.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
