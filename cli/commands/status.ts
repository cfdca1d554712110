import { parseArgs } from 'node:util';
import { loadConfig } from '#agent/config/load';
import type { Health, SourceHealth } from '#agent/health/health';
import { askStatus, type ServiceStatus } from '#agent/status';
import type { Command, Io } from '../command.ts';
import { bold, bytes, count, table } from '../text.ts';
import { transportRows } from '../transports.ts';

export const command: Command = {
  name: 'status',
  summary: 'Shows what the running agent does',
  package: 'unit',
  help: `
Usage: tollgate status [--config FILE] [--json]

Asks the agent that runs with this configuration: frames, messages of J1939 and ISO-TP, values admitted and denied, outbox, ledger,
uplink, meter, memory, and its health: of each source who filters it, what was lost and the state of the bus; time and its error, event
loop, bytes written to flash, watchdog.

  --config FILE   configuration (default: tollgate.yaml)
  --json          everything as one JSON object

Exit code: 0 the agent runs, 1 no agent answers.

Example:
  tollgate status --json | jq .unit.store.queued
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string', default: 'tollgate.yaml' }, json: { type: 'boolean', default: false } },
    });
    const config = await loadConfig(values.config);
    const status = await askStatus(config.unit.state);
    if (status === null) {
      if (values.json) io.out('null\n');
      else io.err('No agent answers on this state folder: start it with `tollgate run`.\n');
      return 1;
    }
    io.out(values.json ? `${JSON.stringify(status)}\n` : statusText(status, io));
    return 0;
  },
};

export function statusText({ unit, uplink, meter, memory, health }: ServiceStatus, io: Io): string {
  const { path, transports, store, denied } = unit;
  const rows = [
    [
      'frames',
      `${count(path.frames + path.skipped)} (${count(path.skipped + path.unknown)} without a decode right, ${count(path.short)} short, ${count(path.malformed)} lines malformed)`,
    ],
    ...transportRows(transports),
    ['values', `${count(path.admitted)} admitted, ${count(path.denied)} denied`],
    ...denied.map((one) => ['  denied by', `${one.rule}: ${count(one.count)}`]),
    [
      'outbox',
      `${count(store.queued)} queued, ${count(store.inflight)} in flight, ${count(store.pubacked)} at the broker, ${bytes(store.bytes)}`,
    ],
    ['acknowledged', `${count(store.acked)} records${store.evicted > 0 ? `, ${count(store.evicted)} evicted` : ''}`],
    [
      'ledger',
      `${count(store.head.size)} leaves, checkpoint at ${count(store.checkpointSize)}, head ${store.head.root}`,
    ],
    [
      'uplink',
      uplink === null
        ? 'none configured'
        : `${uplink.connected ? 'connected' : 'not connected'}${uplink.lastError === null ? '' : `, ${uplink.lastError}`}`,
    ],
    ...suspensionRows(uplink),
    ...(uplink?.traffic ?? []).map((one) => [
      'network',
      `${one.network}: ${bytes(one.sent)} sent, ${bytes(one.received)} received`,
    ]),
    ...meter.map((row) => [
      'meter',
      `${row.recipient}, ${row.purpose}, hour ${hourText(row.hour)}: ${count(row.records)} records, ${count(row.samples)} values, ${bytes(row.bytes)}, ${count(row.denied)} denied`,
    ]),
    ...(health === null ? [] : healthRows(health)),
    ['anchor', 'software-untrusted'],
    ['memory', bytes(memory.rss)],
  ];
  return `${bold('tollgate', io)}\n${table(rows)}`;
}

const MS_PER_S = 1_000;

function healthRows({ sources, time, gnss, loop, flash, watchdog, idle }: Health): string[][] {
  const known = time.errorMs === null ? 'UTC unknown' : `${time.source}, within ${count(time.errorMs)} ms`;
  return [
    ...sources.map((source) => ['source', `${source.name}: ${sourceText(source)}`]),
    [
      'time',
      time.source === 'log' ? 'of the logs' : `${known}${time.steps > 0 ? `, ${count(time.steps)} steps seen` : ''}`,
    ],
    ...(gnss === null
      ? []
      : [
          [
            'gnss',
            gnss.connected ? `${count(gnss.fixes)} fixes in ${count(gnss.reports)} reports` : 'gpsd does not answer',
          ],
        ]),
    ['event loop', `late by at most ${count(loop.maxMs)} ms, 99 of 100 times by ${count(loop.p99Ms)} ms`],
    [
      'flash',
      flash.writtenBytes === null
        ? 'not counted by this kernel'
        : `${bytes(flash.writtenBytes)} written since the start`,
    ],
    [
      'watchdog',
      watchdog.withinMs === null
        ? 'none'
        : `every ${count(watchdog.withinMs / MS_PER_S)} s${watchdog.withheld > 0 ? `, ${count(watchdog.withheld)} pings withheld` : ''}`,
    ],
    ...(idle ? [['ignition', 'off: nothing is written']] : []),
  ];
}

/** What was lost, and where: what is not exact is a lower bound. */
function sourceText({
  health,
  received,
  queueLost = 0,
  overrunsAtLeast = 0,
  shed = 0,
  errorFrames = 0,
  filteredBy,
  filters = 0,
  skipped,
  dropped,
}: SourceHealth): string {
  if (received === undefined) return `${health}${dropped > 0 ? `, ${count(dropped)} lost` : ''}`;
  return [
    health,
    `${count(received)} frames`,
    filteredBy === 'nobody' ? 'not filtered' : `filtered by the ${filteredBy} (${count(filters)} ids and masks)`,
    ...(skipped > 0 ? [`${count(skipped)} thrown away unread`] : []),
    ...(queueLost > 0 ? [`${count(queueLost)} lost in the queue`] : []),
    ...(overrunsAtLeast > 0 ? [`at least ${count(overrunsAtLeast)} lost in the controller`] : []),
    ...(shed > 0 ? [`${count(shed)} shed`] : []),
    ...(errorFrames > 0 ? [`${count(errorFrames)} error frames`] : []),
  ].join(', ');
}

function suspensionRows(uplink: ServiceStatus['uplink']): string[][] {
  if (uplink === null || uplink.suspended === null) return [];
  const { reason, code, size, seen } = uplink.suspended;
  return [['suspended', `${reason} (${code}): ${count(size)} leaves here, ${count(seen)} seen by a recipient`]];
}

const MS_PER_HOUR = 3_600_000;

function hourText(hour: number): string {
  return hour < 0 ? `${-1 - hour} of boottime` : new Date(hour * MS_PER_HOUR).toISOString().slice(0, 13);
}
