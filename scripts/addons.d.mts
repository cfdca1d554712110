export function buildAddon(arch: string): string | null;
