import { nativeAddon } from './native.ts';

/** Longest datagram that is sent, characters: the addon takes 512 bytes, and a status line is one line of a screen. */
const MOST_TEXT = 500;
const US_PER_MS = 1_000;

/** What a service manager puts into the environment of a service, sd_notify(3), sd_watchdog_enabled(3). */
export interface ServiceManagerEnvironment {
  /** NOTIFY_SOCKET: an absolute path, or `@` and the name of an abstract socket. */
  readonly socket: string | undefined;
  /** WATCHDOG_USEC. */
  readonly watchdogUsec?: string | undefined;
  /** WATCHDOG_PID: the watchdog is another process's where this is not ours. */
  readonly watchdogPid?: string | undefined;
  readonly pid: number;
}

/** Says to the service manager how the service is. No call throws: a manager that does not listen changes nothing here. */
export interface ServiceManager {
  /** Somebody listens. */
  readonly listens: boolean;
  /** The manager kills the service when it was not pinged for so long, ms; null where it does not watch. */
  readonly watchdogMs: number | null;
  /** Datagrams that could not be sent. */
  readonly failed: number;
  /** The start is complete: the watchdog counts from here. */
  ready(): void;
  /** One line for a person (`systemctl status`); counts and codes only. */
  status(line: string): void;
  ping(): void;
  stopping(): void;
}

/** @param send one datagram to a Unix socket; throws where it cannot */
export function serviceManager(
  { socket, watchdogUsec, watchdogPid, pid }: ServiceManagerEnvironment,
  send: (path: string, text: string) => void = (path, text) => nativeAddon().datagram(path, text),
): ServiceManager {
  const path = socket !== undefined && /^[/@]./.test(socket) ? socket : null;
  const watched = path !== null && (watchdogPid === undefined || watchdogPid === String(pid));
  const usec = watched && /^\d{1,15}$/.test(watchdogUsec ?? '') ? Number(watchdogUsec) : 0;
  let failed = 0;
  const say = (text: string): void => {
    if (path === null) return;
    try {
      send(path, text);
    } catch {
      failed++;
    }
  };
  return {
    listens: path !== null,
    watchdogMs: usec > 0 ? usec / US_PER_MS : null,
    get failed() {
      return failed;
    },
    ready: () => say('READY=1'),
    // A line break would begin another assignment.
    status: (line) => say(`STATUS=${line.replace(/[^\x20-\x7e]+/g, ' ')}`.slice(0, MOST_TEXT)),
    ping: () => say('WATCHDOG=1'),
    stopping: () => say('STOPPING=1'),
  };
}
