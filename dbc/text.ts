export type Encoding = 'utf-8' | 'windows-1252' | 'gb18030';

/**
 * The text of a database. Old tools write the code page of their maker's country and do not say which: UTF-8 where the
 * bytes are UTF-8, GB18030 where every byte beyond ASCII is half of a GB 2312 pair, windows-1252 else.
 */
export function textOf(source: string | Uint8Array, encoding?: Encoding): string {
  if (typeof source === 'string') return source;
  return new TextDecoder(encoding ?? detect(source)).decode(source);
}

function detect(bytes: Uint8Array): Encoding {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return 'utf-8';
  } catch {
    return isGb2312(bytes) ? 'gb18030' : 'windows-1252';
  }
}

/** Pairs of bytes from A1 to FE, GB 2312 as EUC-CN. A lone degree sign of windows-1252 is no pair. */
function isGb2312(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i]! < 0x80) continue;
    const pair = bytes[i]! >= 0xa1 && bytes[i]! <= 0xf7 && (bytes[i + 1] ?? 0) >= 0xa1 && (bytes[i + 1] ?? 0) <= 0xfe;
    if (!pair) return false;
    i++;
  }
  return true;
}
