/** Names the headers that a node's answer has besides its own, as a JSON object: for tests of what leaves the gateway. */
export const ECHO_HEADER = 'x-echo-response-headers';

/** @param asked the value of ECHO_HEADER. @returns nothing where it is absent or no object */
export function echoedHeaders(asked: string | undefined): Readonly<Record<string, string>> {
  if (asked === undefined) return {};
  try {
    const wanted: unknown = JSON.parse(asked);
    if (typeof wanted !== 'object' || wanted === null) return {};
    return Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name.toLowerCase(), String(value)]));
  } catch {
    return {};
  }
}
