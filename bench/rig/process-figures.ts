import { readFile } from 'node:fs/promises';

const NS_PER_MS = 1e6;
const KILOBYTES_PER_MEGABYTE = 1_024;

/** Resident memory of a process in MB, from Linux' /proc. */
export async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no memory figure`);
  return Number(kilobytes) / KILOBYTES_PER_MEGABYTE;
}

/**
 * CPU time of the main thread of a process in ms. From schedstat, which counts nanoseconds; utime and stime of
 * /proc/<pid>/stat count hundredths of a second, more than ten moves cost.
 */
export async function mainThreadMs(pid: number): Promise<number> {
  const [nanoseconds] = (await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8')).split(' ');
  return Number(nanoseconds) / NS_PER_MS;
}

/** A counter or gauge of Envoy. Reading it costs Envoy's main thread: not while that is measured. */
export async function envoyStat(admin: string, name: string): Promise<number> {
  const filter = `^${name.replaceAll('.', '\\.')}$`;
  const text = await (await fetch(`${admin}/stats?filter=${encodeURIComponent(filter)}`)).text();
  const value = /: (\d+)$/m.exec(text)?.[1];
  if (value === undefined) throw new Error(`Envoy has no figure ${name}: ${text}`);
  return Number(value);
}
