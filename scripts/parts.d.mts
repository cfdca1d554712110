export const PARTS: { readonly mosquitto: string; readonly python3: string; readonly initdb: string; readonly gpsd: string; readonly gpsfake: string };
export function find(program: string): string | null;
export function installParts(): void;
