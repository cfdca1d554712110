/** Who may connect to a broker, and as what. */
export interface BrokerAccess {
  readonly tenants: readonly string[];
  /** Common names of the receivers' certificates. */
  readonly receivers: readonly string[];
}

/** A name in a topic or in a line of the file. */
const NAME = /^[A-Za-z0-9._-]{1,64}$/;
/** `[a-z0-9-]{1,32}`, as everywhere. */
const TENANT = /^[a-z0-9-]{1,32}$/;

/**
 * Access rules for mosquitto (`acl_file`, mosquitto.conf(5)). The common name of a unit's certificate is its pseudonym:
 * `%u` stands for it, so one pattern serves every unit. What no rule allows is refused.
 *
 * @throws {RangeError} for a name that would be more than a name in a topic
 */
export function brokerAcl({ tenants, receivers }: BrokerAccess): string {
  const wrongTenant = tenants.find((tenant) => !TENANT.test(tenant));
  if (wrongTenant !== undefined) throw new RangeError(`"${wrongTenant}" is not a tenant: [a-z0-9-]{1,32}`);
  const wrong = receivers.find((receiver) => !NAME.test(receiver));
  if (wrong !== undefined) throw new RangeError(`"${wrong}" is not a common name: [A-Za-z0-9._-]{1,64}`);
  const units = tenants.flatMap((tenant) => [
    `pattern write v1/${tenant}/%u/tx/+`,
    `pattern write v1/${tenant}/%u/tx/+/s`,
    `pattern write v1/${tenant}/%u/tx/+/p`,
    `pattern write v1/${tenant}/%u/st`,
    `pattern write v1/${tenant}/%u/st/+`,
    `pattern read v1/${tenant}/%u/rx/ack`,
    `pattern read v1/${tenant}/%u/rx/doc`,
  ]);
  const rights = tenants.flatMap((tenant) => [
    `topic read v1/${tenant}/+/tx/+`,
    `topic read v1/${tenant}/+/tx/+/s`,
    `topic read v1/${tenant}/+/tx/+/p`,
    `topic read v1/${tenant}/+/st`,
    `topic read v1/${tenant}/+/st/+`,
    `topic write v1/${tenant}/+/rx/ack`,
    `topic write v1/${tenant}/+/rx/doc`,
  ]);
  return [
    '# Made by `tollgate broker acl`. Each unit writes below its own pseudonym and reads what is for it.',
    ...units,
    ...receivers.flatMap((name) => [
      '',
      `# A receiver: it reads envelopes, which open only for their recipient.`,
      `user ${name}`,
      ...rights,
    ]),
    '',
  ].join('\n');
}

/**
 * The lines of mosquitto.conf that the rules rest on: only certificates name a client. Units and receivers have
 * listeners of their own, because a unit's client id must be its name, while many receiver processes share one.
 *
 * @param folder where the broker finds the files
 * @param state  where it keeps sessions and retained messages
 */
export function brokerConf(folder: string, state = '/var/lib/mosquitto'): string {
  const listener = (port: number, ca: string, ...more: string[]) => [
    `listener ${port}`,
    `cafile ${folder}/${ca}`,
    `certfile ${folder}/broker.pem`,
    `keyfile ${folder}/broker.key`,
    'tls_version tlsv1.3',
    'require_certificate true',
    'use_identity_as_username true',
    ...more,
    '',
  ];
  return [
    'allow_anonymous false',
    `acl_file ${folder}/acl`,
    'persistence true',
    `persistence_location ${state}/`,
    'persistent_client_expiration 7d',
    '# A record is at most 128 KiB, a document 256 KiB.',
    'max_packet_size 300000',
    '',
    ...listener(8883, 'units-ca.pem', 'use_username_as_clientid true', 'max_topic_alias 64'),
    ...listener(8884, 'receivers-ca.pem'),
  ].join('\n');
}
