// What components are written with: Preact, its hooks, and htm's templates.
export {
  html, render, useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "../vendor/htm-preact.js";
