/** Names of signals and of VSS paths as words that can be compared. */

/** Words of which one excludes the others. */
export const EXCLUSIVE: readonly (readonly string[])[] = [
  ['left', 'right'],
  ['front', 'rear'],
  ['driver', 'passenger'],
  ['longitudinal', 'lateral', 'vertical'],
  ['minimum', 'maximum', 'average'],
  ['inside', 'outside'],
  ['open', 'closed'],
];

/** Short forms in databases, as one finds them in the corpora of opendbc and in J1939. */
const FULL: Readonly<Record<string, string>> = {
  acc: 'acceleration',
  accel: 'acceleration',
  act: 'actual',
  ambient: 'outside',
  amb: 'outside',
  ang: 'angle',
  avg: 'average',
  batt: 'battery',
  bat: 'battery',
  blt: 'belt',
  brk: 'brake',
  chrg: 'charging',
  opened: 'open',
  cur: 'current',
  curr: 'current',
  dr: 'door',
  drv: 'driver',
  eng: 'engine',
  ext: 'outside',
  exterior: 'outside',
  fl: 'front left',
  fr: 'front right',
  frt: 'front',
  rl: 'rear left',
  rr: 'rear right',
  lat: 'lateral',
  lon: 'longitudinal',
  long: 'longitudinal',
  lf: 'front left',
  rf: 'front right',
  lr: 'rear left',
  lh: 'left',
  rh: 'right',
  lvl: 'level',
  max: 'maximum',
  min: 'minimum',
  mot: 'motor',
  odo: 'odometer',
  pass: 'passenger',
  pos: 'position',
  press: 'pressure',
  pres: 'pressure',
  prs: 'pressure',
  psngr: 'passenger',
  row1: 'front',
  row2: 'rear',
  soc: 'state charge',
  soh: 'state health',
  spd: 'speed',
  steer: 'steering',
  str: 'steering',
  sw: 'switch',
  temp: 'temperature',
  tmp: 'temperature',
  torq: 'torque',
  trq: 'torque',
  trans: 'transmission',
  veh: 'vehicle',
  vel: 'speed',
  velocity: 'speed',
  volt: 'voltage',
  whl: 'wheel',
  wheels: 'wheel',
  speeds: 'speed',
  wndw: 'window',
  yawrate: 'yaw',
  gaspedal: 'accelerator pedal',
  throttlepos: 'throttle position',
  speedometer: 'speed',
  odometer: 'traveled distance',
  doors: 'door',
  rotational: 'rotation',
  pedals: 'pedal',
  lights: 'light',
  lamp: 'light',
  lamps: 'light',
};

/** Words that say nothing about what is measured. */
const EMPTY: ReadonlySet<string> = new Set([
  'is',
  'of',
  'the',
  'side',
  'signal',
  'sig',
  'value',
  'val',
  'status',
  'stat',
  'sts',
  'vehicle',
  'data',
  'msg',
  'info',
]);

/** `VehicleSpeedFL` → speed, front, left. */
export function wordsOf(name: string): string[] {
  const parts = name
    .replace(/([a-z])(?=[A-Z])/g, '$1 ')
    .replace(/([A-Z])(?=[A-Z][a-z])/g, '$1 ')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((part) => part !== '');
  return parts.flatMap(full).filter((word) => !EMPTY.has(word));
}

function full(part: string): string[] {
  const expanded = Object.hasOwn(FULL, part) ? FULL[part]! : part;
  return expanded
    .split(' ')
    .flatMap((word) => (word !== part && Object.hasOwn(FULL, word) && FULL[word] !== word ? full(word) : [word]));
}

/** Last segments that need the one before to say what they are: `StateOfCharge.Current`, `Door….IsOpen`. */
export const GENERIC: ReadonlySet<string> = new Set([
  'active',
  'average',
  'current',
  'closed',
  'enabled',
  'engaged',
  'front',
  'left',
  'locked',
  'maximum',
  'minimum',
  'on',
  'open',
  'position',
  'rear',
  'right',
  'signaling',
  'value',
]);

/** What a leaf measures: its last segment, with the one before where that alone says nothing. */
export function ownName(segments: readonly string[]): string {
  const last = segments.at(-1) ?? '';
  return wordsOf(last).every((word) => GENERIC.has(word)) ? segments.slice(-2).join('.') : last;
}

/** Words with their share: 1 for what the leaf measures, `parent` for the segments above. */
export function leafWords(segments: readonly string[], parent: number): ReadonlyMap<string, number> {
  return shared(ownName(segments), segments.slice(0, -1).join('.'), parent);
}

/** Words with their share: 1 for the signal, `message` for what only the message says. */
export function signalWords(signal: string, message: string, share: number): ReadonlyMap<string, number> {
  return shared(signal, message, share);
}

const PLACES: ReadonlySet<string> = new Set(EXCLUSIVE.flat());
/** One wheel of four is not all of them: where a thing is weighs nearly as much as what it is. */
const PLACE_WEIGHT = 0.7;

function shared(own: string, around: string, share: number): ReadonlyMap<string, number> {
  const words = new Map<string, number>();
  for (const word of wordsOf(around)) words.set(word, PLACES.has(word) ? Math.max(share, PLACE_WEIGHT) : share);
  for (const word of wordsOf(own)) words.set(word, 1);
  return words;
}
