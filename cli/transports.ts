import type { TransportCounts } from '#agent/counts';
import { TollgateError } from '#contracts';
import type { IsoTpEntry, J1939Mode, TransportOptions } from '#decoders';
import { count } from './text.ts';

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

/** What the transports have seen, a row each; none where a plan needs no transport. */
export function transportRows({ j1939, isotp, obd, withheld }: TransportCounts): string[][] {
  const rows: string[][] = [];
  if (j1939 !== null) {
    const { complete, timeout, aborted, missing, replaced, noRoom, unfinished, malformed, stray } = j1939;
    const reasons = { 'timed out': timeout, aborted, 'with a gap': missing, replaced, 'cut by a restart': unfinished };
    rows.push(['J1939', messageText(complete, reasons, noRoom, malformed, stray)]);
  }
  if (isotp !== null) {
    const { complete, timeout, sequence, replaced, overflow, shortFrame, tooLong, unfinished, malformed, stray } =
      isotp;
    const reasons = {
      'timed out': timeout,
      'with a gap': sequence + shortFrame,
      replaced,
      'given up by the receiver': overflow,
      'cut by a restart': unfinished,
    };
    rows.push(['ISO-TP', messageText(complete, reasons, tooLong, malformed, stray)]);
  }
  if (obd !== null) {
    const { parameters, negative, malformed } = obd;
    rows.push(['OBD', `${count(parameters)} parameters, ${count(negative)} refusals, ${count(malformed)} malformed`]);
  }
  if (rows.length > 0 || withheld > 0)
    rows.push(['values withheld', `${count(withheld)} that say "not available" or "error"`]);
  return rows;
}

function messageText(
  complete: number,
  reasons: Readonly<Record<string, number>>,
  dropped: number,
  malformed: number,
  stray: number,
): string {
  const incomplete = Object.values(reasons).reduce((sum, one) => sum + one, 0);
  const why = Object.entries(reasons)
    .filter(([, one]) => one > 0)
    .map(([reason, one]) => `${count(one)} ${reason}`)
    .join(', ');
  return [
    `${count(complete)} messages`,
    `${count(incomplete)} incomplete${why === '' ? '' : ` (${why})`}`,
    `${count(dropped)} without room`,
    `${count(malformed)} frames malformed, ${count(stray)} stray`,
  ].join(', ');
}
