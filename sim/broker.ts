import { createServer, type Socket } from 'node:net';
import { Aedes } from 'aedes';
import { startTap, type Tap } from './broker/tap.ts';

export { type Direction, type Judge, PACKET, startTap, type Tap, type Verdict } from './broker/tap.ts';

/** What went through the broker since its start. */
export interface BrokerCounters {
  messages: number;
  bytes: number;
}

/**
 * A broker in this process, for the demo and the tests. It speaks MQTT 3.1.1 only (`protocol: 4`), keeps everything
 * in memory and listens on the loopback address: nothing for the road.
 */
export interface Broker {
  readonly url: string;
  readonly published: Readonly<BrokerCounters>;
  /** Clients that are connected now. */
  readonly clients: number;
  /** Every message as the broker sees it: for tests of what an operator could read. */
  onMessage(listener: (topic: string, payload: Uint8Array) => void): void;
  /** Cuts every connection; clients may come again. */
  dropConnections(): void;
  /** New connections are refused (CONNACK: server unavailable) until it is false again. */
  refuse: boolean;
  close(): Promise<void>;
}

export interface BrokerOptions {
  /** 0: any free port. */
  readonly port?: number;
}

/** CONNACK return code, MQTT 3.1.1 §3.2.2.3. */
const SERVER_UNAVAILABLE = 3;
/** Aedes' own limit on messages in work stalls a backlog at 100. */
const CONCURRENCY = 10_000;
/** Packets that a client may send before its CONNACK. */
const QUEUE_LIMIT = 10_000;

/** Starts the broker on 127.0.0.1. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const published: BrokerCounters = { messages: 0, bytes: 0 };
  const listeners: ((topic: string, payload: Uint8Array) => void)[] = [];
  const sockets = new Set<Socket>();
  const state = { refuse: false };
  const aedes = await Aedes.createBroker({
    concurrency: CONCURRENCY,
    queueLimit: QUEUE_LIMIT,
    authenticate: (_client, _user, _password, done) => {
      if (state.refuse) done(Object.assign(new Error('refused'), { returnCode: SERVER_UNAVAILABLE }), false);
      else done(null, true);
    },
  });
  aedes.on('publish', (packet, client) => {
    // Without a client it is the broker's own news ($SYS).
    if (client === null) return;
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    published.messages++;
    published.bytes += payload.length;
    for (const listener of listeners) listener(packet.topic, payload);
  });
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => sockets.delete(socket));
    aedes.handle(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const dropConnections = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `mqtt://127.0.0.1:${port}`,
    published,
    get clients() {
      return aedes.connectedClients;
    },
    onMessage: (listener) => void listeners.push(listener),
    dropConnections,
    get refuse() {
      return state.refuse;
    },
    set refuse(value) {
      state.refuse = value;
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      dropConnections();
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      await closed;
    },
  };
}

/** A broker behind a bad wire: swallowed or doubled PUBACKs, cuts in the middle of a packet. */
export async function startTappedBroker(): Promise<{ readonly broker: Broker; readonly tap: Tap }> {
  const broker = await startBroker();
  return { broker, tap: await startTap(broker.url) };
}
