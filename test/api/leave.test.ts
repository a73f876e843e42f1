import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { refuse } from '#domain/errors.ts';
import { createMetrics } from '#platform/metrics.ts';
import { buildApp } from '../../src/authz/http/build-app.ts';
import { addLeave } from '../../src/authz/http/leave.ts';
import { silentLog } from '../support/nats.ts';

/** How the API ends: nobody is cut off. */
async function listening() {
  const app = buildApp({
    log: silentLog,
    publicUrl: 'http://localhost',
    routes: [],
    authenticate: () => refuse('token_missing', 'nobody is known here'),
    metrics: createMetrics('test').registry,
  });
  const leave = addLeave(app);
  const underWay = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  app.get('/slow', async () => {
    underWay.resolve();
    await release.promise;
    return { done: true };
  });
  app.get('/quick', async () => ({ done: true }));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, leave, url, underWay: underWay.promise, release: release.resolve };
}

async function fetchWith(agent: Agent, url: string) {
  const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage];
  const body = await text(response);
  return { status: response.statusCode, connection: response.headers.connection, body };
}

it('tells its health checkers first, serves on until they know, and closes each connection with its answer', async () => {
  const { app, leave, url } = await listening();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const prober = new Agent({ keepAlive: true, maxSockets: 1 });
  expect(await fetchWith(prober, `${url}/health`)).toMatchObject({ status: 200, connection: 'keep-alive' });
  expect(await fetchWith(agent, `${url}/quick`)).toMatchObject({
    status: 200,
    connection: 'keep-alive',
  });
  let hasLeft = false;
  const left = leave().then(() => {
    hasLeft = true;
  });
  expect(await fetchWith(agent, `${url}/quick`)).toMatchObject({ status: 200, connection: 'close' });
  // Longer than calls on their way are waited for.
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(hasLeft).toBe(false);
  expect(await fetchWith(prober, `${url}/health`)).toMatchObject({ status: 503, connection: 'close' });
  await left;
  await app.close();
});

it('answers a request under way when it closes', async () => {
  const { app, leave, url, underWay, release } = await listening();
  const agent = new Agent({ keepAlive: true });
  const slow = fetchWith(agent, `${url}/slow`);
  await underWay;
  await leave();
  const closed = app.close();
  release();
  expect(await slow).toEqual({ status: 200, connection: 'close', body: '{"done":true}' });
  await closed;
});
