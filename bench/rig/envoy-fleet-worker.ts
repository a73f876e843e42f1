import type { FleetMessage, FleetReceipts } from './envoy-fleet.ts';
import { ModelledEnvoy, type Receipt } from './modelled-envoy.ts';

/** Modelled Envoys in a process of their own. Started by envoy-fleet.ts. */
const REPORT_EVERY_MS = 20;

const envoys: ModelledEnvoy[] = [];
const receipts: Receipt[] = [];

setInterval(() => {
  if (receipts.length > 0) process.send?.({ receipts: receipts.splice(0) } satisfies FleetReceipts);
}, REPORT_EVERY_MS);

process.on('message', (message: FleetMessage) => {
  if (message.action === 'prepare') for (const envoy of envoys) envoy.prepare();
  if (message.action === 'reconnect') for (const envoy of envoys) envoy.connect();
  if (message.action !== 'connect') return;
  for (const node of message.nodes) {
    const envoy = new ModelledEnvoy({
      node,
      address: message.address,
      onReceipt: (receipt) => receipts.push(receipt),
    });
    envoys.push(envoy);
    envoy.connect();
  }
});
process.once('disconnect', () => process.exit());
