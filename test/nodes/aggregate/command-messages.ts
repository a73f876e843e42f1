import type { FileRegistry, JsonObject, JsonValue, Message } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import type { FieldError } from '#domain/errors.ts';
import { messageType } from '#platform/proto-registry.ts';
import { validateRules } from '#platform/proto-rules.ts';
import type { Answer, Command } from './command-log.ts';
import { messageJson } from './command-service.ts';

export type ParsedCommand =
  | { readonly ok: true; readonly command: Command }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/**
 * Checks a SubmitCommandRequest by the rules of its .proto file and takes out what a node works with.
 * @param commandId the id in `x-command-id`: of a message that has none itself
 */
export function parseCommand(registry: FileRegistry, request: Message, commandId: string | undefined): ParsedCommand {
  if (commandId !== undefined) completeId(registry, request, commandId);
  const errors = validateRules(registry, request);
  if (errors.length > 0) return { ok: false, errors };
  let json: JsonValue;
  try {
    json = messageJson(registry, request);
  } catch {
    // A Struct can hold NaN and infinities in protobuf, but not in JSON.
    const detail = 'must be a JSON object, with finite numbers';
    return { ok: false, errors: [{ pointer: '/payload', code: 'struct.json', detail }] };
  }
  const text = (name: string): string => String(memberOf(json, name));
  const payload = memberOf(json, 'payload');
  const expected = memberOf(json, 'expected_version');
  const command = {
    aggregateType: text('aggregate_type'),
    aggregateId: text('aggregate_id'),
    commandId: text('command_id'),
    commandType: text('command_type'),
    payload: isObject(payload) ? payload : {},
  };
  return { ok: true, command: expected === undefined ? command : { ...command, expectedVersion: Number(expected) } };
}

function completeId(registry: FileRegistry, request: Message, commandId: string): void {
  const type = messageType(registry, request.$typeName);
  const message = reflect(type, request);
  const field = type.field['commandId'];
  if (field !== undefined && message.get(field) === '') message.set(field, commandId);
}

/** The SubmitCommandResponse of an answer, in protobuf JSON. */
export function responseOf(answer: Answer): JsonObject {
  return {
    command_id: answer.commandId,
    version: String(answer.version),
    events: answer.events.map((event) => ({
      event_id: event.eventId,
      event_type: event.eventType,
      sequence: String(event.sequence),
      payload: event.payload,
      recorded_at: event.recordedAt.toISOString(),
    })),
  };
}

const memberOf = (json: JsonValue, name: string): JsonValue | undefined => (isObject(json) ? json[name] : undefined);

const isObject = (json: JsonValue | undefined): json is JsonObject =>
  typeof json === 'object' && json !== null && !Array.isArray(json);
