import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ServiceKind } from '#domain/ids.ts';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { makeAuthority, makeServerCertificate } from '../../../../src/launcher/data/make-certificates.ts';
import { type AdsServer, startAdsServer } from '../../../../xds/ads/server.ts';
import { ControlPlane } from '../../../../xds/control-plane.ts';
import { clientStatusService } from '../../../../xds/csds/client-status-service.ts';
import { createEncoder, createMessageEncoder } from '../../../../xds/encode.ts';
import { edgeListeners, edgeRoutes, edgeSecret, TRANSLATORS } from '../../../../xds/resources.ts';
import { createRouteStamper } from '../../../../xds/route-stamper.ts';
import { startAggregateNode } from '../../../nodes/aggregate/aggregate-node.ts';
import { startProjectionNode } from '../../../nodes/http/projection-node.ts';
import { startRunnerNode } from '../../../nodes/http/runner-node.ts';
import { freePort } from '../../../support/free-port.ts';
import { silentLog } from '../../../support/nats.ts';
import { snapshotOf } from '../../../support/routing.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { until } from '../../../support/wait.ts';
import { type RunningEnvoy, startEnvoy } from './envoy.ts';
import { type Check, registry, type StubAuthz, startStubAuthz, type Verdict } from './stub-authz.ts';

export const DESCRIPTORS = readFileSync(new URL('../../../../proto/command-service.binpb', import.meta.url));

/** A control plane as the program composes it, without NATS: the test says what the revisions are. */
export function newControlPlane(edge: {
  readonly port: number;
  readonly tlsPort: number;
  readonly accessLogPath: string;
}) {
  const events: { readonly node: string | undefined; readonly kind: string; readonly error?: string }[] = [];
  const controlPlane = new ControlPlane({
    ...TRANSLATORS,
    encode: createEncoder(registry),
    encodeRoutes: createRouteStamper({ translateRoutes: edgeRoutes, encode: createMessageEncoder(registry) }),
    listeners: edgeListeners({ address: '127.0.0.1', descriptors: DESCRIPTORS, ...edge }),
    nowMs: () => Date.now(),
    schedule: (delayMs, task) => setTimeout(task, delayMs).unref(),
    onEnvoysChanged: () => undefined,
    onEvent: (session, event) =>
      events.push({
        node: session.node,
        kind: event.kind,
        ...(event.kind === 'rejected' ? { error: event.error } : {}),
      }),
  });
  return { controlPlane, events };
}

/** Envoy, our ADS server, a stub that decides, and one reference node of each kind. */
export interface Edge extends AsyncDisposable {
  readonly http: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly ca: string;
  readonly authz: StubAuthz;
  readonly envoy: RunningEnvoy;
  readonly controlPlane: ControlPlane;
  readonly ads: AdsServer;
  readonly accessLog: string;
  readonly events: readonly { readonly kind: string; readonly error?: string }[];
  apply(document: (nodes: Readonly<Record<ServiceKind, number>>) => unknown): RoutingSnapshot;
}

/** Allows what its target says, and of commands only those for orders: enough to see who was judged. */
export const decideByTarget = ({ context, message }: Check): Verdict => {
  const target = context['target'];
  if (target === 'api') return { allow: 'api' };
  if (target === 'projection' || target === 'runner') return { allow: `${target}/s1` };
  if (target !== 'aggregate') return { deny: 404, body: '{"code":"not_found"}' };
  const types = message?.['aggregate_type'] ?? [];
  return types.length === 1 && types[0] === 'order'
    ? { allow: 'aggregate/s1' }
    : { deny: 403, body: '{"code":"right_missing"}' };
};

export async function startEdge(): Promise<Edge> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await tempFolder());
  const authz = stack.use(await startStubAuthz(decideByTarget));
  const place = { shard: 's1', host: '127.0.0.1', port: 0, logLevel: 'silent' };
  const nodes = {
    aggregate: stack.use(await startAggregateNode({ ...place, kind: 'aggregate' })).port,
    projection: stack.use(await startProjectionNode({ ...place, kind: 'projection' })).port,
    runner: stack.use(await startRunnerNode({ ...place, kind: 'runner' })).port,
  };
  const api = await startApi();
  stack.defer(api.close);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const accessLog = join(folder.path, 'access.log');
  const { controlPlane, events } = newControlPlane({ port, tlsPort, accessLogPath: accessLog });
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const authority = await makeAuthority(validity);
  const server = await makeServerCertificate(authority, validity);
  controlPlane.putSecret(edgeSecret(server.certificate, server.key));
  let current: RoutingSnapshot | undefined;
  const apply: Edge['apply'] = (document) => {
    current = snapshotOf(document(nodes), current);
    controlPlane.applyRevision(current);
    return current;
  };
  apply((ports) => ({
    ...Object.fromEntries(
      (['aggregate', 'projection', 'runner'] as const).flatMap((kind) => [
        [`${kind}_placement`, { acme: 's1' }],
        [`${kind}_shards`, { s1: { endpoints: [{ address: '127.0.0.1', port: ports[kind] }] } }],
      ]),
    ),
  }));
  const services = [clientStatusService({ registry, sessions: () => controlPlane.sessions() })];
  const ads = stack.use(
    await startAdsServer({ listen: { host: '127.0.0.1', port: 0 }, host: controlPlane, services, log: silentLog }),
  );
  const envoy = stack.use(
    await startEnvoy({
      folder: folder.path,
      nodeId: 'edge-1',
      xdsPort: Number(ads.address.split(':')[1]),
      authzPort: authz.port,
      apiPort: api.port,
    }),
  );
  const http = `http://127.0.0.1:${port}`;
  await until(async () => (await fetch(`${http}/health`)).ok, { deadlineMs: 30_000, what: 'Envoy to serve' }).catch(
    (error: unknown) => {
      throw new Error(`Envoy does not serve:\n${envoy.log()}\n${JSON.stringify(events)}`, { cause: error });
    },
  );
  return {
    ...{ http, port, tlsPort, ca: authority.certificate, authz, envoy, controlPlane, ads, accessLog, events, apply },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Stands for the auth and admin API: says what it was asked. */
async function startApi() {
  const server = createServer((request, response) => {
    let bytes = 0;
    request.on('data', (part: Buffer) => {
      bytes += part.length;
    });
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method: request.method, path: request.url, headers: request.headers, bytes }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
