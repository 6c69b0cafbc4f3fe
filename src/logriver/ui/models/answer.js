// A hook that asks the server something and keeps the old answer in place until the new one is there.

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "../helpers/html.js";
import { ask } from "./api.js";

const LATE_MS = 150;

// `key` names the question: another key, or `again()`, asks anew and breaks off what was under way. No key asks nothing.
export function useAnswer(key, load) {
  const [state, setState] = useState({ data: null, error: null, loading: false });
  const [round, setRound] = useState(0);
  const running = useRef(null);
  const cancel = useCallback(() => running.current?.abort(), []);
  // Asked before what is new is painted: the answer is on its way meanwhile.
  useLayoutEffect(() => {
    if (key === null) return undefined;
    const control = new AbortController();
    running.current = control;
    setState((old) => ({ ...old, loading: true }));
    load(control.signal).then(
      (data) => !control.signal.aborted && setState({ data, error: null, loading: false }),
      (error) => {
        if (running.current !== control) return;
        if (error.name === "AbortError") setState((old) => ({ ...old, loading: false, cancelled: true }));
        else setState((old) => ({ ...old, error, loading: false }));
      },
    );
    return () => {
      if (running.current === control) running.current = null;
      control.abort();
    };
  }, [key, round]);
  return { ...state, cancel, again: useCallback(() => setRound((old) => old + 1), []) };
}

// Whether something goes on for so long that people should see it: what is answered at once does not flicker.
export function useLate(isOn) {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    const timer = isOn && setTimeout(() => setLate(true), LATE_MS);
    return () => clearTimeout(timer);
  }, [isOn]);
  return isOn && isLate;
}

// Another `round` asks the same thing anew; the server is not told of it.
export function useCall(path, { round, ...params }, wanted = true) {
  const key = wanted ? JSON.stringify([path, params, round]) : null;
  return useAnswer(key, (signal) => ask(path, params, signal));
}

// Ask the same thing again and again while the page can be seen.
export function usePolled(path, seconds) {
  const answer = useCall(path, {});
  const { again } = answer;
  useEffect(() => {
    const timer = setInterval(() => document.hidden || again(), seconds * 1000);
    return () => clearInterval(timer);
  }, [again, seconds]);
  return answer;
}
