// Calls of the public API: one answer each, and the patience to ask again.
import { sleep } from "./page.js";

// How long one call may take before it counts as unanswered, in ms. A donation waits
// for a disk; a question waits for news.
const answerMax = 20_000;
// Longest pause between two tries, in ms.
const pauseMax = 30_000;

// call makes one call. It never throws: status 0 means that no answer came, and that
// nobody knows what became of the call.
export async function call(method, path, { token, key, body, signal, etag, longer = 0 } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = "Bearer " + token;
  if (key) headers["Idempotency-Key"] = key;
  if (etag) headers["If-None-Match"] = etag;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const stop = new AbortController();
  const abort = () => stop.abort();
  const timer = setTimeout(abort, answerMax + longer);
  signal?.addEventListener("abort", abort);
  try {
    const answer = await fetch(path, {
      method, headers, signal: stop.signal, credentials: "omit", cache: "no-store", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      ok: answer.ok,
      body: text ? JSON.parse(text) : {},
      head: answer.headers,
      // Seconds that the server asks for, 0 when it does not.
      after: Number(answer.headers.get("Retry-After")) || 0,
    };
  } catch {
    // No answer, half of one, or none of ours: a proxy's page. All unknown.
    return { status: 0, ok: false, body: {}, after: 0 };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

// unknown tells whether an answer leaves open what became of the call.
export const unknown = (answer) => answer.status === 0 || answer.status === 408 || answer.status >= 500;

// later is how long to wait before try number n + 1, in ms: what the server asked for, or
// twice as long each time; spread, so that those who were refused together do not come
// back together.
export function later(answer, n) {
  if (answer.after) return Math.min(answer.after * 1000, pauseMax) + Math.random() * 1000;
  return Math.min(1000 * 2 ** Math.min(n, 6), pauseMax) * (0.5 + Math.random());
}

// insist makes the call until its outcome is known, and returns that answer. waiting is
// told before each pause: (answer, pause in ms, whether the device is offline). It ends
// only with a known outcome, or with the signal.
export async function insist(make, waiting, signal) {
  for (let n = 0; ; n++) {
    const answer = await make();
    if (signal?.aborted || (!unknown(answer) && answer.status !== 429)) return answer;
    const offline = navigator.onLine === false;
    const pause = later(answer, n);
    waiting(answer, pause, offline);
    await sleep(pause, signal, "online");
    if (signal?.aborted) return answer;
  }
}
