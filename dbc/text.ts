import type { Finding } from './model.ts';

export type Encoding = 'utf-8' | 'windows-1252' | 'gb18030';

const REPLACEMENT = '\ufffd';

/**
 * The text of a database. Old tools write the code page of their maker's country and do not say which: UTF-8 where the
 * bytes are UTF-8, GB18030 where every byte beyond ASCII belongs to a pair of GB 2312 and most pairs are common characters,
 * UTF-16 where a byte order mark says so, windows-1252 else.
 */
export function textOf(source: string | Uint8Array, encoding?: Encoding): { text: string; findings: Finding[] } {
  if (typeof source === 'string') return { text: source, findings: [] };
  const text = new TextDecoder(encoding ?? detect(source)).decode(source);
  const at = text.indexOf(REPLACEMENT);
  if (at < 0) return { text, findings: [] };
  const before = text.slice(0, at).split('\n');
  const finding: Finding = {
    severity: 'warning',
    code: 'TG_DBC_ENCODING',
    line: before.length,
    column: before.at(-1)!.length + 1,
    message: `expected ${encoding ?? 'text'}, found bytes or a sign (U+FFFD) that a conversion could not read`,
    fix: 'Name the encoding (utf-8, windows-1252, gb18030), or correct the sign.',
  };
  return { text, findings: [finding] };
}

function detect(bytes: Uint8Array): Encoding | 'utf-16le' | 'utf-16be' {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return 'utf-8';
  } catch {
    return isGb2312(bytes) ? 'gb18030' : 'windows-1252';
  }
}

/**
 * GB 2312 as EUC-CN: pairs of bytes, the common characters under B0 to D7. A lone degree sign of windows-1252 is no pair,
 * and its accented small letters, which may stand in pairs, begin at DF.
 */
function isGb2312(bytes: Uint8Array): boolean {
  let pairs = 0;
  let common = 0;
  for (let i = 0; i < bytes.length; i++) {
    const lead = bytes[i]!;
    if (lead < 0x80) continue;
    const trail = bytes[i + 1] ?? 0;
    if (lead < 0xa1 || lead > 0xf7 || trail < 0xa1 || trail > 0xfe) return false;
    pairs++;
    if (lead >= 0xb0 && lead <= 0xd7) common++;
    i++;
  }
  return common * 2 > pairs;
}
