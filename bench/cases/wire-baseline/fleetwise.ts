import { compressSync, uncompressSync } from 'snappy';
import type { Cut } from './campaign.ts';
import type { DriveColumn } from './drive.ts';

/** Ids of the length that AWS ARNs of a campaign and a decoder manifest have. */
const CAMPAIGN = 'arn:aws:iotfleetwise:eu-central-1:123456789012:campaign/insure';
const DECODER = 'arn:aws:iotfleetwise:eu-central-1:123456789012:decoder-manifest/m1';
/** UTC of the drive's first frame: the size of a real time is part of the message. */
const EPOCH_MS = 1_631_416_514_717;

/**
 * The message of AWS IoT FleetWise Edge (`vehicle_data.proto`):
 * VehicleData { string campaign = 1; string decoder = 2; uint32 event_id = 3; uint64 event_time_ms = 4;
 * repeated CapturedSignal signals = 5 }, CapturedSignal { sint64 relative_time_ms = 1; uint32 signal_id = 2;
 * double double_value = 3 }. Grouped by signal, newest first, as the agent fills it.
 */
export class FleetWiseEncoder {
  private buffer = Buffer.alloc(1 << 20);
  private at = 0;

  encode(drive: readonly DriveColumn[], { fromMs, tables }: Cut, recordMs: number): Buffer {
    this.at = 0;
    const eventMs = fromMs + recordMs;
    this.text(1, CAMPAIGN);
    this.text(2, DECODER);
    this.field(3, 0);
    this.varint(fromMs + 1);
    this.field(4, 0);
    this.varint(EPOCH_MS + eventMs);
    let id = 0;
    drive.forEach(({ message }, g) => {
      const { rows, timesMs, columns } = tables[g]!;
      message.signals.forEach(({ factor, offset }, c) => {
        id++;
        const { values } = columns[c]!;
        for (let i = rows - 1; i >= 0; i--) this.signal(timesMs[i]! - eventMs, id, values[i]! * factor + offset);
      });
    });
    return this.buffer.subarray(0, this.at);
  }

  private signal(relativeMs: number, id: number, value: number): void {
    if (this.at + 64 > this.buffer.length) this.buffer = Buffer.concat([this.buffer, Buffer.alloc(this.buffer.length)]);
    this.field(5, 2);
    const lengthAt = this.at++;
    if (relativeMs !== 0) {
      this.field(1, 0);
      this.varint(relativeMs < 0 ? -2 * relativeMs - 1 : 2 * relativeMs);
    }
    this.field(2, 0);
    this.varint(id);
    this.field(3, 1);
    this.at = this.buffer.writeDoubleLE(value, this.at);
    this.buffer[lengthAt] = this.at - lengthAt - 1;
  }

  private text(number: number, value: string): void {
    this.field(number, 2);
    this.varint(value.length);
    this.at += this.buffer.write(value, this.at, 'latin1');
  }

  private field(number: number, wireType: number): void {
    this.buffer[this.at++] = (number << 3) | wireType;
  }

  private varint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.buffer[this.at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.buffer[this.at++] = rest;
  }
}

/** The compressed message; opened again, so that its size is that of something that can be read. */
export function snappy(message: Buffer): Buffer {
  const packed = compressSync(message);
  const back = uncompressSync(packed, { asBuffer: true });
  if (!Buffer.isBuffer(back) || !back.equals(message)) throw new Error('snappy did not give back what it was given');
  return packed;
}

/** The same samples as a plain person would send them: a JSON object of signals, each a list of [ms, value]. */
export function json(drive: readonly DriveColumn[], { t0Ms, tables }: Cut): string {
  const signals: Record<string, number[][]> = {};
  drive.forEach(({ message }, g) => {
    const { rows, timesMs, columns } = tables[g]!;
    message.signals.forEach(({ name, factor, offset }, c) => {
      const { values } = columns[c]!;
      signals[`${message.name}.${name}`] = Array.from({ length: rows }, (_, i) => [
        timesMs[i]! - t0Ms,
        values[i]! * factor + offset,
      ]);
    });
  });
  return JSON.stringify({ t: EPOCH_MS + t0Ms, signals });
}
