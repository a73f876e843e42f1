import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { isMessage, type JsonObject } from '@bufbuild/protobuf';
import {
  type Metadata,
  Metadata as MetadataMap,
  Server,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { HEADER } from '#domain/headers.ts';
import { isTenantId } from '#domain/ids.ts';
import { LIMITS } from '#domain/limits.ts';
import { listenGrpc } from '#platform/internal-tls/grpc-listen.ts';
import type { Tracing } from '#platform/tracing/tracing.ts';
import { ECHO_HEADER, echoedHeaders } from '../echoed-headers.ts';
import { NODE_LIMITS } from '../limits.ts';
import { type Admission, PlacementEpochs } from '../placement-epochs.ts';
import type { NodeStart, RunningNode } from '../running-node.ts';
import { recordWork } from '../trace-work.ts';
import { type Command, CommandLog, type Submitted } from './command-log.ts';
import { parseCommand, responseOf } from './command-messages.ts';
import { type CommandProtocol, loadCommandProtocol } from './command-service.ts';
import { GrpcHealth } from './grpc-health.ts';
import { type CallFailure, detailType, statusOf } from './grpc-status.ts';
import { type TestCommand, testCommand } from './test-commands.ts';

/**
 * Serves aggregate.gateway.v1.CommandService and grpc.health.v1.Health over HTTP/2, in clear or over TLS.
 * @param onRecorded hears of each command that is executed, before its caller is answered
 * @throws Error when the address cannot be bound
 */
export async function startAggregateNode(
  config: NodeStart,
  onRecorded?: (command: Command) => void,
): Promise<RunningNode> {
  const protocol = loadCommandProtocol();
  const node = new AggregateNode(protocol, `aggregate/${config.shard}`, { onRecorded, tracing: config.tracing });
  const health = new GrpcHealth();
  const server = new Server({ 'grpc.max_receive_message_length': LIMITS.requestBodyMaxBytes + 65_536 });
  server.addService(protocol.commands, { SubmitCommand: node.submitCommand });
  server.addService(protocol.health, health.handlers);
  const listener = await listenGrpc(server, { listen: { host: config.host, port: config.port }, tls: config.tls });
  return {
    port: listener.port ?? config.port,
    async [Symbol.asyncDispose]() {
      health.stop();
      listener.stopListening();
      const late = setTimeout(() => server.forceShutdown(), NODE_LIMITS.drainMs);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(late);
    },
  };
}

type Call = ServerUnaryCall<unknown, unknown>;

interface AggregateNodeOptions {
  readonly onRecorded: ((command: Command) => void) | undefined;
  readonly tracing: Tracing | undefined;
}

/** A value, or the status that the call ends with. */
type Checked<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly failure: CallFailure };

class AggregateNode {
  readonly #protocol: CommandProtocol;
  readonly #servedBy: string;
  readonly #epochs = new PlacementEpochs();
  readonly #commands: CommandLog;

  readonly #tracing: Tracing | undefined;

  constructor(protocol: CommandProtocol, servedBy: string, { onRecorded, tracing }: AggregateNodeOptions) {
    this.#tracing = tracing;
    this.#protocol = protocol;
    this.#servedBy = servedBy;
    this.#commands = new CommandLog({ makeId: randomUUID, onRecorded });
  }

  readonly submitCommand = (call: Call, answer: sendUnaryData<unknown>): void => {
    const startMs = performance.now();
    this.#handle(call).then(
      (outcome) => {
        this.#record(call, startMs, outcome);
        const echoed = echoedHeaders(lastOf(call.metadata, ECHO_HEADER));
        if (!outcome.ok) {
          const metadata = { ...outcome.failure.metadata, ...echoed };
          answer(statusOf(this.#protocol.registry, { ...outcome.failure, metadata }, this.#servedBy));
          return;
        }
        const [headers, trailers] = [new MetadataMap(), new MetadataMap()];
        headers.set(HEADER.servedBy, this.#servedBy);
        for (const map of [headers, trailers]) for (const [name, value] of Object.entries(echoed)) map.set(name, value);
        call.sendMetadata(headers);
        answer(null, outcome.value, trailers);
      },
      // Only an aborted wait comes here: the caller has gone.
      () => answer({ code: status.CANCELLED, details: 'the caller went away' }),
    );
  };

  #record({ metadata }: Call, startMs: number, outcome: Checked<JsonObject>): void {
    const names = [HEADER.traceparent, HEADER.tenantId, HEADER.decisionId];
    const headers = Object.fromEntries(names.map((name) => [name, lastOf(metadata, name)]));
    const error = outcome.ok ? undefined : `status ${outcome.failure.code}`;
    recordWork(this.#tracing, this.#servedBy, { name: 'SubmitCommand', headers, startMs, error });
  }

  async #handle(call: Call): Promise<Checked<JsonObject>> {
    const tenant = tenantOf(call.metadata);
    if (!tenant.ok) return tenant;
    const admission = this.#epochs.admit(tenant.value, lastOf(call.metadata, HEADER.placementEpoch));
    if (!admission.admitted) return { ok: false, failure: notAdmitted(admission, tenant.value) };
    if (!isMessage(call.request)) return { ok: false, failure: UNREADABLE_REQUEST };
    const parsed = parseCommand(this.#protocol.registry, call.request, lastOf(call.metadata, HEADER.commandId));
    if (!parsed.ok) return { ok: false, failure: brokenRules(parsed.errors) };
    const special = testCommand(parsed.command.commandType);
    if (special?.kind === 'malformed') return { ok: false, failure: brokenRules([special.error]) };
    if (special?.kind === 'fail') return { ok: false, failure: askedFor(special, parsed.command) };
    if (special?.kind === 'history')
      return { ok: true, value: responseOf(this.#commands.history(tenant.value, parsed.command)) };
    if (special?.kind === 'delay') await wait(special.delayMs, undefined, { signal: cancelled(call) });
    return outcomeOf(this.#commands.submit(tenant.value, parsed.command, new Date()));
  }
}

const UNREADABLE_REQUEST: CallFailure = {
  code: status.INVALID_ARGUMENT,
  message: 'the request is no SubmitCommandRequest: broken bytes, or a text that is not UTF-8',
  details: [],
};

/** Exactly one valid `x-tenant-id`: two would let a proxy and a node disagree about whose data this is. */
function tenantOf(metadata: Metadata): Checked<string> {
  const [tenant, ...more] = metadata.get(HEADER.tenantId).map(String);
  if (tenant !== undefined && more.length === 0 && isTenantId(tenant)) return { ok: true, value: tenant };
  const message = `${HEADER.tenantId} must be there once and be a tenant id`;
  return {
    ok: false,
    failure: brokenRules([{ pointer: `/${HEADER.tenantId}`, code: 'tenant_invalid', detail: message }]),
  };
}

const lastOf = (metadata: Metadata, name: string): string | undefined => metadata.get(name).map(String).at(-1);

function brokenRules(
  errors: readonly { readonly pointer: string; readonly code: string; readonly detail: string }[],
): CallFailure {
  const violations = errors.map(({ pointer, code, detail }) => ({
    field: pointer.slice(1).replaceAll('/', '.'),
    description: detail,
    reason: code.replace('.', '_').toUpperCase(),
  }));
  return {
    code: status.INVALID_ARGUMENT,
    message: errors.map(({ pointer, detail }) => `${pointer.slice(1)}: ${detail}`).join('; '),
    details: [{ '@type': detailType('BadRequest'), field_violations: violations }],
  };
}

function notAdmitted(admission: Exclude<Admission, { admitted: true }>, tenant: string): CallFailure {
  if (admission.reason === 'malformed')
    return brokenRules([
      { pointer: `/${HEADER.placementEpoch}`, code: 'epoch_malformed', detail: 'must be a whole number' },
    ]);
  const message = `placement epoch ${admission.got} of tenant ${tenant} is older than ${admission.newest}, seen by this node`;
  return {
    code: status.FAILED_PRECONDITION,
    message,
    details: [
      {
        '@type': detailType('PreconditionFailure'),
        violations: [{ type: 'PLACEMENT_EPOCH', subject: `tenants/${tenant}`, description: message }],
      },
    ],
    metadata: { [HEADER.placementEpoch]: String(admission.newest) },
  };
}

function askedFor(special: Extract<TestCommand, { kind: 'fail' }>, command: Command): CallFailure {
  return {
    code: special.code,
    message: `${command.commandType} was asked for`,
    details: [errorInfo('TEST_FAILURE', { command_id: command.commandId })],
  };
}

function outcomeOf(submitted: Submitted): Checked<JsonObject> {
  if (submitted.ok) return { ok: true, value: responseOf(submitted.answer) };
  const { refusal } = submitted;
  if (refusal.reason === 'command_id_reused') {
    const message = 'this command_id was used for another command';
    return {
      ok: false,
      failure: { code: status.ALREADY_EXISTS, message, details: [errorInfo('COMMAND_ID_REUSED', {})] },
    };
  }
  const [expected, actual] = [String(refusal.expected), String(refusal.actual)];
  return {
    ok: false,
    failure: {
      code: status.ABORTED,
      message: `the aggregate is at version ${actual}, not ${expected}`,
      details: [errorInfo('VERSION_MISMATCH', { expected_version: expected, actual_version: actual })],
    },
  };
}

const errorInfo = (reason: string, metadata: Readonly<Record<string, string>>): JsonObject => ({
  '@type': detailType('ErrorInfo'),
  reason,
  domain: 'aggregate.gateway.v1',
  metadata: { ...metadata },
});

/** Aborts when the caller cancels, disconnects or runs out of time. */
function cancelled(call: Call): AbortSignal {
  const controller = new AbortController();
  call.on('cancelled', () => controller.abort());
  if (call.cancelled) controller.abort();
  return controller.signal;
}
