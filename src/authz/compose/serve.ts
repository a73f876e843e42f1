import type { FastifyInstance } from 'fastify';
import type { ServerTls } from '#platform/internal-tls/listen-mutual-tls.ts';
import type { AuthzConfig } from '../config.ts';
import { type ExtAuthzServerOptions, startExtAuthzServer } from '../ext-authz/server.ts';
import { addLeave } from '../http/leave.ts';
import { listenForEnvoy } from '../http/listen-for-envoy.ts';

/**
 * Opens both servers. The end runs from here backwards: Envoys are told and served until they have noticed, then checks
 * and requests under way are answered to their end, and what they are answered from goes last, the connection to NATS
 * after everything.
 */
export async function serve(parts: {
  readonly app: FastifyInstance;
  readonly config: AuthzConfig;
  readonly stack: AsyncDisposableStack;
  /** With it only Envoy comes in, over TLS. */
  readonly envoy: ServerTls | undefined;
  readonly checks: Omit<ExtAuthzServerOptions, 'listen' | 'tls'>;
}): Promise<void> {
  const { app, config, stack, envoy } = parts;
  const leaveApi = addLeave(app);
  stack.defer(() => app.close());
  if (envoy !== undefined && config.apiListen !== undefined) {
    stack.use(await listenForEnvoy(app, { ...envoy, listen: config.apiListen }));
  }
  await app.listen({ host: config.httpListen.host, port: config.httpListen.port });
  const checks = stack.use(await startExtAuthzServer({ ...parts.checks, listen: config.grpcListen, tls: envoy }));
  stack.defer(async () => void (await Promise.all([checks.drain(), leaveApi()])));
}
