import type { ErrorEntry } from '../errors.ts';

/** What goes wrong between a unit and a receiver: the broker's connection, and messages that do not open or prove. */
export const RECEIVER_ERRORS = {
  TG_BROKER_UNREACHABLE: {
    cause: 'The broker did not answer.',
    remedy: 'Check the address and that the broker runs; nothing is lost, the connection is tried again.',
  },
  TG_BROKER_PROTOCOL: {
    cause: 'The broker does not speak the MQTT version that was asked for.',
    remedy: 'Set the other version (`uplink.protocol: 4` or 5); it is never changed silently.',
  },
  TG_BROKER_REFUSED: {
    cause: 'The broker refused the connection or a subscription.',
    remedy: "Check the client's credentials and the broker's access rules.",
  },
  TG_BROKER_TLS: {
    cause: "The broker's certificate was not accepted, or it did not accept ours.",
    remedy: 'Check the CA, the certificate and its host name; there is no connection without them.',
  },
  TG_BROKER_LOST: {
    cause: 'The connection to the broker was lost.',
    remedy: 'Nothing to do: what was not acknowledged is sent again.',
  },
  TG_BROKER_PUBLISH: {
    cause: 'The broker refused a message.',
    remedy: "Check the broker's access rules and its largest packet; the message stays in the store.",
  },
  TG_ACK_REFUSED: {
    cause: 'An acknowledgement is not signed by a recipient of this unit, or is damaged.',
    remedy: 'Check recipients.json and who may publish to the topic of acknowledgements; no row was deleted.',
  },
  TG_UPLINK_STORE: {
    cause: 'The store did not take what the uplink told it.',
    remedy: 'See the message; what was not acknowledged is sent again.',
  },
  TG_RECEIVER_KEYS: {
    cause: "A file of the receiver's key folder cannot be read or holds no key of the expected form.",
    remedy:
      'Check hpke.jwk, ack.jwk and units.json in the folder given with --keys (`tollgate enroll --local` writes them).',
  },
  TG_RECEIVER_STORE: {
    cause: "The receiver's database cannot be opened or written.",
    remedy: 'Check path, space and permissions; nothing was acknowledged that is not stored, the units send it again.',
  },
  TG_RECEIVER_OUTPUT: {
    cause: "The receiver's output file cannot be written.",
    remedy: 'Check path, space and permissions; nothing was acknowledged that is not written, the units send it again.',
  },
  TG_RECEIVER_SESSION: {
    cause: 'A session is not signed by a unit of this receiver, is not for it, or contradicts one that is known.',
    remedy: 'Check units.json; records of that stream stay unopened and are not acknowledged.',
  },
  TG_RECEIVER_ENVELOPE: {
    cause: 'An envelope does not open under its session, or what is in it is no record of its schema.',
    remedy: 'Somebody between unit and receiver changed or moved it; the unit sends the true one again.',
  },
  TG_RECEIVER_PROOF: {
    cause: 'A proof does not hold: signature, inclusion or chain differ from what was opened.',
    remedy: "Keep the receiver's store and the proof as evidence; the records stay opened, not proven.",
  },
  TG_RECEIVER_ROLLBACK: {
    cause: 'A unit signed a ledger that contradicts one that it signed before.',
    remedy:
      'Its store was rolled back or it keeps two ledgers: `tollgate receive --alarms` has both checkpoints as evidence. Examine the unit, then `tollgate receive --readmit UNIT`.',
  },
  TG_RECEIVER_CONTINUITY: {
    cause: 'A unit, or whoever carried its proof, did not show that its ledger continues the one that was accepted.',
    remedy:
      'The records stay opened until a proof shows it. Where none does, examine the unit, then `tollgate receive --readmit UNIT`.',
  },
  TG_RECEIVER_STRANGER: {
    cause: 'A session came that no unit of this receiver signed.',
    remedy: 'Add the ledger key of the unit to units.json and start anew, or let the broker refuse its publisher.',
  },
  TG_RECEIVER_UNPROVEN: {
    cause: 'Records were opened and no proof has covered them for three minutes.',
    remedy: 'Check that the unit still runs and that the topic of proofs (…/p) reaches the receiver.',
  },
  TG_RECEIVER_OVERFLOW: {
    cause: 'Messages came whose session is not known, more than are kept.',
    remedy: 'Check that retained sessions (…/s) reach the receiver; what was dropped is sent again.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
