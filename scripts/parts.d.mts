export const PARTS: { readonly mosquitto: string; readonly python3: string };
export function find(program: string): string | null;
export function installParts(): void;
