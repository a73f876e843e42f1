import { ENDPOINTS } from '#domain/endpoints.ts';
import { HEADER } from '#domain/headers.ts';
import type { Command } from '../command.ts';
import { UsageError } from '../failures.ts';
import { clean } from '../render.ts';

const METHODS = ENDPOINTS.filter(({ target }) => target === 'runner').map(({ method }) => method);

export const runnerCall: Command = {
  name: 'runner',
  summary: "call the administration of a tenant's runner, or of a runner shard by its name",
  args: ['METHOD', 'PATH'],
  options: {
    tenant: { value: 'TENANT', help: 'the tenant to call for; its own shard answers unless --shard names another' },
    shard: { value: 'SHARD', help: 'the shard that answers (takes the right to do so on the platform)' },
    data: { value: 'JSON', help: 'the body' },
  },
  details: `METHOD is one of ${METHODS.join(', ')}. PATH is the runner's own, what follows /admin/runner/, with its query.`,
  example: 'runner GET status --tenant acme',
  run: async ({ parsed, gateway }) => {
    const [method = '', target = ''] = parsed.args;
    const [tenant, shard] = [parsed.text('tenant'), parsed.text('shard')];
    if (!METHODS.some((each) => each === method)) {
      throw new UsageError(`METHOD must be one of ${METHODS.join(', ')}, not "${method}"`, 'runner');
    }
    if (tenant === undefined && shard === undefined) throw new UsageError('--tenant or --shard is missing', 'runner');
    const { pathname, search } = new URL(`http://runner/${target.replace(/^\/+/, '')}`);
    const api = await gateway();
    const answer = await api.call({
      endpoint: `runner.${method.toLowerCase()}`,
      rest: `${pathname.slice(1)}${search}`,
      headers: {
        ...(tenant === undefined ? {} : { [HEADER.tenantId]: tenant }),
        ...(shard === undefined ? {} : { [HEADER.runnerShard]: shard }),
      },
      ...(parsed.text('data') === undefined ? {} : { body: parseData(parsed.required('data')) }),
    });
    return {
      json: answer ?? null,
      text: () => (answer === undefined ? '' : `${clean(JSON.stringify(answer, null, 2), { lines: true })}\n`),
    };
  },
};

function parseData(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError('--data is not JSON', 'runner');
  }
}
