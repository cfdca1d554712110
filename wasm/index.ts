/** WebAssembly as bytes: a writer for what the agent emits, a reader that shows what is in a module. */
export { ByteReader, ByteWriter } from './bytes.ts';
export { CodeWriter, type Local, type ValueType } from './code.ts';
export { WasmError } from './error.ts';
export {
  type Immediate,
  type LaneOp,
  type MemoryLaneOp,
  type MemoryOp,
  OPCODES,
  type Opcode,
  type PlainOp,
} from './opcodes.ts';
export {
  type Export,
  type FunctionBody,
  type Instruction,
  type ModuleContent,
  readModule,
  type Section,
  type SectionName,
} from './reader.ts';
export { type FunctionSpec, ModuleWriter, PAGE_BYTES } from './writer.ts';
