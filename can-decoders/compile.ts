import { CAN_EFF_FLAG, CAN_EFF_MASK, FD_SLOT_BYTES, type SignalInfo } from '#contracts';
import type { Database } from '#dbc/model';
import { SLACK_BYTES } from './decoder.ts';
import type { DecoderForm } from './emit/memory.ts';
import { emitModule } from './emit/module.ts';
import { decodePlan } from './plan.ts';
import { idWord, signalInfos } from './signals.ts';

export interface CompileOptions {
  /** What is decoded; nothing else is in the module. Default: all signals. */
  readonly signals?: readonly SignalInfo[];
  /** Default: scalar, the strict form. */
  readonly form?: DecoderForm;
  /** Frames of one call. Default: 1024. */
  readonly maxFrames?: number;
}

/** A module for use elsewhere, and all that one must know to call it. */
export interface CompiledDatabase {
  readonly module: Uint8Array;
  readonly manifest: CompiledManifest;
}

/**
 * How the module is called: slots (see `contracts/frames.ts`) go to `memory.input`; the export `decode(count, slotBytes, memory.rows,
 * memory.input)` returns the end of the rows, which begin at `memory.rows` (see `layout.ts`) and need room for `count` rows of
 * `largestRowBytes` and `slackBytes`: grow the exported `memory` first. At address 0 stand the counts of that call, u32: frames of
 * unknown ids, remote and error frames, short frames. The input is zero afterwards.
 */
export interface CompiledManifest {
  /** Version of this form. */
  readonly version: 2;
  readonly database: string;
  readonly form: DecoderForm;
  readonly maxFrames: number;
  /** Largest slot that the input area holds `maxFrames` of. */
  readonly slotBytes: number;
  readonly memory: { readonly input: number; readonly rows: number };
  readonly largestRowBytes: number;
  readonly slackBytes: number;
  readonly messages: readonly CompiledMessage[];
}

/** In the order of the index in a row's header. */
export interface CompiledMessage {
  readonly name: string;
  /** Without flag bits. */
  readonly id: number;
  readonly extended: boolean;
  readonly length: number;
  readonly rowBytes: number;
  /** Offset of the first cell from the row, bytes. */
  readonly firstCell: number;
  readonly signals: readonly CompiledSignal[];
}

export interface CompiledSignal {
  readonly name: string;
  /** First cell and how many; where its bits start in them, and how many. */
  readonly cell: number;
  readonly cells: number;
  readonly shift: number;
  readonly bits: number;
  readonly type: SignalInfo['type'];
  readonly signed: boolean;
  /** Physical value = raw · factor + offset, in doubles. */
  readonly factor: number;
  readonly offset: number;
  readonly unit: string;
  /** Text by raw value, in decimal. */
  readonly labels?: Readonly<Record<string, string>>;
}

const DEFAULT_MAX_FRAMES = 1024;

/**
 * The decoder of a database as a WebAssembly module that stands on its own: no import, one memory, no code but the decoding.
 *
 * @throws {TollgateError} TG_DECODER_… as `createDecoder`
 */
export function compileDatabase(database: Database, options: CompileOptions = {}): CompiledDatabase {
  const { signals = signalInfos(database), form = 'scalar', maxFrames = DEFAULT_MAX_FRAMES } = options;
  const plan = decodePlan(database, 0, signals);
  const { bytes, map } = emitModule(plan, { maxFrames, channel: null, form });
  const messages = plan.rows.messages.map(({ name, id, rowBytes, firstCell, signals: list }): CompiledMessage => {
    const message = database.messages.findLast((one) => one.name === name && idWord(one) === id)!;
    const labels = new Map(message.signals.map((signal) => [signal.name, signal.labels]));
    return {
      name,
      id: id & CAN_EFF_MASK,
      extended: (id & CAN_EFF_FLAG) !== 0,
      length: message.length,
      rowBytes,
      firstCell,
      signals: list.map(({ signal: { signal, f, o, unit }, cell, cells, field: { shift, bits, kind, signed } }) => ({
        name: signal,
        cell,
        cells,
        shift,
        bits,
        type: kind,
        signed,
        factor: f,
        offset: o,
        unit,
        ...labelsOf(labels.get(signal) ?? []),
      })),
    };
  });
  const manifest: CompiledManifest = {
    version: 2,
    database: database.file,
    form,
    maxFrames,
    slotBytes: FD_SLOT_BYTES,
    memory: { input: map.input, rows: map.rows },
    largestRowBytes: Math.max(0, ...messages.map(({ rowBytes }) => rowBytes)),
    slackBytes: SLACK_BYTES,
    messages,
  };
  return { module: bytes, manifest };
}

function labelsOf(labels: readonly { readonly value: bigint; readonly text: string }[]): {
  readonly labels?: Readonly<Record<string, string>>;
} {
  if (labels.length === 0) return {};
  // Of two texts for one value the first counts, as everywhere.
  return { labels: Object.fromEntries(labels.toReversed().map(({ value, text }) => [String(value), text])) };
}
