import { type CborKey, type CborValue, encodeCbor } from './cbor.ts';
import { Shape } from './shape.ts';

/** Counters of one hour of one (agreement, recipient, purpose, action), `meter.cddl`. Exact: they commit with the rows. */
export interface MeterRecord {
  readonly agreement: string;
  readonly recipient: string;
  readonly purpose: string;
  /** ODRL action. */
  readonly action: string;
  /** Hours since the epoch of UTC; −1 − hours of boottime where UTC is unknown. */
  readonly hour: number;
  readonly records: number;
  /** Values that left: one a signal and row, however many results an aggregate has. */
  readonly samples: number;
  /** Sealed bytes. */
  readonly bytes: number;
  readonly denied: number;
  /** Samples by signal name. */
  readonly fields: ReadonlyMap<string, number>;
}

const VERSION = 1;
const shape = new Shape('meter record');

export function encodeMeter(meter: MeterRecord): Uint8Array {
  const { agreement, recipient, purpose, action, hour, records, samples, bytes, denied, fields } = meter;
  const map = new Map<CborKey, CborValue>(fields);
  return encodeCbor([VERSION, agreement, recipient, purpose, action, hour, records, samples, bytes, denied, map]);
}

/** @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_MALFORMED */
export function decodeMeter(encoded: Uint8Array): MeterRecord {
  const [version, agreement, recipient, purpose, action, hour, records, samples, bytes, denied, fields] = shape.decode(
    encoded,
    11,
  );
  shape.version(version, VERSION);
  if (!(fields instanceof Map)) return shape.refuse('fields', 'a map');
  const counted = [...(fields as ReadonlyMap<CborKey, CborValue>)].map(([name, count]): [string, number] => [
    shape.text(name, 'a field'),
    shape.uint(count, 'a count'),
  ]);
  return {
    agreement: shape.text(agreement, 'agreement'),
    recipient: shape.text(recipient, 'recipient'),
    purpose: shape.text(purpose, 'purpose'),
    action: shape.text(action, 'action'),
    hour: shape.int(hour, 'hour'),
    records: shape.uint(records, 'records'),
    samples: shape.uint(samples, 'samples'),
    bytes: shape.uint(bytes, 'bytes'),
    denied: shape.uint(denied, 'denied'),
    fields: new Map(counted),
  };
}
