/** Reading of JSON answers whose shape the command line must not trust. Nothing here throws on a missing member. */

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The member as an object; an absent or different one is an empty object. */
export function recordOf(value: unknown, name: string): Readonly<Record<string, unknown>> {
  const member = isRecord(value) ? value[name] : undefined;
  return isRecord(member) ? member : {};
}

/** The member when it is a text. */
export function textOf(value: unknown, name: string): string | undefined {
  const member = isRecord(value) ? value[name] : undefined;
  return typeof member === 'string' ? member : undefined;
}

/** The member when it is a finite number. */
export function numberOf(value: unknown, name: string): number | undefined {
  const member = isRecord(value) ? value[name] : undefined;
  return typeof member === 'number' && Number.isFinite(member) ? member : undefined;
}

/** The member as a list; an absent or different one is empty. */
export function listOf(value: unknown, name: string): readonly unknown[] {
  const member = isRecord(value) ? value[name] : undefined;
  return Array.isArray(member) ? member : [];
}

/** Whether a change is in force on all replicas: `all replicas`, or who has not confirmed it in time. */
export function appliedText(answer: unknown): string {
  const behind = listOf(answer, 'applied');
  if (behind.length > 0) return `not yet confirmed by ${behind.map(String).join(', ')}`;
  return textOf(answer, 'applied') === 'all' ? 'all replicas' : '-';
}

/** Any member as a word to show: texts, numbers and booleans as they are, `-` for nothing, JSON for the rest. */
export function shown(value: unknown, name: string): string {
  const member = isRecord(value) ? value[name] : undefined;
  if (member === undefined || member === null || member === '') return '-';
  if (typeof member === 'string') return member;
  return JSON.stringify(member);
}
