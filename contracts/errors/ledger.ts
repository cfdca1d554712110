import type { ErrorEntry } from '../errors.ts';

export const LEDGER_ERRORS = {
  TG_LEDGER_NOTE: {
    cause: 'A text is not a signed note in the form that C2SP signed-note describes.',
    remedy: 'Take the note again from where it came, byte for byte; it was not used.',
  },
  TG_LEDGER_VERIFIER_KEY: {
    cause: 'A text is not a verifier key of a signed note (name+id+key), or of a type that is not supported.',
    remedy: "Copy the key whole from the unit (`tollgate status`) or from the receiver's units.json.",
  },
  TG_LEDGER_CHECKPOINT: {
    cause: 'A text is not a checkpoint in the form that C2SP tlog-checkpoint describes.',
    remedy: 'Take the checkpoint again from where it came, byte for byte; it was not used.',
  },
  TG_LEDGER_RECEIPT: {
    cause: 'A text is not a receipt in the form that C2SP tlog-proof describes.',
    remedy: 'Take the receipt again from where it came, byte for byte; it was not used.',
  },
  TG_LEDGER_EXPORT: {
    cause: 'A file is not a ledger export, or was cut or changed so that it cannot be read.',
    remedy: 'Export the ledger again; ledger/README.md describes the form.',
  },
  TG_LEDGER_LEAF: {
    cause: 'The bytes of a leaf are not deterministic CBOR of the form that wire/leaf.cddl gives.',
    remedy: 'The record or leaf was changed, or comes from a newer version; it was not used.',
  },
  TG_LEDGER_DATABASE: {
    cause: 'A file is not a SQLite database that holds a ledger, or it cannot be read.',
    remedy: "Name the unit's state folder or the database in it; a damaged file is for `tollgate verify` on an export.",
  },
  TG_LEDGER_NO_PROOF: {
    cause:
      'A leaf cannot be proved from this copy of the ledger: it is not there, was pruned, or no checkpoint covers it yet.',
    remedy: 'Wait for the next checkpoint (10 s), or take an export that was made before the leaf was pruned.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
