import { connect as connectTcp, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { TollgateError } from '#contracts';
import type { MqttTls } from '../mqtt.ts';
import { isWrong, judgeBroker, type TimeBounds } from './judge.ts';

/** MQTT's registered ports, IANA. */
const PORT = { 'mqtt:': 1883, 'mqtts:': 8883 } as const;

/** The byte stream below one connection. */
export interface Wire {
  /** What MQTT speaks on: the TCP socket, or TLS over it. */
  readonly stream: Duplex;
  /** Nothing may be written before it resolves; null where OpenSSL judges the broker by itself. */
  readonly judged: Promise<void> | null;
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
  const bounds = tls?.time?.() ?? null;
  const judges = bounds !== null && isWrong(Date.now(), bounds);
  const socket = connectTcp({ host, port, noDelay: true });
  const stream = secure
    ? connectTls({
        socket,
        host,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        minVersion: 'TLSv1.3',
        // Where it is off, chain and name are judged below, before a byte of ours goes. Said either way: Node's own default is
        // whatever NODE_TLS_REJECT_UNAUTHORIZED in the environment says.
        rejectUnauthorized: !judges,
        ...(tls === undefined ? {} : { ca: pem(tls.ca) }),
        ...(tls?.cert === undefined ? {} : { cert: pem(tls.cert) }),
        ...(tls?.key === undefined ? {} : { key: pem(tls.key) }),
      })
    : socket;
  if (stream !== socket) {
    socket.on('error', (error) => stream.destroy(error));
    stream.on('close', () => socket.destroy());
  }
  const judged = judges && stream !== socket ? judge(stream as TLSSocket, tls!, host, bounds) : null;
  return {
    stream,
    judged,
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

async function judge(stream: TLSSocket, tls: MqttTls, host: string, bounds: TimeBounds): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.once('secureConnect', resolve);
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('closed')));
  });
  const certificate = stream.getPeerX509Certificate();
  const fault =
    certificate === undefined
      ? 'the broker showed no certificate'
      : judgeBroker(certificate, Buffer.from(tls.ca).toString('latin1'), host, isIP(host) !== 0, bounds);
  if (fault === null) return;
  stream.destroy();
  throw new TollgateError('TG_BROKER_TLS', `${fault}, and the clock of this host is wrong`);
}

function pem(text: string | Uint8Array): string | Buffer {
  return typeof text === 'string' ? text : Buffer.from(text);
}
