import { mappingEntryText } from './mapping-text.ts';
import type { Database, Message, Signal } from './model.ts';
import { matchUnits } from './units.ts';
import type { VssLeaf, VssTree } from './vss.ts';
import { EXCLUSIVE, GENERIC, leafWords, ownName, signalWords, wordsOf } from './words.ts';

/** One line of a mapping that a person may accept. */
export interface Proposal {
  /** `dbc:<Message>.<Signal>` */
  readonly signal: string;
  /** `Vehicle.…` */
  readonly path: string;
  readonly factor: number;
  readonly offset: number;
  /** Unit of the tree; null where the database does not say that the signal has it. */
  readonly unit: string | null;
  /** 0 to 1; how well name and unit agree, no probability. */
  readonly confidence: number;
  /** Why, and what to look at. One line. */
  readonly comment: string;
}

/** Below this share the words of two names agree by chance. */
export const LEAST_CONFIDENCE = 0.5;
/** From here on names and units leave little doubt. */
export const SURE_CONFIDENCE = 0.75;

/** Words of the parents of a leaf say where, not what. */
const PARENT_WEIGHT = 0.35;
/** What the message says about its signals. */
const MESSAGE_WEIGHT = 0.35;
const NAME_SHARE = 0.8;
const UNIT_SHARE = 0.2;
/** A unit on one side only may be the one of the other. */
const HALF_UNIT = 0.4;
/** A signal that loses its path to another takes none that fits much worse: rather no name than a wrong one. */
const SECOND_BEST = 0.1;
/** Two decimals: more would feign a measurement. */
const STEPS = 100;

interface Candidate {
  readonly leaf: VssLeaf;
  readonly words: ReadonlyMap<string, number>;
  /** The last segment: what is measured. */
  readonly own: ReadonlySet<string>;
}

interface Match {
  readonly message: Message;
  readonly signal: Signal;
  readonly leaf: VssLeaf;
  readonly score: number;
  readonly proposal: Proposal;
}

/**
 * Proposes VSS paths for the signals of a database by their names and units. Every signal and every path stands in one
 * proposal at most: a mapping that gives a path twice is refused. The order is that of the database, the same for the same input.
 *
 * Text leaves, attributes (they stand still) and leaves whose unit cannot be reached are not proposed.
 */
export function proposeMapping(database: Database, tree: VssTree): readonly Proposal[] {
  const candidates = [...tree.values()].filter(isNumeric).map((leaf): Candidate => {
    const segments = leaf.path.split('.').slice(1);
    return { leaf, words: leafWords(segments, PARENT_WEIGHT), own: new Set(wordsOf(ownName(segments))) };
  });
  const weight = weights(candidates);
  const byWord = index(candidates);
  const matches: Match[] = [];
  const seen = new Set<string>();
  for (const message of database.messages) {
    // Of two messages of one name the first counts, as in the catalogue.
    if (seen.has(message.name)) continue;
    seen.add(message.name);
    for (const signal of message.signals) matches.push(...matchesOf(message, signal, byWord, weight));
  }
  return assigned(matches, database);
}

function isNumeric({ kind, datatype }: VssLeaf): boolean {
  return kind !== 'attribute' && /^(u?int(8|16|32|64)|float|double|boolean)$/.test(datatype);
}

/** A word that many leaves have says little: ln(1 + leaves / leaves with it). */
function weights(candidates: readonly Candidate[]): (word: string) => number {
  const counts = new Map<string, number>();
  for (const { words } of candidates) for (const word of words.keys()) counts.set(word, (counts.get(word) ?? 0) + 1);
  return (word) => Math.log(1 + candidates.length / (counts.get(word) ?? 1));
}

function index(candidates: readonly Candidate[]): ReadonlyMap<string, readonly Candidate[]> {
  const byWord = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    const telling = [...candidate.own].filter((word) => !GENERIC.has(word));
    for (const word of telling.length > 0 ? telling : candidate.own) {
      const list = byWord.get(word);
      if (list === undefined) byWord.set(word, [candidate]);
      else list.push(candidate);
    }
  }
  return byWord;
}

function matchesOf(
  message: Message,
  signal: Signal,
  byWord: ReadonlyMap<string, readonly Candidate[]>,
  weight: (word: string) => number,
): Match[] {
  const words = signalWords(signal.name, message.name, MESSAGE_WEIGHT);
  // What is measured must be in both names; the message may say it where the signal says only which one (`WheelSpeeds.FrontLeft`).
  const near = new Set([...words.keys()].flatMap((word) => byWord.get(word) ?? []));
  const found: Match[] = [];
  for (const { leaf, words: wanted } of near) {
    const unit = unitOf(signal, leaf);
    if (unit === null || contradicts(words, wanted)) continue;
    const name = agreement(words, wanted, weight);
    const score = NAME_SHARE * name + UNIT_SHARE * unit.score;
    // Without a known unit a person looks first: 100 may be km/h or mph.
    const most = leaf.unit !== null && unit.unit === null ? SURE_CONFIDENCE - 1 / STEPS : 1;
    const confidence = Math.min(Math.floor(score * STEPS) / STEPS, most);
    if (confidence < LEAST_CONFIDENCE) continue;
    const proposal = {
      signal: `dbc:${message.name}.${signal.name}`,
      path: leaf.path,
      factor: unit.factor,
      offset: unit.offset,
      unit: unit.unit,
      confidence,
      comment: unit.comment,
    };
    found.push({ message, signal, leaf, score, proposal });
  }
  const best = Math.max(...found.map(({ score }) => score));
  return found.filter(({ score }) => score >= best - SECOND_BEST);
}

/** Left is not right: a place that the signal names and the leaf names otherwise. */
function contradicts(words: ReadonlyMap<string, number>, wanted: ReadonlyMap<string, number>): boolean {
  return EXCLUSIVE.some((group) => {
    const here = group.filter((word) => words.has(word));
    const there = group.filter((word) => wanted.has(word));
    return here.length === 1 && there.length === 1 && here[0] !== there[0];
  });
}

/** Twice the common weight over the sum of both (Dice 1945), each word as heavy as it is rare. */
function agreement(
  words: ReadonlyMap<string, number>,
  wanted: ReadonlyMap<string, number>,
  weight: (word: string) => number,
): number {
  let [both, all] = [0, 0];
  for (const [word, share] of words) {
    const other = wanted.get(word);
    // A word of the message that the leaf lacks costs nothing: messages hold signals of many kinds.
    if (other === undefined && share < 1) continue;
    all += weight(word) * Math.max(share, other ?? 0);
    if (other !== undefined) both += 2 * weight(word) * Math.max(share, other);
  }
  for (const [word, share] of wanted)
    all += weight(word) * (words.has(word) ? Math.max(share, words.get(word)!) : share);
  return all === 0 ? 0 : both / all;
}

interface UnitFit {
  readonly score: number;
  readonly factor: number;
  readonly offset: number;
  readonly unit: string | null;
  readonly comment: string;
}

/** null: the signal cannot be this leaf. */
function unitOf(signal: Signal, leaf: VssLeaf): UnitFit | null {
  const from = signal.unit.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ').trim();
  const plain = { factor: 1, offset: 0 };
  if (leaf.datatype === 'boolean') {
    if (from !== '' || signal.length > 2) return null;
    const comment =
      signal.length === 1 ? 'one bit for true and false' : 'two bits for true and false: look at the other values';
    return { ...plain, score: signal.length === 1 ? 1 : HALF_UNIT, unit: null, comment };
  }
  if (signal.length === 1) return null;
  if (leaf.unit === null) {
    if (from !== '') return null;
    return { ...plain, score: HALF_UNIT, unit: null, comment: 'neither has a unit: look at the values' };
  }
  if (from === '') {
    return { ...plain, score: 0, unit: null, comment: `the database names no unit, the tree wants ${leaf.unit}` };
  }
  const match = matchUnits(from, leaf.unit);
  switch (match.kind) {
    case 'same':
      return { ...plain, score: 1, unit: leaf.unit, comment: `${from} as in the tree` };
    case 'convertible': {
      const { factor, offset } = match;
      return { score: 0.9, factor, offset, unit: leaf.unit, comment: `${from} becomes ${leaf.unit}` };
    }
    case 'unknown':
      return { ...plain, score: 0, unit: null, comment: `"${from}" is not known here, the tree wants ${leaf.unit}` };
    case 'different':
      return null;
  }
}

/** Best first; each signal and each path once. What lost its path to another is told there. */
function assigned(matches: readonly Match[], database: Database): readonly Proposal[] {
  const order = new Map(database.messages.flatMap(({ signals }) => signals).map((signal, i) => [signal, i]));
  const place = ({ signal }: Match) => order.get(signal)!;
  const sorted = [...matches].sort(
    (a, b) => b.score - a.score || place(a) - place(b) || (a.leaf.path < b.leaf.path ? -1 : 1),
  );
  const bySignal = new Map<Signal, Match>();
  const byPath = new Map<string, Match>();
  const others = new Map<string, string[]>();
  for (const match of sorted) {
    const holder = byPath.get(match.leaf.path);
    if (holder !== undefined && !bySignal.has(match.signal)) {
      const list = others.get(match.leaf.path) ?? [];
      others.set(match.leaf.path, [...list, match.proposal.signal]);
    }
    if (holder !== undefined || bySignal.has(match.signal)) continue;
    byPath.set(match.leaf.path, match);
    bySignal.set(match.signal, match);
  }
  return [...bySignal.values()]
    .sort((a, b) => place(a) - place(b))
    .map(({ proposal }) => ({ ...proposal, comment: proposal.comment + othersText(others.get(proposal.path) ?? []) }));
}

const MOST_OTHERS = 3;

function othersText(others: readonly string[]): string {
  if (others.length === 0) return '';
  const more = others.length > MOST_OTHERS ? ` and ${others.length - MOST_OTHERS} more` : '';
  return `; or is it ${others.slice(0, MOST_OTHERS).join(', ')}${more}?`;
}

/**
 * Proposals as `mapping.yaml`: an entry a line below its confidence and reason. Entries below `sure` stand behind a `#`, so
 * that only a person brings them into force.
 */
export function proposalText(
  proposals: readonly Proposal[],
  { database, tree, sure = SURE_CONFIDENCE }: { database: string; tree: string; sure?: number },
): string {
  const head = [
    `# Proposed for ${oneLine(database)} by name and unit against ${oneLine(tree)}. Read each line before you use it:`,
    `# entries below a confidence of ${sure.toFixed(2)} stand behind a #.`,
  ];
  const lines = proposals.flatMap(({ confidence, comment, ...entry }) => [
    `# ${confidence.toFixed(2)}: ${oneLine(comment)}`,
    `${confidence < sure ? '# ' : ''}- ${mappingEntryText(entry)}`,
  ]);
  return `${[...head, ...lines].join('\n')}\n`;
}

function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
}
