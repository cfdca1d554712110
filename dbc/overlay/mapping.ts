import { nearest, TollgateError } from '#contracts';
import type { MappedValue, MappingEntry } from '../mapping.ts';
import type { Database } from '../model.ts';
import type { OverlayEntry } from './load.ts';

/**
 * The mapping that an overlay means for a database: factor and offset, values for labels, interval and change. The rest is
 * refused, each with its reason: curves, texts in place of labels (records carry numbers), signals that the database lacks or
 * has twice, and everything that writes to the bus (a unit only reads the vehicle).
 */
export function mappingOfOverlay(
  entries: readonly OverlayEntry[],
  database: Database,
): { readonly mapping: readonly MappingEntry[]; readonly refused: readonly TollgateError[] } {
  const messages = new Map<string, string[]>();
  for (const { name, signals } of database.messages)
    for (const signal of signals) messages.set(signal.name, [...(messages.get(signal.name) ?? []), name]);
  const mapping: MappingEntry[] = [];
  const refused: TollgateError[] = [];
  for (const entry of entries) {
    const made = entryOf(entry, messages);
    if (made instanceof TollgateError) refused.push(made);
    else mapping.push(made);
  }
  return { mapping, refused };
}

function entryOf(
  { path, direction, signal, transform, conditions, intervalMs, onChange, pointer }: OverlayEntry,
  messages: ReadonlyMap<string, readonly string[]>,
): MappingEntry | TollgateError {
  const refuse = (code: 'TG_MAPPING_SIGNAL' | 'TG_MAPPING_TRANSFORM', text: string, remedy?: string) =>
    new TollgateError(code, `${path}: ${text}`, { place: { pointer }, remedy });
  if (direction === 'vss2dbc') return refuse('TG_MAPPING_TRANSFORM', 'writes to the bus, which a unit never does');
  if (conditions.length > 0)
    return refuse('TG_MAPPING_TRANSFORM', 'depends on another signal, which a mapping cannot say');
  const [message, ...more] = messages.get(signal) ?? [];
  if (message === undefined) {
    const near = nearest(signal, [...messages.keys()]);
    return refuse('TG_MAPPING_SIGNAL', `the database has no signal ${signal}`, near && `Did you mean "${near}"?`);
  }
  if (more.length > 0) {
    const names = [message, ...more].map((name) => `dbc:${name}.${signal}`).join(', ');
    return refuse(
      'TG_MAPPING_SIGNAL',
      `several messages have a signal ${signal}`,
      `Write one of ${names} in a mapping.`,
    );
  }
  const common = {
    signal: `dbc:${message}.${signal}`,
    path,
    unit: null,
    ...(intervalMs > 0 ? { minIntervalMs: intervalMs } : {}),
    ...(onChange ? { deadband: 0 } : {}),
  };
  if (transform.kind === 'none') return { ...common, factor: 1, offset: 0 };
  if (transform.kind === 'math') {
    const { linear, text } = transform.expression;
    if (linear !== null) return { ...common, ...linear, isScaled: true };
    return refuse('TG_MAPPING_TRANSFORM', `"${text}" is no factor and offset, which is all that a mapping can say`);
  }
  const values: MappedValue[] = [];
  for (const { from, to } of transform.pairs) {
    const number = typeof to === 'boolean' ? Number(to) : to;
    if (!Number.isSafeInteger(number)) {
      return refuse(
        'TG_MAPPING_TRANSFORM',
        `"${to}" is not a whole number, true or false, which is all that records carry`,
      );
    }
    values.push({ from: typeof from === 'boolean' ? Number(from) : from, to: number as number });
  }
  if (values.length === 0) return refuse('TG_MAPPING_TRANSFORM', 'maps no value');
  return { ...common, factor: 1, offset: 0, isScaled: true, values };
}
