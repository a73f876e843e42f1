import { get } from 'node:http';
import { connect } from 'node:net';

const PROBE_TIMEOUT_MS = 1_000;

/** Whether something is the case now; never throws. */
export type Probe = () => Promise<boolean>;

/** Whether somebody accepts connections at a TCP address or a Unix socket. */
export const accepts =
  (at: { readonly host: string; readonly port: number } | { readonly path: string }): Probe =>
  () =>
    new Promise((resolve) => {
      const socket = connect(at);
      const answer = (value: boolean) => {
        socket.destroy();
        resolve(value);
      };
      socket.setTimeout(PROBE_TIMEOUT_MS, () => answer(false));
      socket.once('connect', () => answer(true));
      socket.once('error', () => answer(false));
    });

/** Whether a GET over plain HTTP is answered with 200. */
export const answersOk =
  (url: string): Probe =>
  () =>
    new Promise((resolve) => {
      // A connection of its own, closed after the answer: one kept open would be a client that Envoy waits for when it
      // drains.
      const request = get(url, { agent: false, timeout: PROBE_TIMEOUT_MS }, (response) => {
        response.resume();
        response.once('close', () => resolve(response.statusCode === 200));
      });
      request.once('timeout', () => request.destroy());
      request.once('error', () => resolve(false));
    });
