import { TollgateError } from '#contracts';
import { CborFloat, type CborValue, decodeCbor } from './cbor.ts';

/** Reads decoded CBOR against the shape of a CDDL rule: each mismatch is one typed error that names the field. */
export class Shape {
  readonly #what: string;

  /** @param what the structure, for the message: `session`, `ack` */
  constructor(what: string) {
    this.#what = what;
  }

  refuse(field: string, wanted: string): never {
    throw new TollgateError('TG_WIRE_MALFORMED', `${this.#what}: ${field} is not ${wanted}`);
  }

  /** An array of exactly `length` items. */
  array(value: CborValue, field: string, length?: number): readonly CborValue[] {
    if (!Array.isArray(value)) return this.refuse(field, 'an array');
    if (length !== undefined && value.length !== length) return this.refuse(field, `an array of ${length}`);
    return value;
  }

  decode(bytes: Uint8Array, length: number): readonly CborValue[] {
    return this.array(decodeCbor(bytes), 'the whole', length);
  }

  uint(value: CborValue, field: string): number {
    if (typeof value !== 'number' || value < 0) return this.refuse(field, 'a whole number from 0');
    return value;
  }

  int(value: CborValue, field: string): number {
    if (typeof value !== 'number') return this.refuse(field, 'a whole number');
    return value;
  }

  intOrNull(value: CborValue, field: string): number | null {
    return value === null ? null : this.int(value, field);
  }

  bytes(value: CborValue, field: string, length?: number): Uint8Array {
    if (!(value instanceof Uint8Array)) return this.refuse(field, 'bytes');
    if (length !== undefined && value.length !== length) return this.refuse(field, `${length} bytes`);
    return value;
  }

  text(value: CborValue, field: string): string {
    if (typeof value !== 'string') return this.refuse(field, 'text');
    return value;
  }

  bool(value: CborValue, field: string): boolean {
    if (typeof value !== 'boolean') return this.refuse(field, 'true or false');
    return value;
  }

  float(value: CborValue, field: string): number {
    if (!(value instanceof CborFloat)) return this.refuse(field, 'a float');
    return value.value;
  }

  /** The version of a structure: another one is never guessed at. */
  version(value: CborValue, known: number): void {
    if (value !== known) this.refuse('the version', `${known}`);
  }
}
