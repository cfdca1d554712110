import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HEADER_BYTES, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import type { BenchInput } from './input.ts';

const VENV = fileURLToPath(new URL('../../../.bench/judges/bin/python3', import.meta.url));

const PROGRAM = `
import cantools, json, struct, sys, time
db = cantools.database.load_file(sys.argv[1], strict=False)
data = open(sys.argv[2], 'rb').read()
frames = []
for at in range(0, len(data), 16):
    id, length = struct.unpack_from('<IB', data, at)
    frames.append((id & 0x1fffffff, data[at + 8:at + 8 + length]))
times = []
for _ in range(3):
    start = time.perf_counter()
    for id, payload in frames:
        try:
            db.decode_message(id, payload, decode_choices=False)
        except Exception:
            pass
    times.append(time.perf_counter() - start)
print(len(frames) / min(times))
`;

/** Frames/s of cantools itself (PyPI) on the first frames of the input; a message where it is not installed. */
export function cantoolsRate(dbc: string | undefined, input: BenchInput, most: number): number | string {
  if (dbc === undefined) return 'skipped: needs --dbc';
  const python = [VENV, 'python3'].find(
    (path) => (path !== VENV || existsSync(VENV)) && spawnSync(path, ['-c', 'import cantools']).status === 0,
  );
  if (python === undefined) return 'skipped: cantools is not installed (.ci/steps/20-judges.sh does it)';
  const dir = mkdtempSync(join(tmpdir(), 'decode-cantools-'));
  try {
    writeFileSync(join(dir, 'bench.py'), PROGRAM);
    writeFileSync(join(dir, 'frames.bin'), firstRecords(input, most));
    const { stdout, status, stderr } = spawnSync(python, [join(dir, 'bench.py'), dbc, join(dir, 'frames.bin')], {
      encoding: 'utf8',
    });
    return status === 0 ? Number(stdout) : `failed: ${stderr.trim().split('\n').at(-1)}`;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function firstRecords({ batches }: BenchInput, most: number): Uint8Array {
  const out = new Uint8Array(most * 16);
  let n = 0;
  for (const { bytes, slotBytes, count } of batches) {
    for (let i = 0; i < count && n < most; i++, n++) {
      const slot = i * slotBytes;
      out.set(bytes.subarray(slot + OFFSET_ID, slot + OFFSET_ID + 4), n * 16);
      out[n * 16 + 4] = bytes[slot + OFFSET_LENGTH]!;
      out.set(bytes.subarray(slot + HEADER_BYTES, slot + HEADER_BYTES + 8), n * 16 + 8);
    }
  }
  return out.subarray(0, n * 16);
}
