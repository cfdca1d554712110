/** German names are written by tools on German systems. */
const MONTHS: Readonly<Record<string, number>> = {
  jan: 1,
  feb: 2,
  mar: 3,
  mär: 3,
  apr: 4,
  may: 5,
  mai: 5,
  jun: 6,
  jul: 7,
  aug: 8,
  sep: 9,
  oct: 10,
  okt: 10,
  nov: 11,
  dec: 12,
  dez: 12,
};

const DATE =
  /^\S+\s+(?<month>\S+)\s+(?<day>\d{1,2})\s+(?<hour>\d{1,2}):(?<minute>\d{2}):(?<second>\d{2})(?:\.(?<fraction>\d{1,9}))?(?:\s+(?<half>[ap]m))?\s+(?<year>\d{4})$/iu;

/**
 * A date of an ASC log, such as `Thu Apr 20 10:17:26.123 pm 2017`, as ms since 1970 of its own time zone.
 *
 * @returns null where it is none
 */
export function ascDate(text: string): number | null {
  const parts = DATE.exec(text.trim())?.groups;
  if (parts === undefined) return null;
  const { month, day, hour, minute, second, fraction = '0', half, year } = parts;
  const number = MONTHS[month!.toLowerCase()];
  if (number === undefined || Number(day) < 1 || Number(day) > 31) return null;
  const hours = half === undefined ? Number(hour) : (Number(hour) % 12) + (half.toLowerCase() === 'pm' ? 12 : 0);
  if (hours > 23 || Number(minute) > 59 || Number(second) > 60) return null;
  const ms = Math.floor(Number(`0.${fraction}`) * 1000 + 1e-6);
  const time = Date.UTC(Number(year), number - 1, Number(day), hours, Number(minute), Number(second), ms);
  return time < 0 ? null : time;
}

const NAMES = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** The date of an ASC log, of ms since 1970. */
export function ascDateText(ms: number): string {
  const date = new Date(ms);
  const two = (value: number) => String(value).padStart(2, '0');
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const fraction = String(date.getUTCMilliseconds()).padStart(3, '0');
  return `${DAYS[date.getUTCDay()]} ${NAMES[date.getUTCMonth()]} ${two(date.getUTCDate())} ${clock}.${fraction} ${date.getUTCFullYear()}`;
}
