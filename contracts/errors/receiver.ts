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
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
