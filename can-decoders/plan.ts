import { type SignalInfo, TollgateError } from '#contracts';
import type { Database, Message, MultiplexRange, Signal } from '#dbc/model';
import { type Field, fieldOf, wordsOf } from './field.ts';
import { type CellLayout, type MessageLayout, type RowLayout, rowSize } from './layout.ts';
import { idWord } from './signals.ts';

/** A signal that is decoded: where its bits are and where its cells go. */
export interface PlanCell {
  readonly field: Field;
  /** Its cells: what lies in each. */
  readonly words: readonly Field[];
  readonly layout: CellLayout;
}

/** A multiplexer that decides over cells of the plan; it is a cell itself only where it has a right of its own. */
export interface PlanSelector {
  readonly field: Field;
  readonly cell: PlanCell | null;
  readonly cases: readonly PlanCase[];
}

/** What is there while the multiplexer's raw value lies in one of the ranges. */
export interface PlanCase {
  readonly ranges: readonly MultiplexRange[];
  readonly group: PlanGroup;
}

/** Cells that are there together. A selector with a cell stands only among the selectors. */
export interface PlanGroup {
  readonly cells: readonly PlanCell[];
  readonly selectors: readonly PlanSelector[];
}

export interface MessagePlan {
  readonly layout: MessageLayout;
  /** Length that the database gives the message, bytes. */
  readonly length: number;
  /** Bytes that a frame must have so that whatever may be active fits. */
  readonly need: number;
  readonly root: PlanGroup;
}

export interface DecodePlan {
  readonly rows: RowLayout;
  readonly messages: readonly MessagePlan[];
}

const LARGEST_BITS = 64;

/**
 * What a decoder does for exactly these signals, messages and cells in the order of the database.
 *
 * @throws {TollgateError} TG_DECODER_SIGNAL where a signal is not in the database, TG_DECODER_DUPLICATE_ID where two
 *   messages of one id are asked for, TG_DECODER_MULTIPLEXER where a multiplexer is missing or depends on itself
 */
export function decodePlan(database: Database, channel: number, signals: readonly SignalInfo[]): DecodePlan {
  const asked = new Map<number, Map<string, SignalInfo>>();
  const names = new Map<number, string>();
  for (const info of signals) {
    const other = names.get(info.id);
    if (other !== undefined && other !== info.message) {
      throw new TollgateError('TG_DECODER_DUPLICATE_ID', `${other} and ${info.message} have the same id`, {
        place: { file: database.file },
      });
    }
    names.set(info.id, info.message);
    const ofMessage = asked.get(info.id) ?? new Map<string, SignalInfo>();
    asked.set(info.id, ofMessage.set(info.signal, info));
  }
  const messages: MessagePlan[] = [];
  const known = new Set<number>();
  for (const message of database.messages) {
    const id = idWord(message);
    const wanted = asked.get(id);
    if (wanted === undefined || names.get(id) !== message.name || known.has(id)) continue;
    known.add(id);
    messages.push(messagePlan(database.file, channel, message, wanted));
  }
  for (const [id, name] of names) {
    if (!known.has(id)) throw unknownSignal(database.file, `the database has no message ${name} with this id`);
  }
  return { rows: { messages: messages.map(({ layout }) => layout) }, messages };
}

function unknownSignal(file: string, text: string, line?: number): TollgateError {
  return new TollgateError('TG_DECODER_SIGNAL', text, { place: { file, line } });
}

function messagePlan(file: string, channel: number, message: Message, wanted: Map<string, SignalInfo>): MessagePlan {
  const byName = new Map(message.signals.map((signal) => [signal.name, signal]));
  for (const name of wanted.keys()) {
    if (!byName.has(name)) throw unknownSignal(file, `${message.name} has no signal ${name}`, message.line);
  }
  const cells = new Map<Signal, PlanCell>();
  let cell = 0;
  for (const signal of byName.values()) {
    const info = wanted.get(signal.name);
    if (info === undefined) continue;
    if (signal.length < 1 || signal.length > LARGEST_BITS || signal.start < 0) {
      throw unknownSignal(file, `${message.name}.${signal.name} has no possible place in a frame`, signal.line);
    }
    const field = fieldOf(signal);
    const words = wordsOf(field);
    const width = words.length as CellLayout['cells'];
    cells.set(signal, { field, words, layout: { signal: info, cell, cells: width, field } });
    cell += width;
  }
  const tree = new Tree(file, message, byName, cells);
  const layout: MessageLayout = {
    name: message.name,
    channel,
    id: idWord(message),
    cells: cell,
    signals: [...cells.values()].map((one) => one.layout),
    ...rowSize(cell),
  };
  return { layout, length: message.length, need: tree.need, root: tree.root };
}

interface Group {
  readonly cells: PlanCell[];
  readonly selectors: {
    field: Field;
    cell: PlanCell | null;
    cases: { key: string; ranges: readonly MultiplexRange[]; group: Group }[];
  }[];
}

/** Sorts the cells of a message into groups by the multiplexer values that they depend on, each multiplexer once. */
class Tree {
  readonly root: Group = { cells: [], selectors: [] };
  need = 0;
  readonly #file: string;
  readonly #message: Message;
  readonly #byName: ReadonlyMap<string, Signal>;
  readonly #cells: ReadonlyMap<Signal, PlanCell>;
  readonly #selectors = new Map<Signal, Group['selectors'][number]>();

  constructor(
    file: string,
    message: Message,
    byName: ReadonlyMap<string, Signal>,
    cells: ReadonlyMap<Signal, PlanCell>,
  ) {
    this.#file = file;
    this.#message = message;
    this.#byName = byName;
    this.#cells = cells;
    const ruling = new Set([...cells.keys()].map(({ multiplexer }) => multiplexer));
    for (const [signal, cell] of cells) {
      this.need = Math.max(this.need, cell.field.last + 1);
      // A multiplexer that rules over other cells is read with them; it is placed when the first of them asks for it.
      if (ruling.has(signal.name)) this.#selector(signal, 0);
      else this.#group(signal, 0).cells.push(cell);
    }
  }

  /** The group in which a signal stands. */
  #group(signal: Signal, depth: number): Group {
    if (signal.multiplexer === null) return this.root;
    if (depth > this.#message.signals.length) {
      throw this.#refuse(signal, `depends on itself through its multiplexer ${signal.multiplexer}`);
    }
    const multiplexer = this.#byName.get(signal.multiplexer);
    if (multiplexer === undefined)
      throw this.#refuse(signal, `has a multiplexer ${signal.multiplexer} that is not there`);
    const { cases } = this.#selector(multiplexer, depth + 1);
    const key = signal.multiplexRanges.map(({ low, high }) => `${low}-${high}`).join();
    const found = cases.find((one) => one.key === key);
    if (found !== undefined) return found.group;
    const group: Group = { cells: [], selectors: [] };
    cases.push({ key, ranges: signal.multiplexRanges, group });
    return group;
  }

  #selector(signal: Signal, depth: number): Group['selectors'][number] {
    const known = this.#selectors.get(signal);
    if (known !== undefined) return known;
    const group = this.#group(signal, depth);
    // The multiplexer's own multiplexer may have placed it meanwhile only if they depend on each other.
    if (this.#selectors.has(signal)) throw this.#refuse(signal, 'depends on itself');
    if (signal.length < 1 || signal.length > LARGEST_BITS || signal.start < 0) {
      throw this.#refuse(signal, 'has no possible place in a frame');
    }
    const selector = { field: fieldOf(signal), cell: this.#cells.get(signal) ?? null, cases: [] };
    this.need = Math.max(this.need, selector.field.last + 1);
    this.#selectors.set(signal, selector);
    group.selectors.push(selector);
    return selector;
  }

  #refuse(signal: Signal, text: string): TollgateError {
    return new TollgateError('TG_DECODER_MULTIPLEXER', `${this.#message.name}.${signal.name} ${text}`, {
      place: { file: this.#file, line: signal.line },
    });
  }
}
