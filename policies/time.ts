/** Times and durations as documents write them. */

export const MS_PER_DAY = 86_400_000;
/** Longer windows and periods are refused: nothing of this unit lives longer than a day without a record. */
export const MAX_DURATION_MS = MS_PER_DAY;

const DATE_TIME = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d{1,3})?(Z|[+-]\d{2}:\d{2})$/;
const TIME_OF_DAY = /^(\d{2}):(\d{2}):(\d{2})(Z|[+-]\d{2}:\d{2})$/;
const SHORT = /^(\d{1,9})(ms|s|min|h|d)$/;
const ISO = /^P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})(\.\d{1,3})?S)?)?$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: MS_PER_DAY };

/** xsd:dateTime with its zone, as ms since 1970 UTC; null where it is none (30 February included). */
export function parseDateTime(text: string): number | null {
  const match = DATE_TIME.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const zone = zoneMs(match[8]!);
  if (zone === null || hour > 23 || minute > 59 || second > 59) return null;
  const date = Date.UTC(year, month - 1, day);
  const back = new Date(date);
  if (year < 1970 || back.getUTCMonth() !== month - 1 || back.getUTCDate() !== day) return null;
  const ms = Math.round(Number(match[7] ?? 0) * 1000);
  return date + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms - zone;
}

/** xsd:time with its zone: ms from midnight of that zone, and the zone's ms east of UTC. */
export function parseTimeOfDay(text: string): { ms: number; zoneMs: number } | null {
  const match = TIME_OF_DAY.exec(text);
  if (match === null) return null;
  const [hour, minute, second] = match.slice(1, 4).map(Number) as [number, number, number];
  const zone = zoneMs(match[4]!);
  if (zone === null || hour > 23 || minute > 59 || second > 59) return null;
  return { ms: hour * 3_600_000 + minute * 60_000 + second * 1000, zoneMs: zone };
}

function zoneMs(zone: string): number | null {
  if (zone === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4));
  if (hours > 14 || minutes > 59) return null;
  return (zone[0] === '-' ? -1 : 1) * (hours * 3_600_000 + minutes * 60_000);
}

/** `100ms`, `1s`, `5min`, `1h`, `1d` or xsd:duration in days, hours, minutes and seconds (`PT1S`), in ms; else null. */
export function parseDuration(text: string): number | null {
  const short = SHORT.exec(text);
  if (short !== null) return Number(short[1]) * UNIT_MS[short[2]!]!;
  const iso = ISO.exec(text);
  if (iso === null || text.endsWith('P') || text.endsWith('T')) return null;
  if (iso[5] !== undefined && iso[4] === undefined) return null;
  const [days, hours, minutes, seconds] = iso.slice(1, 5).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  const fraction = Math.round(Number(iso[5] ?? 0) * 1000);
  return days * MS_PER_DAY + hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + fraction;
}

/** ms in the shortest exact words: `1 s`, `100 ms`, `5 min`. */
export function durationText(ms: number): string {
  for (const [unit, size] of [
    ['d', MS_PER_DAY],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ] as const) {
    if (ms >= size && ms % size === 0) return `${ms / size} ${unit}`;
  }
  return `${ms} ms`;
}
