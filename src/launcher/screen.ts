import { relative } from 'node:path';
import { addressesOf, type Layout } from './layout.ts';
import type { RunFile } from './run-file.ts';

/** What is printed once requests are served: what runs where and what to try. The ready line stands alone. */
export function readyScreen(layout: Layout, run: RunFile, elapsedMs: number): string {
  const { http, https } = addressesOf(layout);
  const short = (path: string) => {
    const fromHere = relative(process.cwd(), path);
    return fromHere.startsWith('..') ? path : fromHere;
  };
  const rows: readonly (readonly [string, string])[] = [
    ['HTTP, gRPC', http],
    ['TLS', `${https}  (CA: ${short(run.ca)})`],
    ['authz', `${run.authz.http}/metrics`],
    ['xds', `${run.xds.http}/metrics  (ADS: ${run.xds.grpc})`],
    ['Envoy admin', run.envoyAdmin],
    ['NATS', run.nats],
    ['data', `${short(layout.data.root)}  (logs/, mail/, run.json; delete it to start over)`],
  ];
  return [
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(12)} ${value}`),
    '',
    'Sign up, sign in, query:',
    ...curlLines(http),
    '',
    'The query is refused (403) until somebody gives the user a role in the tenant:',
    'npx gatewayctl admin bootstrap --email admin@example.org',
    'npx gatewayctl assignments create --user ada@example.org --tenant acme --role tenant-member',
    '',
    `Ready after ${(elapsedMs / 1_000).toFixed(1)} s. Ctrl-C stops everything.`,
    '',
    `gateway ready ${http}`,
  ].join('\n');
}

/** Three lines to copy, in this order. */
export function curlLines(http: string): readonly string[] {
  const json = "-H 'content-type: application/json'";
  const account = `-d '{"email":"ada@example.org","password":"correct horse battery"}'`;
  const token = `sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'`;
  return [
    `curl -sS ${http}/v1/auth/signup ${json} ${account}`,
    `TOKEN=$(curl -sS ${http}/v1/auth/signin ${json} ${account} | ${token})`,
    `curl -sS ${http}/v1/query/orders ${json} -H "authorization: Bearer $TOKEN" -H 'x-tenant-id: acme' -d '{}'`,
  ];
}
