import { resourceTypeOf } from '../../../xds/snapshot/resource-types.ts';
import type { Sabotage } from './stream.ts';

/**
 * Bugs that control planes have had, put around the real one from outside: what they make of a request, or of a call,
 * is what a server with that bug would have made of it.
 */
export const PLANTED_BUGS: Readonly<Record<string, Sabotage>> = {
  'an acknowledgement with a stale nonce counts for the newest response': {
    request: (request, stream) => {
      const type = resourceTypeOf(request.typeUrl);
      if (type === undefined || request.nonce === '' || request.error !== undefined) return request;
      return { ...request, nonce: stream.lastNonce(type) };
    },
  },
  'a cluster is removed before the stamp without it is acknowledged and has settled': {
    opened: (session) => session.settle(Number.MAX_SAFE_INTEGER),
  },
  'a replica that is behind serves an Envoy its older state': {
    request: (request) => (resourceTypeOf(request.typeUrl) === 'route' ? { ...request, initialVersions: {} } : request),
  },
  'a rejection marks the new version as held': {
    request: (request) => ({ ...request, error: undefined }),
  },
  'a change is forgotten while a response is unanswered': {
    opened: (session, stream) => {
      const changed = session.changed.bind(session);
      session.changed = (type, names) => {
        if (stream.unanswered(type).size === 0) changed(type, names);
      };
    },
  },
};
