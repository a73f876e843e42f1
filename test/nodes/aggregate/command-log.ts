import type { JsonObject } from '@bufbuild/protobuf';
import { BoundedMap } from '../bounded-map.ts';
import { NODE_LIMITS } from '../limits.ts';

/** A command as it arrived, rules already checked. */
export interface Command {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly commandId: string;
  readonly commandType: string;
  readonly payload: JsonObject;
  readonly expectedVersion?: number;
}

interface RecordedEvent {
  readonly eventId: string;
  readonly eventType: string;
  readonly sequence: number;
  readonly payload: JsonObject;
  readonly recordedAt: Date;
}

/** What the command did: `version` is that of the aggregate afterwards. */
export interface Answer {
  readonly commandId: string;
  readonly version: number;
  readonly events: readonly RecordedEvent[];
}

type Refusal =
  | { readonly reason: 'version_mismatch'; readonly expected: number; readonly actual: number }
  | { readonly reason: 'command_id_reused' };

export type Submitted =
  | { readonly ok: true; readonly answer: Answer }
  | { readonly ok: false; readonly refusal: Refusal };

interface Aggregate {
  readonly version: number;
  readonly events: readonly RecordedEvent[];
}

interface Remembered {
  readonly about: string;
  readonly answer: Answer;
}

/**
 * The simplest aggregates there can be: every command records one event with the command's payload. Per tenant and
 * aggregate a version and its events, per tenant and command id the answer, all in memory and bounded (NODE_LIMITS).
 */
export class CommandLog {
  readonly #aggregates: BoundedMap<string, Aggregate>;
  readonly #remembered: BoundedMap<string, Remembered>;
  readonly #makeId: () => string;
  readonly #onRecorded: (command: Command) => void;

  /** `onRecorded` hears of each command that is executed, before anybody is answered; repeats are not. */
  constructor(options: {
    readonly makeId: () => string;
    readonly onRecorded?: ((command: Command) => void) | undefined;
    readonly aggregatesMaxCount?: number;
    readonly commandsMaxCount?: number;
  }) {
    this.#makeId = options.makeId;
    this.#onRecorded = options.onRecorded ?? (() => undefined);
    this.#aggregates = new BoundedMap(options.aggregatesMaxCount ?? NODE_LIMITS.aggregatesMaxCount);
    this.#remembered = new BoundedMap(options.commandsMaxCount ?? NODE_LIMITS.commandsRememberedMaxCount);
  }

  /**
   * Executes a command once: a repeat of a remembered command id gets the answer of the first time. The same id with
   * another aggregate or command type is a mistake of the caller and refused. Refusals are not remembered.
   */
  submit(tenant: string, command: Command, now: Date): Submitted {
    const commandKey = keyOf(tenant, command.commandId);
    const aggregateKey = keyOf(tenant, command.aggregateType, command.aggregateId);
    const about = keyOf(aggregateKey, command.commandType);
    const earlier = this.#remembered.get(commandKey);
    if (earlier !== undefined)
      return earlier.about === about
        ? { ok: true, answer: earlier.answer }
        : { ok: false, refusal: { reason: 'command_id_reused' } };

    const { version, events } = this.#aggregates.get(aggregateKey) ?? { version: 0, events: [] };
    const { expectedVersion } = command;
    if (expectedVersion !== undefined && expectedVersion !== version)
      return { ok: false, refusal: { reason: 'version_mismatch', expected: expectedVersion, actual: version } };

    this.#onRecorded(command);
    const event: RecordedEvent = {
      eventId: this.#makeId(),
      eventType: `${command.commandType}.recorded`,
      sequence: version + 1,
      payload: command.payload,
      recordedAt: now,
    };
    const kept = [...events, event].slice(-NODE_LIMITS.eventsPerAggregateMaxCount);
    this.#aggregates.set(aggregateKey, { version: version + 1, events: kept });
    const answer = { commandId: command.commandId, version: version + 1, events: [event] };
    this.#remembered.set(commandKey, { about, answer });
    return { ok: true, answer };
  }

  /** Version and remembered events of the aggregate a command names; records nothing. */
  history(tenant: string, command: Command): Answer {
    const aggregate = this.#aggregates.get(keyOf(tenant, command.aggregateType, command.aggregateId));
    return { commandId: command.commandId, version: aggregate?.version ?? 0, events: aggregate?.events ?? [] };
  }
}

/** NUL cannot occur in any of the parts. */
const keyOf = (...parts: readonly string[]): string => parts.join('\0');
