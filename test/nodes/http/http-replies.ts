import { type Failure, problem, refuse } from '#domain/errors.ts';
import { HEADER } from '#domain/headers.ts';
import { isTenantId } from '#domain/ids.ts';
import type { Admission, PlacementEpochs } from '../placement-epochs.ts';
import type { NodeReply, NodeRequest } from './http-server.ts';

type Head = Omit<NodeRequest, 'body'>;

/** The answers that projection and runner nodes have in common, each with `x-served-by`. */
export class HttpReplies {
  readonly #servedBy: string;

  /** @param servedBy `<kind>/<shard>` */
  constructor(servedBy: string) {
    this.#servedBy = servedBy;
  }

  json(body: object, status = 200): NodeReply {
    const headers = { 'content-type': 'application/json', [HEADER.servedBy]: this.#servedBy };
    return { status, headers, body: JSON.stringify(body) };
  }

  /** A problem document (RFC 9457) with a code of the gateway's list. */
  refuse(
    request: Head,
    { error }: { readonly error: Failure },
    headers: Readonly<Record<string, string>> = {},
  ): NodeReply {
    const document = problem(error, {
      requestId: request.headers[HEADER.requestId],
      correlationId: request.headers[HEADER.correlationId],
      decisionId: request.headers[HEADER.decisionId],
    });
    const reply = this.json(document, Number(document['status']));
    return { ...reply, headers: { ...reply.headers, 'content-type': 'application/problem+json', ...headers } };
  }

  readonly bodyTooLarge = (request: Head): NodeReply =>
    this.refuse(request, refuse('body_too_large', 'The body is larger than a node takes.'));

  /** `/health` and `/ready`, 503 while the node is stopping; undefined for other paths. */
  probe(request: Head): NodeReply | undefined {
    if (request.path !== '/health' && request.path !== '/ready') return undefined;
    return this.json({ status: request.stopping ? 'stopping' : 'ok' }, request.stopping ? 503 : 200);
  }

  /** The tenant of a request whose placement epoch is not too old, else the refusal. */
  admit(request: Head, epochs: PlacementEpochs): { readonly tenant: string } | { readonly refusal: NodeReply } {
    const tenant = request.headers[HEADER.tenantId];
    if (tenant === undefined)
      return { refusal: this.refuse(request, refuse('tenant_missing', `${HEADER.tenantId} is missing.`)) };
    if (!isTenantId(tenant))
      return { refusal: this.refuse(request, refuse('tenant_invalid', `${HEADER.tenantId} is not one tenant id.`)) };
    const admission = epochs.admit(tenant, request.headers[HEADER.placementEpoch]);
    return admission.admitted ? { tenant } : { refusal: this.#notAdmitted(request, tenant, admission) };
  }

  #notAdmitted(request: Head, tenant: string, admission: Exclude<Admission, { admitted: true }>): NodeReply {
    if (admission.reason === 'malformed')
      return this.refuse(request, refuse('request_malformed', `${HEADER.placementEpoch} is not a whole number.`));
    const detail = `Placement epoch ${admission.got} of tenant ${tenant} is older than ${admission.newest}, seen by this node.`;
    return this.refuse(request, refuse('precondition_failed', detail), {
      [HEADER.placementEpoch]: String(admission.newest),
    });
  }
}
