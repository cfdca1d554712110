import type { ServiceStatus } from '#agent/status';
import type { Io } from '../command.ts';
import { bytes, count, table } from '../text.ts';

/** One picture of the demo as it runs. */
export interface DemoPicture {
  readonly seconds: number;
  /** Of the simulated drive or the log, s. */
  readonly driven: number;
  readonly framesPerSecond: number;
  readonly status: ServiceStatus;
  /** Summed over the receivers. */
  readonly receiver: { readonly opened: number; readonly proven: number };
  readonly brokerBytes: number;
  readonly meter: readonly {
    readonly recipient: string;
    readonly purpose: string;
    readonly samples: number;
    readonly bytes: number;
  }[];
  readonly planDenials: readonly { readonly signal: string; readonly reason: string; readonly rule: string | null }[];
}

const CLEAR_BELOW = '\x1b[J';
const CLEAR_LINE = '\x1b[K';
/** An agreement's uid behind a rule says nothing to who watches. */
const UID = / of urn:uuid:[0-9a-f-]+/g;
const UP = (lines: number) => `\x1b[${lines}A\r`;
const SHOWN_DENIALS = 6;
/** Bytes of a classic frame as a logger on the bus would keep it. */
export const RAW_FRAME_BYTES = 16;

/** Draws pictures over one another on a terminal; a plain line now and then elsewhere. */
export class DemoView {
  readonly #io: Io;
  #lines = 0;
  #nextPlainS = 0;

  constructor(io: Io) {
    this.#io = io;
  }

  show(picture: DemoPicture): void {
    if (!this.#io.interactive) {
      if (picture.seconds < this.#nextPlainS) return;
      this.#nextPlainS = picture.seconds + 2;
      this.#io.out(`${plainLine(picture)}\n`);
      return;
    }
    const text = pictureText(picture).replaceAll('\n', `${CLEAR_LINE}\n`);
    this.#io.out(`${this.#lines > 0 ? UP(this.#lines) : ''}${text}${CLEAR_BELOW}`);
    this.#lines = text.split('\n').length - 1;
  }
}

function plainLine({ driven, framesPerSecond, status, receiver }: DemoPicture): string {
  const { path, store } = status.unit;
  return [
    `${driven.toFixed(0)} s driven`,
    `${count(framesPerSecond)} frames/s`,
    `${count(path.admitted)} values admitted`,
    `${count(path.denied)} denied at the gate`,
    `${count(receiver.opened)} records opened`,
    `${count(receiver.proven)} proven`,
    `ledger ${count(store.head.size)} leaves`,
  ].join(', ');
}

function pictureText({
  driven,
  framesPerSecond,
  status,
  receiver,
  brokerBytes,
  meter,
  planDenials,
}: DemoPicture): string {
  const { path, store, denied } = status.unit;
  const frames = path.frames + path.skipped;
  const raw = frames * RAW_FRAME_BYTES;
  const share = brokerBytes === 0 || raw === 0 ? '' : ` (1 : ${(raw / brokerBytes).toFixed(0)})`;
  const planned = planDenials
    .slice(0, SHOWN_DENIALS)
    .map(({ signal, reason, rule }) => ['', signal, `${reason}${rule === null ? '' : ` by ${rule.replace(UID, '')}`}`]);
  const more = planDenials.length - SHOWN_DENIALS;
  return `
  bus       ${count(frames)} frames in ${driven.toFixed(0)} s of driving, ${count(framesPerSecond)} frames/s now
  decode    ${count(path.rows)} frames decoded, ${count(path.skipped + path.unknown)} without a decode right: not decoded at all
  gate      ${count(path.admitted)} values admitted, ${count(path.denied)} kept back${denied.map(({ rule, count: n }) => `\n            ${count(n)} × ${rule.replace(UID, '')}`).join('')}
  plan      ${planDenials.length} requested signals never leave${planned.length > 0 ? `:\n${table(planned).trimEnd()}` : ''}${more > 0 ? `\n    … and ${more} more` : ''}
  records   ${count(receiver.opened)} opened by the receivers, ${count(receiver.proven)} proven against a signed checkpoint
  bytes     ${bytes(raw)} on the bus, ${bytes(brokerBytes)} to the broker${share}
  outbox    ${count(store.queued)} queued, ${count(store.inflight + store.pubacked)} under way, ${count(store.acked)} acknowledged and deleted
  ledger    ${count(store.head.size)} leaves, head ${store.head.root.slice(0, 22)}…
  meter     ${meter.map((one) => `${one.recipient.replace('did:web:', '')}: ${count(one.samples)} values, ${bytes(one.bytes)}, ${one.purpose.replace('auto:', '')}`).join('\n            ')}
`;
}
