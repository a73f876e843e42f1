import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort } from '../test/support/free-port.ts';
import { startGateway } from '../test/support/launcher.ts';
import { toolPath } from '../test/support/tools.ts';
import { until } from '../test/support/wait.ts';
import { printJson, printTable } from './rig/harness.ts';

/**
 * The conformance of the TLS listener to HTTP/2, beside that of the same Envoy without any of our settings: h2spec
 * (github.com/summerwind/h2spec) runs its groups `generic` and `http2` against both. Exit code 1 when a case fails here
 * that does not fail there. Needs an h2spec binary: `--binary`, by default the one on the PATH.
 */
const { values: options } = parseArgs({
  options: {
    binary: { type: 'string', default: 'h2spec' },
    json: { type: 'boolean', default: false },
  },
});

const START_DEADLINE_MS = 30_000;
const GROUPS = ['generic', 'http2'];

interface Verdict {
  readonly total: number;
  /** Names of the cases that failed. */
  readonly failed: readonly string[];
}

/** Envoy as it comes: a TLS listener with a direct answer, and nothing set that need not be. */
const stockBootstrap = (port: number, certificate: string, key: string): unknown => ({
  static_resources: {
    listeners: [
      {
        address: { socket_address: { address: '127.0.0.1', port_value: port } },
        filter_chains: [
          {
            filters: [
              {
                name: 'envoy.filters.network.http_connection_manager',
                typed_config: {
                  '@type':
                    'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                  stat_prefix: 'stock',
                  route_config: {
                    virtual_hosts: [
                      {
                        name: 'all',
                        domains: ['*'],
                        routes: [
                          { match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: '{}' } } },
                        ],
                      },
                    ],
                  },
                  http_filters: [
                    {
                      name: 'envoy.filters.http.router',
                      typed_config: {
                        '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
                      },
                    },
                  ],
                },
              },
            ],
            transport_socket: {
              name: 'envoy.transport_sockets.tls',
              typed_config: {
                '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
                common_tls_context: {
                  alpn_protocols: ['h2', 'http/1.1'],
                  tls_certificates: [{ certificate_chain: { filename: certificate }, private_key: { filename: key } }],
                },
              },
            },
          },
        ],
      },
    ],
  },
});

/** Runs the groups against a TLS port. @throws Error when h2spec cannot be run or says nothing */
async function conformance(port: number, reportFile: string): Promise<Verdict> {
  const args = ['--tls', '--insecure', '--host', '127.0.0.1', '--port', String(port), '--path', '/health'];
  await finished(options.binary, [...GROUPS, ...args, '--junit-report', reportFile]);
  const report = await readFile(reportFile, 'utf8');
  const cases = [...report.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g)];
  const failed = cases.filter(([, , , body]) => /<(failure|error)/.test(body ?? ''));
  return { total: cases.length, failed: failed.map(([, group, name]) => `${group}: ${name}`).sort() };
}

/** Its exit code says whether a case failed, which the report says better. */
function finished(file: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    child.once('error', (error) => reject(new Error(`${file} cannot be run: ${error.message}`)));
    child.once('exit', () => resolve());
  });
}

async function ofStock(folder: string, tlsFolder: string): Promise<Verdict> {
  const port = await freePort();
  const file = join(folder, 'stock.json');
  await writeFile(
    file,
    JSON.stringify(stockBootstrap(port, join(tlsFolder, 'server.pem'), join(tlsFolder, 'server.key'))),
  );
  const envoy = spawn(toolPath('envoy'), ['-c', file, '--use-dynamic-base-id', '--log-level', 'error'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    await until(() => answersTls(port), { deadlineMs: START_DEADLINE_MS, what: 'stock Envoy to answer' });
    return await conformance(port, join(folder, 'stock.xml'));
  } finally {
    envoy.kill('SIGKILL');
  }
}

function answersTls(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

const folder = await mkdtemp(join(tmpdir(), 'gateway-h2spec-'));
try {
  await using gateway = await startGateway();
  const ours = await conformance(Number(new URL((await gateway.run()).https).port), join(folder, 'ours.xml'));
  const stock = await ofStock(folder, join(gateway.dataFolder, 'tls'));
  const onlyOurs = ours.failed.filter((name) => !stock.failed.includes(name));
  printTable([
    ['h2spec generic, http2', 'cases', 'failed'],
    ['our TLS listener', String(ours.total), String(ours.failed.length)],
    ['the same Envoy as it comes', String(stock.total), String(stock.failed.length)],
  ]);
  for (const name of ours.failed)
    process.stdout.write(`fails ${onlyOurs.includes(name) ? 'HERE ALONE' : 'on both'}: ${name}\n`);
  for (const name of stock.failed.filter((each) => !ours.failed.includes(each))) {
    process.stdout.write(`fails on stock Envoy alone: ${name}\n`);
  }
  printJson({ cases: ours.total, failed: ours.failed, stock_failed: stock.failed, only_ours: onlyOurs });
  if (onlyOurs.length > 0 || ours.total === 0) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
