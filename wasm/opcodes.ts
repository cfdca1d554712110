/**
 * The instructions of WebAssembly 2.0 (core specification, appendix "Index of Instructions") by their text names.
 * Prefixed instructions are written `prefix << 16 | number`: 0xfc saturating conversions and bulk memory, 0xfd SIMD.
 * Of the relaxed SIMD of WebAssembly 3.0 there is the one instruction that the decoder writes with operands for which every
 * platform answers alike; who admits foreign modules refuses it.
 */

/** What follows the opcode in the code section (core specification 5.4). */
export type Immediate =
  | 'none'
  | 'block'
  | 'label'
  | 'labels'
  | 'function'
  | 'indirect'
  | 'types'
  | 'local'
  | 'global'
  | 'table'
  | 'memarg'
  | 'memory'
  | 'memories'
  | 'data'
  | 'data-memory'
  | 'element'
  | 'element-table'
  | 'tables'
  | 'i32'
  | 'i64'
  | 'f32'
  | 'f64'
  | 'reftype'
  | 'v128'
  | 'shuffle'
  | 'lane'
  | 'memarg-lane';

const CONTROL = {
  unreachable: [0x00, 'none'],
  nop: [0x01, 'none'],
  block: [0x02, 'block'],
  loop: [0x03, 'block'],
  if: [0x04, 'block'],
  else: [0x05, 'none'],
  end: [0x0b, 'none'],
  br: [0x0c, 'label'],
  br_if: [0x0d, 'label'],
  br_table: [0x0e, 'labels'],
  return: [0x0f, 'none'],
  call: [0x10, 'function'],
  call_indirect: [0x11, 'indirect'],
  drop: [0x1a, 'none'],
  select: [0x1b, 'none'],
  'select t': [0x1c, 'types'],
  'local.get': [0x20, 'local'],
  'local.set': [0x21, 'local'],
  'local.tee': [0x22, 'local'],
  'global.get': [0x23, 'global'],
  'global.set': [0x24, 'global'],
  'table.get': [0x25, 'table'],
  'table.set': [0x26, 'table'],
  'memory.size': [0x3f, 'memory'],
  'memory.grow': [0x40, 'memory'],
  'i32.const': [0x41, 'i32'],
  'i64.const': [0x42, 'i64'],
  'f32.const': [0x43, 'f32'],
  'f64.const': [0x44, 'f64'],
  'ref.null': [0xd0, 'reftype'],
  'ref.is_null': [0xd1, 'none'],
  'ref.func': [0xd2, 'function'],
} as const;

/** Names of consecutive opcodes that have the same immediate. */
const RUNS = [
  [
    0x28,
    'memarg',
    'i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32',
  ],
  [
    0x45,
    'none',
    'i32.eqz i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u i64.eqz i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u f32.eq f32.ne f32.lt f32.gt f32.le f32.ge f64.eq f64.ne f64.lt f64.gt f64.le f64.ge i32.clz i32.ctz i32.popcnt i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr i64.clz i64.ctz i64.popcnt i64.add i64.sub i64.mul i64.div_s i64.div_u i64.rem_s i64.rem_u i64.and i64.or i64.xor i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64 f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32 i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64 i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s',
  ],
  [
    0xfc_0000,
    'none',
    'i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u i64.trunc_sat_f32_s i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u',
  ],
  [0xfc_0008, 'data-memory', 'memory.init'],
  [0xfc_0009, 'data', 'data.drop'],
  [0xfc_000a, 'memories', 'memory.copy'],
  [0xfc_000b, 'memory', 'memory.fill'],
  [0xfc_000c, 'element-table', 'table.init'],
  [0xfc_000d, 'element', 'elem.drop'],
  [0xfc_000e, 'tables', 'table.copy'],
  [0xfc_000f, 'table', 'table.grow table.size table.fill'],
  [
    0xfd_0000,
    'memarg',
    'v128.load v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u v128.load32x2_s v128.load32x2_u v128.load8_splat v128.load16_splat v128.load32_splat v128.load64_splat v128.store',
  ],
  [0xfd_000c, 'v128', 'v128.const'],
  [0xfd_000d, 'shuffle', 'i8x16.shuffle'],
  [0xfd_000e, 'none', 'i8x16.swizzle i8x16.splat i16x8.splat i32x4.splat i64x2.splat f32x4.splat f64x2.splat'],
  [
    0xfd_0015,
    'lane',
    'i8x16.extract_lane_s i8x16.extract_lane_u i8x16.replace_lane i16x8.extract_lane_s i16x8.extract_lane_u i16x8.replace_lane i32x4.extract_lane i32x4.replace_lane i64x2.extract_lane i64x2.replace_lane f32x4.extract_lane f32x4.replace_lane f64x2.extract_lane f64x2.replace_lane',
  ],
  [
    0xfd_0023,
    'none',
    'i8x16.eq i8x16.ne i8x16.lt_s i8x16.lt_u i8x16.gt_s i8x16.gt_u i8x16.le_s i8x16.le_u i8x16.ge_s i8x16.ge_u i16x8.eq i16x8.ne i16x8.lt_s i16x8.lt_u i16x8.gt_s i16x8.gt_u i16x8.le_s i16x8.le_u i16x8.ge_s i16x8.ge_u i32x4.eq i32x4.ne i32x4.lt_s i32x4.lt_u i32x4.gt_s i32x4.gt_u i32x4.le_s i32x4.le_u i32x4.ge_s i32x4.ge_u f32x4.eq f32x4.ne f32x4.lt f32x4.gt f32x4.le f32x4.ge f64x2.eq f64x2.ne f64x2.lt f64x2.gt f64x2.le f64x2.ge v128.not v128.and v128.andnot v128.or v128.xor v128.bitselect v128.any_true',
  ],
  [
    0xfd_0054,
    'memarg-lane',
    'v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane v128.store8_lane v128.store16_lane v128.store32_lane v128.store64_lane',
  ],
  [0xfd_005c, 'memarg', 'v128.load32_zero v128.load64_zero'],
  [
    0xfd_005e,
    'none',
    'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4 i8x16.abs i8x16.neg i8x16.popcnt i8x16.all_true i8x16.bitmask i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest i8x16.shl i8x16.shr_s i8x16.shr_u i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u f64x2.ceil f64x2.floor i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u f64x2.trunc i8x16.avgr_u i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u i16x8.abs i16x8.neg i16x8.q15mulr_sat_s i16x8.all_true i16x8.bitmask i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u i16x8.shl i16x8.shr_s i16x8.shr_u i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u f64x2.nearest i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u',
  ],
  [
    0xfd_009b,
    'none',
    'i16x8.avgr_u i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u i32x4.abs i32x4.neg',
  ],
  [0xfd_00a3, 'none', 'i32x4.all_true i32x4.bitmask'],
  [
    0xfd_00a7,
    'none',
    'i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u i32x4.shl i32x4.shr_s i32x4.shr_u i32x4.add',
  ],
  [0xfd_00b1, 'none', 'i32x4.sub'],
  [0xfd_00b5, 'none', 'i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s'],
  [
    0xfd_00bc,
    'none',
    'i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u i64x2.abs i64x2.neg',
  ],
  [0xfd_00c3, 'none', 'i64x2.all_true i64x2.bitmask'],
  [
    0xfd_00c7,
    'none',
    'i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u i64x2.shl i64x2.shr_s i64x2.shr_u i64x2.add',
  ],
  [0xfd_00d1, 'none', 'i64x2.sub'],
  [
    0xfd_00d5,
    'none',
    'i64x2.mul i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u f32x4.abs f32x4.neg',
  ],
  [
    0xfd_00e3,
    'none',
    'f32x4.sqrt f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax f64x2.abs f64x2.neg',
  ],
  [
    0xfd_00ef,
    'none',
    'f64x2.sqrt f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u',
  ],
  [0xfd_0100, 'none', 'i8x16.relaxed_swizzle'],
] as const satisfies readonly (readonly [first: number, immediate: Immediate, names: string])[];

type Words<Text extends string, Found = never> = Text extends `${infer Word} ${infer Rest}`
  ? Words<Rest, Found | Word>
  : Found | Text;
type RunsOf<Kind> = Extract<(typeof RUNS)[number], readonly [number, Kind, string]>[2];

/** Instructions without immediate. */
export type PlainOp =
  | Words<RunsOf<'none'>>
  | { [Name in keyof typeof CONTROL]: (typeof CONTROL)[Name][1] extends 'none' ? Name : never }[keyof typeof CONTROL];
/** Loads and stores. */
export type MemoryOp = Words<RunsOf<'memarg'>>;
/** `extract_lane` and `replace_lane`. */
export type LaneOp = Words<RunsOf<'lane'>>;
/** Loads and stores of one lane. */
export type MemoryLaneOp = Words<RunsOf<'memarg-lane'>>;

/** One row of the index of instructions. */
export interface Opcode {
  readonly name: string;
  readonly code: number;
  readonly immediate: Immediate;
}

const rows: Opcode[] = Object.entries(CONTROL).map(([name, [code, immediate]]) => ({ name, code, immediate }));
for (const [first, immediate, names] of RUNS) {
  for (const [i, name] of names.split(' ').entries()) rows.push({ name, code: first + i, immediate });
}

export const OPCODES: readonly Opcode[] = rows;
/** Opcode by its text name. */
export const OPCODE_BY_NAME: ReadonlyMap<string, Opcode> = new Map(rows.map((row) => [row.name, row]));
/** Opcode by its number. */
export const OPCODE_BY_CODE: ReadonlyMap<number, Opcode> = new Map(rows.map((row) => [row.code, row]));
