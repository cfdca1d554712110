import { connect, createServer, type Socket } from 'node:net';

/** A wire that breaks after a number of bytes, wherever in a packet that is. */
export interface ByteCutter {
  readonly url: string;
  /** Cuts so far. */
  readonly cuts: number;
  /** Bytes towards the broker after which a connection breaks, asked for each; null: it holds. */
  bytesLeft: () => number | null;
  close(): Promise<void>;
}

export async function startByteCutter(target: string): Promise<ByteCutter> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  let cuts = 0;
  const server = createServer((client) => {
    open.add(client);
    client.on('close', () => open.delete(client));
    const broker = connect({ host: hostname, port: Number(port) });
    for (const socket of [client, broker]) socket.setNoDelay(true);
    const end = () => {
      client.destroy();
      broker.destroy();
    };
    for (const socket of [client, broker]) socket.on('error', end).on('close', end);
    let left = cutter.bytesLeft();
    client.on('data', (bytes) => {
      if (left !== null && bytes.length >= left) {
        cuts++;
        // What came before still arrives.
        broker.end(bytes.subarray(0, left), () => end());
        client.destroy();
        left = Number.POSITIVE_INFINITY;
        return;
      }
      if (left !== null) left -= bytes.length;
      if (!broker.destroyed && broker.writable) broker.write(bytes);
    });
    broker.on('data', (bytes) => void (client.destroyed || client.write(bytes)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: own } = server.address() as { port: number };
  const cutter: ByteCutter = {
    url: `mqtt://127.0.0.1:${own}`,
    get cuts() {
      return cuts;
    },
    bytesLeft: () => null,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
  return cutter;
}
