export const PARTS: { readonly mosquitto: string; readonly python3: string; readonly initdb: string };
export function find(program: string): string | null;
export function installParts(): void;
