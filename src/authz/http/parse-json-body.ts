import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parseJsonInSteps } from '#domain/json-in-steps.ts';
import { LIMITS } from '#domain/limits.ts';
import { runInTurns } from '#platform/event-loop.ts';

/**
 * The framework's parser of JSON bodies with all its refusals, which a long body (a routing document) meets piece by
 * piece: other requests are served in between. Another thread would not help: to take over what it parsed costs this
 * one as much as to parse.
 */
export function parseJsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  const parsed = (request: FastifyRequest, body: string): unknown => {
    let value: unknown;
    void parse(request, body, (error, parsed) => {
      if (error !== null) throw error;
      value = parsed;
    });
    return value;
  };
  const parser = async (request: FastifyRequest, body: string): Promise<unknown> =>
    body.length <= LIMITS.jsonSliceMaxChars
      ? parsed(request, body)
      : runInTurns(parseJsonInSteps(body, (json) => parsed(request, json)));
  app.addContentTypeParser('application/json', { parseAs: 'string' }, parser);
}
