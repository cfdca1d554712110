import { connect, createServer, type Socket } from 'node:net';

/** MQTT control packet types, MQTT 3.1.1 §2.2.1. */
export const PACKET = { connect: 1, connack: 2, publish: 3, puback: 4, subscribe: 8, suback: 9 } as const;

export type Direction = 'to-broker' | 'to-client';

/** What becomes of one packet: passed on, lost, doubled, or the wire is cut before or after it, or half way through. */
export type Verdict = 'pass' | 'drop' | 'twice' | 'cut-before' | 'cut-after' | 'cut-inside';

/** Decides on each packet; `type` is a number of `PACKET`, `packet` the whole of its bytes. */
export type Judge = (direction: Direction, type: number, packet: Uint8Array) => Verdict;

/** A bad wire in front of a broker: it sees whole MQTT packets of either version and does to them what a test asks. */
export interface Tap {
  /** Where clients connect instead. */
  readonly url: string;
  judge: Judge;
  /** Connections are closed as they come. */
  refuse: boolean;
  /** Cuts every connection. */
  cut(): void;
  close(): Promise<void>;
}

const LENGTH_BITS = 7;
const MORE = 0x80;
/** A remaining length has at most four bytes, MQTT 3.1.1 §2.2.3. */
const LONGEST_LENGTH = 4;

/** Cuts a byte stream into MQTT packets. */
export class PacketSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** The packets that `bytes` completes; the same memory where one chunk holds them. */
  *push(bytes: Buffer): Generator<Buffer> {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (let size = packetBytes(rest); size !== null && size <= rest.length; size = packetBytes(rest)) {
      yield rest.subarray(0, size);
      rest = rest.subarray(size);
    }
    this.#rest = rest;
  }
}

/** Length of the packet at the start of `bytes`, or null where its header is not whole. */
function packetBytes(bytes: Buffer): number | null {
  let remaining = 0;
  for (let i = 1; i <= LONGEST_LENGTH && i < bytes.length; i++) {
    const byte = bytes[i]!;
    remaining += (byte & (MORE - 1)) * 2 ** (LENGTH_BITS * (i - 1));
    if ((byte & MORE) === 0) return 1 + i + remaining;
  }
  return null;
}

/** Starts a tap on 127.0.0.1 in front of `target`, `mqtt://host:port`. */
export async function startTap(target: string): Promise<Tap> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  const server = createServer((client) => {
    open.add(client);
    client.on('close', () => open.delete(client));
    client.on('error', () => client.destroy());
    if (tap.refuse) return void client.destroy();
    client.setNoDelay(true);
    const broker = connect({ host: hostname, port: Number(port) });
    broker.setNoDelay(true);
    broker.on('error', () => client.destroy());
    broker.on('close', () => client.destroy());
    client.on('close', () => broker.destroy());
    relay(client, broker, 'to-broker', tap);
    relay(broker, client, 'to-client', tap);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const tap: Tap = {
    url: `mqtt://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`,
    judge: () => 'pass',
    refuse: false,
    cut: () => {
      for (const socket of open) socket.destroy();
    },
    close: async () => {
      tap.cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return tap;
}

function relay(from: Socket, to: Socket, direction: Direction, tap: Tap): void {
  const splitter = new PacketSplitter();
  from.on('data', (bytes) => {
    for (const packet of splitter.push(bytes)) {
      if (from.destroyed || to.destroyed) return;
      const verdict = tap.judge(direction, packet[0]! >> 4, packet);
      if (verdict === 'drop') continue;
      if (verdict === 'cut-before') return cut(from, to);
      if (verdict === 'cut-inside') to.write(packet.subarray(0, packet.length >> 1));
      else to.write(packet);
      if (verdict === 'twice') to.write(packet);
      if (verdict === 'cut-after' || verdict === 'cut-inside') return cut(from, to);
    }
    if (to.writableNeedDrain) {
      from.pause();
      to.once('drain', () => from.resume());
    }
  });
}

/** What was written still arrives; nothing more does. */
function cut(from: Socket, to: Socket): void {
  to.end(() => to.destroy());
  from.destroy();
}
