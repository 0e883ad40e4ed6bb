// Questions to the server and what it answers. Every refusal is an ApiError whose parts are the
// server's sentences: what was found, what was expected, how to fix it.
//
//   await get("jobs", {kind: "train"})       /api/v1/jobs?kind=train
//   await post(`stop/${path(id)}`, {how: "stop"})     also: patch, put, upload(files)
//   path(id)    the id of a job as a part of an address
//   jobUrl(id, {tab: "log"})    its page    fileUrl(id, "mean.png", true)    one of its files
//   compareUrl(ids)    apiUrl("download/...", {format: "onnx"})    addresses for links

/** @typedef {import("./types.js").Problem} Problem */

export class ApiError extends Error {
  /** @param {number} status @param {Partial<Problem>} problem @param {any} [body] */
  constructor(status, problem, body) {
    super(problem.message || `the server answered with ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
    this.body = body;
  }

  /** Whether the server could not be reached at all. */
  get offline() {
    return this.status === 0;
  }
}

const BASE = "/api/v1/";

/** @param {string} id */
export const path = (id) => id.split("/").map(encodeURIComponent).join("/");

/** @param {Record<string, any>} [params] */
function query(params) {
  const kept = Object.entries(params ?? {}).filter(
    ([, v]) => v !== undefined && v !== null && v !== "",
  );
  return kept.length ? `?${new URLSearchParams(kept.map(([k, v]) => [k, String(v)]))}` : "";
}

/** @param {string} id @param {Record<string, any>} [params] */
export const jobUrl = (id, params) => `/job/${path(id)}${query(params)}`;

/** The page that compares some runs. @param {string[]} ids */
export const compareUrl = (ids) => `/compare?ids=${ids.map(path).join(",")}`;

/** @param {string} id @param {string} name @param {boolean} [download] */
export const fileUrl = (id, name, download) =>
  `${BASE}file/${path(id)}/${path(name)}${download ? "?download=1" : ""}`;

/** An address of the API. @param {string} route @param {Record<string, any>} [params] */
export const apiUrl = (route, params) => `${BASE}${route}${query(params)}`;

/** @param {string} route @param {Record<string, any>} [params] @param {AbortSignal} [signal] */
export const get = (route, params, signal) => ask("GET", route + query(params), undefined, signal);

/** @param {string} route @param {any} [body] @param {AbortSignal} [signal] */
export const post = (route, body, signal) => ask("POST", route, body ?? {}, signal);

/** @param {string} route @param {any} body */
export const patch = (route, body) => ask("PATCH", route, body);

/** @param {string} route @param {any} body */
export const put = (route, body) => ask("PUT", route, body);

/** Send files; resolves to the server's paths of them. @param {Iterable<File>} files */
export async function upload(files) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  return ask("POST", "upload", form);
}

/** The answer to what boot.js has asked already; once. @param {string} url */
function takeAsked(url) {
  /** @type {Map<string, Promise<Response>>|undefined} */
  const asked = /** @type {any} */ (window).minidlAsked;
  const answer = asked?.get(url);
  asked?.delete(url);
  return answer;
}

/**
 * @param {string} method
 * @param {string} route
 * @param {any} [body]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
async function ask(method, route, body, signal) {
  /** @type {RequestInit} */
  const options = { method, signal, headers: { accept: "application/json" } };
  if (body instanceof FormData) options.body = body;
  else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { ...options.headers, "content-type": "application/json" };
  }
  let answer;
  try {
    const asked = method === "GET" ? takeAsked(BASE + route) : undefined;
    answer = await (asked ?? fetch(BASE + route, options));
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, {
      type: "Offline",
      message: "The server does not answer.",
      fix: "Start it again with minidl serve; running jobs go on without it.",
    });
  }
  const text = await answer.text();
  let found;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    found = null;
  }
  if (!answer.ok) throw new ApiError(answer.status, found?.error ?? {}, found);
  return found;
}
