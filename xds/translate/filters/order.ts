import type { RateLimit } from '#domain/access/rate-limit.ts';
import { COMMAND_GRPC_PATH, type EndpointRow } from '#domain/endpoints.ts';
import type { JsonObject } from '../json.ts';
import { bodyLimits } from './body-limit.ts';
import { corsFilters } from './browser/cors.ts';
import { commandId } from './command-id.ts';
import { extAuthz } from './ext-authz.ts';
import { fieldExtraction } from './field-extraction.ts';
import { grpcWeb, grpcWebStatus } from './grpc-web.ts';
import { oneHost } from './hosts/one-host.ts';
import { localRateLimit } from './local-rate-limit.ts';
import { messageBuffer } from './message-buffer.ts';
import { readiness } from './readiness.ts';
import { responseIdsFilter } from './response-ids.ts';
import { responseScrub } from './response-scrub.ts';
import { router } from './router.ts';
import { traceContext } from './trace-context.ts';
import { type TranscodedServices, transcoder } from './transcoder.ts';

interface FilterSettings {
  readonly requestRate: RateLimit | undefined;
  /** Origins of pages elsewhere that may use the gateway; none: no CORS. */
  readonly corsOrigins?: readonly string[] | undefined;
}

/**
 * The filters in the order that requests go through them; responses come back the other way. Each place has a reason,
 * and moving one is a change of who decides about what.
 *
 * What comes later has its place: csrf behind cors; whatever depends on the route behind ext_authz, which changes it.
 */
export function httpFilters(
  rows: readonly EndpointRow[],
  services: TranscodedServices,
  { requestRate, corsOrigins = [] }: FilterSettings,
): JsonObject[] {
  const transcoded = rows.filter((row) => row.grpcPath !== undefined);
  return [
    // First, so that it is the last to touch a response: nobody adds behind it what it removes.
    responseScrub(),
    // Behind it: every response has ids, also the ones that filters below make.
    responseIdsFilter(),
    // Before anybody reads the host.
    oneHost(),
    // Before anything that costs: probes come often, and a draining Envoy says so without asking anybody.
    readiness(),
    // Before the decision: preflights carry no token, and a refusal must be readable to the page as any other answer.
    ...corsFilters(corsOrigins),
    // Before anybody passes the trace on.
    traceContext(),
    // Around the next one, whose answers it repairs.
    grpcWebStatus(),
    // Makes plain gRPC for all that follows.
    grpcWeb(),
    // Before everything that costs, a decision above all; behind the one by which its refusals reach gRPC-Web as such.
    ...(requestRate === undefined ? [] : [localRateLimit(requestRate)]),
    // Before everything that buffers.
    ...bodyLimits(rows),
    // Before ext_authz: query parameters and repeated JSON members change the message, so it must be final first.
    transcoder(transcoded, services),
    // Behind the limit, and before what holds a whole message.
    messageBuffer(),
    // Behind the transcoder: reads the final message of JSON and gRPC alike.
    fieldExtraction([methodName(COMMAND_GRPC_PATH)], services.descriptors),
    // Before ext_authz, whose answer makes Envoy choose the route again: that choice sees the header.
    commandId(),
    // Judges the final message, picks the cluster. Nothing may change the message or the path behind it.
    extAuthz(),
    router(),
  ];
}

/** `/package.Service/Method` as `package.Service.Method`. */
const methodName = (path: string): string => path.slice(1).replace('/', '.');
