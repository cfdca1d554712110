import { ByteWriter } from './bytes.ts';
import { WasmError } from './error.ts';
import { type LaneOp, type MemoryLaneOp, type MemoryOp, OPCODE_BY_NAME, type PlainOp } from './opcodes.ts';

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/** Core specification 5.3.1 and 5.3.2. */
export const VALUE_TYPES: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
};
const EMPTY_BLOCK = 0x40;
const VECTOR_BYTES = 16;

/** Number of a local, parameters first. */
export type Local = number & { readonly local?: never };

/** The body of one function; instructions are written as they are called, in the order of the text format's folding. */
export class CodeWriter {
  readonly bytes = new ByteWriter();
  readonly #locals: ValueType[] = [];
  readonly #parameters: number;
  #depth = 0;

  constructor(parameters: number) {
    this.#parameters = parameters;
  }

  get locals(): readonly ValueType[] {
    return this.#locals;
  }

  /** Blocks that are open; 0 is the body of the function itself. */
  get depth(): number {
    return this.#depth;
  }

  /** A new local variable, 0 at first. */
  local(type: ValueType): Local {
    this.#locals.push(type);
    return this.#parameters + this.#locals.length - 1;
  }

  op(name: PlainOp): void {
    this.#opcode(name);
  }

  get(local: Local): void {
    this.bytes.byte(0x20);
    this.bytes.u32(local);
  }

  set(local: Local): void {
    this.bytes.byte(0x21);
    this.bytes.u32(local);
  }

  tee(local: Local): void {
    this.bytes.byte(0x22);
    this.bytes.u32(local);
  }

  i32(value: number): void {
    this.bytes.byte(0x41);
    this.bytes.s32(value);
  }

  /** Numbers of 32 bits are written without a detour over BigInt. */
  i64(value: bigint | number): void {
    this.bytes.byte(0x42);
    if (typeof value === 'bigint') this.bytes.s64(value);
    else if ((value | 0) === value) this.bytes.s32(value);
    else this.bytes.s64(BigInt(value));
  }

  f64(value: number): void {
    this.bytes.byte(0x44);
    this.bytes.f64(value);
  }

  v128(value: ArrayLike<number>): void {
    if (value.length !== VECTOR_BYTES) throw new WasmError(`a vector has ${VECTOR_BYTES} bytes, not ${value.length}`);
    this.#opcode('v128.const');
    this.bytes.raw(value);
  }

  shuffle(lanes: ArrayLike<number>): void {
    if (lanes.length !== VECTOR_BYTES) throw new WasmError(`a shuffle has ${VECTOR_BYTES} lanes, not ${lanes.length}`);
    this.#opcode('i8x16.shuffle');
    this.bytes.raw(lanes);
  }

  lane(name: LaneOp, lane: number): void {
    this.#opcode(name);
    this.bytes.byte(lane);
  }

  /** A load or store at address + `offset`; alignment is a hint, and 1 is always true. */
  memory(name: MemoryOp, offset: number): void {
    this.#opcode(name);
    this.bytes.byte(0);
    this.bytes.u32(offset);
  }

  memoryLane(name: MemoryLaneOp, offset: number, lane: number): void {
    this.memory(name as string as MemoryOp, offset);
    this.bytes.byte(lane);
  }

  memoryFill(): void {
    this.#opcode('memory.fill');
    this.bytes.byte(0);
  }

  call(functionIndex: number): void {
    this.bytes.byte(0x10);
    this.bytes.u32(functionIndex);
  }

  block(): void {
    this.#open(0x02);
  }

  loop(): void {
    this.#open(0x03);
  }

  if(): void {
    this.#open(0x04);
  }

  else(): void {
    this.bytes.byte(0x05);
  }

  end(): void {
    if (this.#depth === 0) throw new WasmError('there is no open block to end');
    this.#depth--;
    this.bytes.byte(0x0b);
  }

  /** @param label 0 is the innermost open block */
  br(label: number): void {
    this.bytes.byte(0x0c);
    this.bytes.u32(label);
  }

  brIf(label: number): void {
    this.bytes.byte(0x0d);
    this.bytes.u32(label);
  }

  brTable(labels: readonly number[], otherwise: number): void {
    this.bytes.byte(0x0e);
    this.bytes.u32(labels.length);
    for (const label of labels) this.bytes.u32(label);
    this.bytes.u32(otherwise);
  }

  #open(opcode: number): void {
    this.#depth++;
    this.bytes.byte(opcode);
    this.bytes.byte(EMPTY_BLOCK);
  }

  #opcode(name: string): void {
    const opcode = OPCODE_BY_NAME.get(name);
    if (opcode === undefined) throw new WasmError(`there is no instruction "${name}"`);
    const prefix = opcode.code >>> 16;
    if (prefix === 0) {
      this.bytes.byte(opcode.code);
    } else {
      this.bytes.byte(prefix);
      this.bytes.u32(opcode.code & 0xffff);
    }
  }
}
