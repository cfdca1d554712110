import { connect as connectTcp, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { MqttTls } from '../mqtt.ts';

/** MQTT's registered ports, IANA. */
const PORT = { 'mqtt:': 1883, 'mqtts:': 8883 } as const;

/** The byte stream below one connection. */
export interface Wire {
  /** What MQTT speaks on: the TCP socket, or TLS over it. */
  readonly stream: Duplex;
  /** Bytes on the TCP socket, TLS records and handshake included: what a mobile network counts, but for TCP/IP headers. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Bytes that the kernel has not taken yet. */
  readonly unsentBytes: number;
  /** Ends with RST: what the kernel has not sent is thrown away with it. */
  reset(): void;
}

/**
 * Opens the socket of a connection; errors come on `stream`.
 *
 * TLS stands on a TCP socket of ours, because a TLS socket counts plain bytes and cannot be reset.
 */
export function openWire(url: URL, tls: MqttTls | undefined): Wire {
  const secure = url.protocol === 'mqtts:';
  // URL puts IPv6 addresses into brackets.
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? PORT[secure ? 'mqtts:' : 'mqtt:'] : Number(url.port);
  const socket = connectTcp({ host, port, noDelay: true });
  const stream = secure
    ? connectTls({
        socket,
        host,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        minVersion: 'TLSv1.3',
        ...(tls === undefined ? {} : { ca: pem(tls.ca) }),
        ...(tls?.cert === undefined ? {} : { cert: pem(tls.cert) }),
        ...(tls?.key === undefined ? {} : { key: pem(tls.key) }),
      })
    : socket;
  if (stream !== socket) {
    socket.on('error', (error) => stream.destroy(error));
    stream.on('close', () => socket.destroy());
  }
  return {
    stream,
    get sentBytes() {
      return socket.bytesWritten;
    },
    get receivedBytes() {
      return socket.bytesRead;
    },
    get unsentBytes() {
      return stream.writableLength + (stream === socket ? 0 : socket.writableLength);
    },
    reset: () => {
      socket.resetAndDestroy();
      stream.destroy();
    },
  };
}

function pem(text: string | Uint8Array): string | Buffer {
  return typeof text === 'string' ? text : Buffer.from(text);
}
