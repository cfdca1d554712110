import { nearest, TollgateError } from '#contracts';
import type { MappingEntry } from '../mapping.ts';
import type { Database } from '../model.ts';
import type { OverlayEntry } from './load.ts';

/**
 * The mapping that an overlay means for a database: what is a factor and an offset. The rest is refused, each with its reason:
 * label mappings and curves (a mapping has none), signals that the database lacks or has twice, and everything that writes to
 * the bus (a unit only reads the vehicle).
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
  { path, direction, signal, transform, conditions, pointer }: OverlayEntry,
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
  const line =
    transform.kind === 'none'
      ? { factor: 1, offset: 0 }
      : transform.kind === 'math'
        ? transform.expression.linear
        : null;
  if (line === null) {
    const what =
      transform.kind === 'math' ? `"${transform.expression.text}" is no factor and offset` : 'maps labels to values';
    return refuse('TG_MAPPING_TRANSFORM', `${what}, which a mapping cannot say`);
  }
  return { signal: `dbc:${message}.${signal}`, path, ...line, unit: null };
}
