import { byId, element, say } from "./element.js";
import { stateBadge } from "./state-words.js";
import { Table } from "./table.js";
import { ageWords, countWords, dateWords, plural, shareWords } from "./words.js";

// Workers speak once a second.
const LATE_S = 1.8;

/** A worker: where it is, whether it is well, and what it has to do. */
class WorkerCard {
  /** @param {string} id of the worker */
  constructor(id) {
    this.state = element("span", { class: "card-state" });
    this.facts = element("dl", { class: "facts wide", "data-role": "facts" });
    this.table = new Table(`Models of ${id}`, ["Model", "State", "Engine", "Device", "Batch fill", "Lag"]);
    this.element = element(
      "article",
      { class: "card", "data-worker": id, "aria-labelledby": `worker-${id}` },
      element(
        "div",
        { class: "card-head" },
        element("h2", { id: `worker-${id}`, class: "mono" }, id),
        this.state,
      ),
      this.facts,
      this.table.element,
    );
    this.values = ["Address", "Running since", "Last heard", "Waiting predictions", "Cameras"].map((name) => {
      const value = element("dd", { "data-fact": name.toLowerCase().replaceAll(" ", "-") });
      this.facts.append(element("div", {}, element("dt", {}, name), value));
      return value;
    });
  }

  /** @param {any} worker what it says of itself @param {number} cameras how many it serves @param {number} nowMs by the server */
  update(worker, cameras, nowMs) {
    const state = worker.is_ready ? "ready" : "not-ready";
    if (this.element.dataset.state !== state)
      this.state.replaceChildren(stateBadge(state, worker.is_ready ? "Ready" : "Not ready"));
    this.element.dataset.state = state;
    const [address, running, heard, waiting, seen] = this.values;
    say(address, worker.address);
    const age = ageWords((nowMs - Date.parse(worker.started_at)) / 1_000);
    say(running, `${dateWords(worker.started_at)} (${age})`);
    say(heard, `${worker.heard_s_ago.toFixed(1)} s ago`);
    heard.classList.toggle("is-late", worker.heard_s_ago > LATE_S);
    say(waiting, countWords(worker.waiting_predictions));
    say(seen, countWords(cameras));
    this.table.element.hidden = worker.models.length === 0;
    this.table.show(
      worker.models.map((model) => ({
        key: model.name,
        cells: [
          model.name,
          stateBadge(model.state),
          model.engine ?? "–",
          model.device ?? "–",
          model.batch_fill === null ? "–" : shareWords(model.batch_fill),
          model.lag_frames === null ? "–" : plural(model.lag_frames, "frame"),
        ],
      })),
    );
  }
}

/** All live workers. */
export class WorkersPage {
  /** @type {Map<string, WorkerCard>} */
  #cards = new Map();

  /** @param {import("./fleet.js").Fleet} fleet the workers @param {import("./server-clock.js").ServerClock} clock the server's time */
  constructor(fleet, clock) {
    this.fleet = fleet;
    this.clock = clock;
    fleet.addEventListener("workers", () => this.#update());
  }

  #update() {
    const workers = this.fleet.workers ?? [];
    const ids = workers.map(({ worker }) => worker);
    for (const [id, card] of this.#cards) {
      if (ids.includes(id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    workers.forEach((worker, nth) => {
      let card = this.#cards.get(worker.worker);
      if (!card) this.#cards.set(worker.worker, (card = new WorkerCard(worker.worker)));
      const cameras = (this.fleet.cameras ?? []).filter((camera) => camera.worker === worker.worker);
      card.update(worker, new Set(cameras.map(({ camera }) => camera)).size, this.clock.nowMs());
      const list = byId("workers");
      if (list.children[nth] !== card.element) list.insertBefore(card.element, list.children[nth] ?? null);
    });
    const notReady = workers.filter(({ is_ready }) => !is_ready).length;
    say(
      byId("workers-note"),
      workers.length ? `${plural(workers.length, "worker")}${notReady ? `, ${notReady} not ready` : ""}` : "",
    );
  }
}
