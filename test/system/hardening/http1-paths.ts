/** A path that is written otherwise than what it means. */
interface DisguisedPath {
  readonly disguised: string;
  /** What it means: to be decided about as this one. */
  readonly plain: string;
  /** Of it what the node sees; a runner's without the gateway's prefix. */
  readonly atNode: string;
}

const RUNNER = { plain: '/admin/runner/jobs/7', atNode: '/jobs/7' } as const;
const QUERY = { plain: '/v1/query/orders', atNode: '/v1/query/orders' } as const;

export const PATHS: readonly DisguisedPath[] = [
  ...[
    '/v1/query/../../admin/runner/jobs/7',
    '/v1/query/%2e%2e/%2E%2e/admin/runner/jobs/7',
    '/v1/query/.%2e/.%2E/admin/runner/jobs/7',
    '/v1/query\\..\\..\\admin/runner/jobs/7',
    '/v1/query/..;/..;/admin/runner/jobs/7',
    '/admin/runner/jobs/../../../v1/query/orders/../../../admin/runner/jobs/7',
    '//admin/runner/jobs/7',
    '/admin//runner///jobs/7',
    '/./admin/runner/./jobs/7',
    '/admin/runner/jobs/%2e/7',
    '/%61dmin/runner/jobs/7',
    '/admin/runner/%6aobs/7',
  ].map((disguised) => ({ disguised, ...RUNNER })),
  ...[
    '/admin/runner/../../v1/query/orders',
    '/../../../v1/query/orders',
    '/v1/query/%6frders',
    '/v1/%71uery/orders',
    '/v1//query///orders',
    '/v1/query/orders?x=/../../admin/runner/jobs/7',
  ].map((disguised) => ({ disguised, ...QUERY })),
  // What is escaped and stays so is no separator for anybody.
  ...['jobs/%252e%252e/7', 'jobs%3Fx=1', 'jobs;v=1/7', 'a%20b'].map((rest) => ({
    disguised: `//admin/runner/${rest}`,
    plain: `/admin/runner/${rest}`,
    atNode: `/${rest}`,
  })),
];

export const REFUSED_PATHS: readonly { readonly path: string; readonly status: 400 | 404 }[] = [
  ...[
    '/v1/query/..%2f..%2fadmin/runner/jobs/7',
    '/v1/query/..%5c..%5cadmin/runner/jobs/7',
    '/admin/runner/%2e%2e%2f%2e%2e%2fv1/query/orders',
    '/admin/runner/%00',
    '/v1/query/a%00b',
    '/v1/query/orders#/../../admin/runner/jobs/7',
    'v1/query/orders',
    '*',
    'http:///v1/query/orders',
    '/v1/query/\xe9',
  ].map((path) => ({ path, status: 400 as const })),
  ...[
    // Dots are resolved before empty segments go: the first takes only the empty one away.
    '/v1/query//../../admin/runner/jobs/7',
    '/admin;x=y/runner/jobs/7',
    '/ADMIN/runner/jobs/7',
    '/v1/query/%252e%252e/orders',
    '/v1/query/orders/',
  ].map((path) => ({ path, status: 404 as const })),
];
