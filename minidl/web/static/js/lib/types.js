// The shapes of what the server sends, for the type checker; docs/web.md describes the routes.

/** @typedef {"waiting"|"running"|"paused"|"done"|"stopped"|"aborted"|"failed"|"interrupted"} State */

/** @typedef {{last: number|null, best?: number|null, best_iter?: number|null,
 *             min?: number|null, max?: number|null}} Metric */

/** @typedef {{type: string, message: string, expected?: string, fix?: string, where?: string,
 *             field?: string}} Problem */

/** A job, as the lists have it.
 * @typedef {{
 *   id: string, kind: string, name: string, group: string, tags: string[], state: State,
 *   created: number, started?: number|null, ended?: number|null, elapsed?: number|null,
 *   done: number, total: number, unit: string, rate?: number|null, eta?: number|null,
 *   parents?: Record<string, string>, adopted?: boolean, metrics?: Record<string, Metric>,
 *   spark?: (number|null)[], alarms?: number, error?: Partial<Problem>|null,
 *   epoch?: number|null, memory?: number, place?: number}} Summary
 */

/** @typedef {{iter: number, epoch?: number|null, weights: string, state: string,
 *             bytes: number}} Snapshot */

/** @typedef {{event: string, time: number, iter: number, kind?: string, layer?: string,
 *             text?: string}} Alarm */

/** A job, as its page has it.
 * @typedef {Summary & {
 *   notes: string, argv: string[], command: string, cwd: string,
 *   history: [string, number][], files: {name: string, bytes: number, time: number}[],
 *   snapshots: Snapshot[], dependants: string[], versions: Record<string, string>,
 *   status: Record<string, any>, alarm_list?: Alarm[], form: Record<string, any>,
 *   start?: Record<string, any>, folder?: string, dataset?: any, evaluation?: any}} Job
 */

/** @typedef {{iter: number[], time: (number|null)[], value: (number|null)[],
 *             epoch?: (number|null)[]}} Series */

export {};
