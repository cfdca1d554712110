import type { MappingEntry } from './mapping.ts';

/** Words that YAML reads as text without quotes. */
const PLAIN = /^[A-Za-z][A-Za-z0-9/^]*$/;

/** An entry as one line of `mapping.yaml`, without the dash. */
export function mappingEntryText(entry: MappingEntry): string {
  const { signal, path, factor, offset, unit, values, minIntervalMs, deadband } = entry;
  const parts = [`signal: ${JSON.stringify(signal)}`, `path: ${path}`];
  if (values !== undefined) {
    const pairs = values.map(({ from, to }) => `{ from: ${JSON.stringify(from)}, to: ${to} }`);
    parts.push(`transform: { mapping: [${pairs.join(', ')}] }`);
  } else {
    if (factor !== 1) parts.push(`factor: ${factor}`);
    if (offset !== 0) parts.push(`offset: ${offset}`);
  }
  if (unit !== null) parts.push(`unit: ${PLAIN.test(unit) ? unit : JSON.stringify(unit)}`);
  if (minIntervalMs !== undefined) parts.push(`minInterval: ${minIntervalMs}ms`);
  if (deadband !== undefined) parts.push(`deadband: ${deadband}`);
  return `{ ${parts.join(', ')} }`;
}
