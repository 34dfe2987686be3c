import { command } from "./command.js";
import { element } from "./element.js";

/**
 * What to do next on an installation that shows nothing yet, by what is missing.
 *
 * @param {import("./fleet.js").Fleet} fleet what is there
 * @param {boolean} hasStreams whether this process knows of any bus
 * @returns {HTMLElement|null} the steps; null while it is not known what is there, or nothing is missing
 */
export function nextSteps(fleet, hasStreams) {
  if (!hasStreams) return withoutStreams();
  if (fleet.workers === null || fleet.cameras === null || fleet.cameras.length) return null;
  const routed = fleet.workers.flatMap((worker) => worker.models.filter((model) => model.is_routed));
  const isLoaded = routed.some((model) => model.state === "loaded");
  const model = routed[0]?.name ?? fleet.models?.models[0] ?? "pedestrian";
  const hasModels = (fleet.models?.models.length ?? 0) > 0;
  const missing = !fleet.workers.length
    ? "workers"
    : !routed.length
      ? "route"
      : !isLoaded
        ? "load"
        : "cameras";
  const headings = {
    workers: "No worker is running yet",
    route: "Workers are here, and no frames go through a model yet",
    load: `The model ${model} is not loaded yet`,
    cameras: "All is ready, and no camera sends yet",
  };
  const steps = [
    {
      words: "Put a model into the models directory",
      commands: ["framebus models fetch pedestrian"],
      isDone: hasModels || routed.length > 0,
    },
    {
      words: "Start a worker that reads frames for it, as many as you like",
      commands: [`framebus topics create --model ${model}`, `framebus consume --model ${model}`],
      isDone: routed.length > 0,
    },
    {
      words:
        routed.length && !isLoaded
          ? "Wait until the model is loaded; the page Models says what holds it up"
          : "The model is loaded on a worker",
      commands: [],
      isDone: isLoaded,
    },
    {
      words: "Let cameras send: RTSP, HTTP, webcams or files",
      commands: ["framebus produce --camera gate=rtsp://gate/live --camera yard=yard.mp4"],
      isDone: false,
    },
  ];
  const current = steps.findIndex(({ isDone }) => !isDone);
  return element(
    "div",
    { class: "steps-card", "data-role": "next-steps", "data-missing": missing },
    element("h2", {}, headings[missing]),
    element(
      "ol",
      { class: "steps", role: "list" },
      ...steps.map((step, nth) => item(step, nth, nth === current)),
    ),
    element("p", { class: "hint" }, "This page notices by itself when something starts."),
  );
}

function item({ words, commands, isDone }, nth, isCurrent) {
  const state = isDone ? "done" : isCurrent ? "now" : "later";
  return element(
    "li",
    { class: "step", "data-state": state, "aria-current": isCurrent ? "step" : null },
    element("span", { class: "step-mark", "aria-hidden": "true" }, isDone ? "✓" : String(nth + 1)),
    element(
      "p",
      { class: "step-words" },
      words,
      element("span", { class: "step-state" }, isDone ? "done" : isCurrent ? "next" : "then"),
    ),
    ...(isDone ? [] : commands.map(command)),
  );
}

function withoutStreams() {
  return element(
    "div",
    { class: "steps-card", "data-role": "next-steps", "data-missing": "streams" },
    element("h2", {}, "This process has no camera streams"),
    element(
      "p",
      {},
      "framebus serve answers single pictures over REST, without a bus, so no camera will ever show up here. ",
      element("a", { href: "#try" }, "Try a picture"),
      ", or run these for streams:",
    ),
    command("framebus api"),
    command("framebus consume --model pedestrian"),
    command("framebus produce --camera gate=rtsp://gate/live"),
  );
}
