import { TollgateError } from '#contracts';
import type { IsoTpEntry, J1939Mode, TransportOptions } from '#decoders';

/** Options of commands that read a bus, for `parseArgs`. */
export const TRANSPORT_ARGUMENTS = {
  j1939: { type: 'string' },
  isotp: { type: 'string', multiple: true, default: [] as string[] },
  obd: { type: 'string', multiple: true, default: [] as string[] },
} as const;

export const TRANSPORT_HELP = `  --j1939 MODE    which messages are matched by parameter group, any priority and source, and put together from transport packets:
                  declared (those that the database declares as J1939; default), every (all with 29 bits) or off
  --isotp LINK    messages of ISO-TP: ID[,FLOW[,MESSAGE]] in hexadecimal, ID of the frames, FLOW of the receiver's flow control,
                  MESSAGE of the database (default: ID); extended addressing: ID:ADDRESS. May be repeated
  --obd LINK      the same, for answers to OBD services 01 and 09 and UDS service 22: one message a parameter`;

const MODES: readonly J1939Mode[] = ['declared', 'every', 'off'];
const LINK = /^([0-9a-f]{1,8})(?::([0-9a-f]{1,2}))?(?:,([0-9a-f]{1,8})?(?::([0-9a-f]{1,2}))?(?:,([0-9a-f]{1,8}))?)?$/i;
const LARGEST_ID = 0x1fff_ffff;

/** @throws {TollgateError} TG_CLI_USAGE */
export function transportOptions(values: {
  readonly j1939?: string | undefined;
  readonly isotp: readonly string[];
  readonly obd: readonly string[];
}): Required<TransportOptions> {
  const mode = MODES.find((one) => one === (values.j1939 ?? 'declared'));
  if (mode === undefined) {
    throw new TollgateError('TG_CLI_USAGE', `--j1939 takes ${MODES.join(', ')}, not "${values.j1939}"`);
  }
  const links = [
    ...values.isotp.map((text) => entryOf('--isotp', text, 'message')),
    ...values.obd.map((text) => entryOf('--obd', text, 'obd')),
  ];
  return { j1939: mode, isotp: links };
}

function entryOf(option: string, text: string, content: 'message' | 'obd'): IsoTpEntry {
  const [, id, address, flow, flowAddress, message] = LINK.exec(text) ?? [];
  const number = (name: string, digits: string | undefined) =>
    digits === undefined ? {} : { [name]: Number.parseInt(digits, 16) };
  const entry = {
    ...number('id', id),
    ...number('address', address),
    ...number('flow', flow),
    ...number('flowAddress', flowAddress),
    ...number('message', message),
    content,
  } as IsoTpEntry;
  const ids = [entry.id, entry.flow, entry.message].filter((one) => one !== undefined);
  if (id === undefined || ids.some((one) => one > LARGEST_ID)) {
    throw new TollgateError('TG_CLI_USAGE', `${option} takes ID[,FLOW[,MESSAGE]] in hexadecimal, not "${text}"`);
  }
  return entry;
}
