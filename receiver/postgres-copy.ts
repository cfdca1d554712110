import type { Client } from 'pg';

/** PostgreSQL's binary COPY format (manual, COPY, "Binary Format"). */
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const NULL_LENGTH = -1;
const TRAILER = -1;
const FIRST_BYTES = 64 * 1024;
/** Type of array elements (pg_type.dat). */
const OID_FLOAT8 = 701;
const ARRAY_HEADER_BYTES = 20;
const ARRAY_ELEMENT_BYTES = 12;

/** Rows in the binary form of COPY, in one buffer that grows. */
export class CopyRows {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #end = SIGNATURE.copy(this.#bytes);
  /** Rows so far. */
  count = 0;

  row(fields: number): void {
    this.#room(2);
    this.#end = this.#bytes.writeInt16BE(fields, this.#end);
    this.count++;
  }

  /** An integer that is exact in a double, as bigint; null as NULL. */
  int8(value: number | null): void {
    this.#room(12);
    if (value === null) {
      this.#end = this.#bytes.writeInt32BE(NULL_LENGTH, this.#end);
      return;
    }
    this.#end = this.#bytes.writeInt32BE(8, this.#end);
    this.#end = this.#bytes.writeBigInt64BE(BigInt(value), this.#end);
  }

  bytea(value: Uint8Array): void {
    this.#room(4 + value.length);
    this.#end = this.#bytes.writeInt32BE(value.length, this.#end);
    this.#bytes.set(value, this.#end);
    this.#end += value.length;
  }

  /** double precision[]. */
  float8s(values: Float64Array, count: number): void {
    this.#array(OID_FLOAT8, count);
    for (let i = 0; i < count; i++) {
      this.#end = this.#bytes.writeInt32BE(8, this.#end);
      this.#end = this.#bytes.writeDoubleBE(values[i]!, this.#end);
    }
  }

  /** All of it, with the trailer. */
  finish(): Buffer {
    this.#room(2);
    this.#end = this.#bytes.writeInt16BE(TRAILER, this.#end);
    return this.#bytes.subarray(0, this.#end);
  }

  #array(type: number, count: number): void {
    const length = ARRAY_HEADER_BYTES + count * ARRAY_ELEMENT_BYTES;
    this.#room(4 + length);
    // Length, dimensions, no NULLs, element type, length of the dimension, its lower bound.
    for (const word of [length, 1, 0, type, count, 1]) this.#end = this.#bytes.writeInt32BE(word, this.#end);
  }

  #room(more: number): void {
    if (this.#end + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#end + more));
    this.#bytes.copy(grown, 0, 0, this.#end);
    this.#bytes = grown;
  }
}

/** The part of pg's connection that a COPY needs; its types leave it out. */
interface CopyConnection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** The driver's contract of a query of one's own (`Submittable`): it is called as the server answers. */
class CopyQuery {
  readonly #text: string;
  readonly #rows: Buffer;
  readonly #done: (error: Error | null) => void;
  #error: Error | null = null;

  constructor(text: string, rows: Buffer, done: (error: Error | null) => void) {
    this.#text = text;
    this.#rows = rows;
    this.#done = done;
  }

  submit(connection: CopyConnection): void {
    connection.query(this.#text);
  }

  handleCopyInResponse(connection: CopyConnection): void {
    connection.sendCopyFromChunk(this.#rows);
    connection.endCopyFrom();
  }

  handleError(error: Error): void {
    this.#error = error;
    // After an error of the connection itself the server says nothing more.
    if (!('severity' in error)) this.#done(error);
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#done(this.#error);
  }
}

/**
 * Streams rows into a table.
 *
 * @param target table and columns, e.g. `value (column_id, seq)`
 */
export function copyRows(client: Client, target: string, rows: CopyRows): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null) => (error === null ? resolve() : reject(error));
    client.query(new CopyQuery(`COPY ${target} FROM STDIN (FORMAT binary)`, rows.finish(), done) as never);
  });
}
