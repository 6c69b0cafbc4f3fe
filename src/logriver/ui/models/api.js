// The server's calls. Everything that fails is an `ApiError` with the server's words; an aborted call stays an AbortError.

export class ApiError extends Error {
  constructor(status, { message, hint = null, position = null, code = "" }) {
    super(message);
    Object.assign(this, { status, hint, position, code });
  }
}

const unreachable = () => new ApiError(0, { message: "the server does not answer", code: "unreachable" });

async function failure(answer) {
  try {
    const content = await answer.json();
    return new ApiError(answer.status, content.error || { message: content.message || content.detail || "refused" });
  } catch {
    return new ApiError(answer.status, { message: `the server answered ${answer.status}` });
  }
}

async function call(path, options) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  } catch (error) {
    throw error.name === "AbortError" ? error : unreachable();
  }
  if (!answer.ok) throw await failure(answer);
  return answer;
}

export function address(path, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return query ? `${path}?${query}` : path;
}

export async function ask(path, params, signal) {
  return (await call(address(path, params), { signal })).json();
}

export async function post(path, body, headers = {}) {
  return (await call(path, { method: "POST", body, headers })).json();
}

// An export: the answer's body as it streams, for whoever saves it.
export async function download(path, params, type, signal) {
  return call(address(path, params), { signal, headers: { Accept: type } });
}
