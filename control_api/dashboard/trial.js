import { modelPath } from "./api.js";
import { byId, element, icon, say } from "./element.js";
import { JsonView } from "./json-view.js";
import { listObjects } from "./object-list.js";
import { decoded, PictureCanvas } from "./picture-canvas.js";
import { preference, prefer } from "./preferences.js";
import { durationWords, objectsWords, sentence } from "./words.js";

const TIMEOUT_MS = 120_000;
const UPLOAD = "M12 15V4M7.5 8.5 12 4l4.5 4.5M4 15v3.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V15";

/** Tries a picture of the viewer's on a model. */
export class Trial {
  /** @type {File|null} */
  #file = null;
  #runs = 0;

  /**
   * @param {import("./api.js").Api} api the API
   * @param {import("./fleet.js").Fleet} fleet the models there are
   */
  constructor(api, fleet) {
    this.api = api;
    this.fleet = fleet;
    this.canvas = element("canvas", {
      "data-role": "trial-canvas",
      role: "img",
      "aria-label": "The picture",
    });
    this.picture = new PictureCanvas(this.canvas);
    this.json = new JsonView("Answer as JSON");
    this.#build();
    fleet.addEventListener("models", () => this.#offerModels());
  }

  #offerModels() {
    const { models, details } = this.fleet.models ?? { models: [], details: {} };
    const options = models.map((name) => [
      name,
      details[name].state === "loaded" ? name : `${name} (not loaded)`,
    ]);
    const text = JSON.stringify(options);
    if (this.drawnModels === text) return;
    this.drawnModels = text;
    const loaded = models.find((name) => details[name].state === "loaded");
    const wanted = this.model.value || preference("trial-model") || loaded;
    this.model.replaceChildren(...options.map(([value, words]) => element("option", { value }, words)));
    this.model.value = models.includes(wanted ?? "") ? wanted : (loaded ?? models[0] ?? "");
  }

  #choose(file) {
    if (!file) return;
    this.#file = file;
    this.again.hidden = false;
    this.#run();
  }

  async #run() {
    const [file, model, run] = [this.#file, this.model.value, ++this.#runs];
    if (!file) return;
    if (!model)
      return this.#complain("There is no model to try it on; put one into the models directory first.");
    this.element.dataset.state = "asking";
    this.element.setAttribute("aria-busy", "true");
    say(this.complaint, "");
    say(this.status, `${file.name}: asking ${model}…`);
    const form = new FormData();
    form.append("input_data", file);
    const beganMs = performance.now();
    try {
      const data = await this.api.send(`${modelPath(model)}/predict`, { form, timeoutMs: TIMEOUT_MS });
      if (run === this.#runs) await this.#show(file, model, data, performance.now() - beganMs);
    } catch (error) {
      if (run === this.#runs) this.#complain(sentence(error.message));
    }
    if (run === this.#runs) this.element.removeAttribute("aria-busy");
  }

  async #show(file, model, data, tookMs) {
    const objects = data["bounding-boxes"].map((found) => ({
      type: found.ObjectClassName,
      classId: found.ObjectClassId,
      confidence: found.confidence / 100,
      bbox: {
        leftX: found.coordinates.left,
        topY: found.coordinates.top,
        rightX: found.coordinates.right,
        bottomY: found.coordinates.bottom,
      },
    }));
    const bitmap = await decoded(file);
    const image = bitmap && { width: bitmap.width, height: bitmap.height };
    bitmap?.close();
    this.result.hidden = false;
    this.element.dataset.state = "done";
    this.screen.hidden = image === null;
    if (image) {
      this.screen.style.aspectRatio = `${image.width} / ${image.height}`;
      this.canvas.setAttribute("aria-label", `${file.name}: ${objectsWords(objects)}`);
      await this.picture.show({ place: null, picture: file, image, objects });
    }
    listObjects(this.list, objects);
    say(this.status, `${model}: ${objectsWords(objects)}, in ${durationWords(tookMs)}`);
    this.element.dataset.tookMs = String(Math.round(tookMs));
    this.json.show(data);
  }

  #complain(words) {
    this.element.dataset.state = "failed";
    say(this.status, "");
    say(this.complaint, words);
    this.result.hidden = true;
  }

  #build() {
    this.element = byId("trial");
    this.input = element("input", {
      type: "file",
      id: "trial-file",
      accept: "image/jpeg,image/png,image/webp",
      class: "unseen",
      "data-role": "file",
    });
    const zone = element(
      "label",
      { class: "drop", for: "trial-file", "data-role": "drop" },
      icon(UPLOAD),
      element("strong", {}, "Choose a picture"),
      element("span", {}, "or drop it anywhere here, or paste it. JPEG, PNG or WebP."),
    );
    this.model = element("select", { id: "trial-model", "data-role": "trial-model" });
    this.again = element(
      "button",
      {
        type: "button",
        class: "button",
        "data-role": "again",
        hidden: true,
        on: { click: () => this.#run() },
      },
      "Ask again",
    );
    this.status = element("p", { class: "trial-status", role: "status", "data-role": "trial-status" });
    this.complaint = element("p", { class: "complaint", role: "alert", "data-role": "trial-complaint" });
    this.screen = element("div", { class: "trial-screen" }, this.canvas);
    this.list = element("ol", { class: "objects", "data-role": "trial-objects", role: "list" });
    this.result = element(
      "div",
      { class: "trial-result", hidden: true, "data-role": "trial-result" },
      this.screen,
      element("div", { class: "trial-side" }, element("h2", {}, "Objects"), this.list, this.json.element),
    );
    const form = element(
      "div",
      { class: "trial-form" },
      element("label", { class: "field" }, "Model", this.model),
      this.again,
    );
    this.element.append(
      element("div", { class: "trial-ask" }, this.input, zone, form),
      this.status,
      this.complaint,
      this.result,
    );
    this.#listen(zone);
  }

  #listen(zone) {
    const page = byId("page-try");
    this.input.addEventListener("change", () => {
      this.#choose(this.input.files?.[0]);
      this.input.value = ""; // so that the same file can be chosen again
    });
    this.model.addEventListener("change", () => {
      prefer("trial-model", this.model.value);
      this.#run();
    });
    page.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("is-over");
    });
    page.addEventListener(
      "dragleave",
      (event) => page.contains(event.relatedTarget) || zone.classList.remove("is-over"),
    );
    page.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("is-over");
      this.#choose(event.dataTransfer?.files[0]);
    });
    document.addEventListener("paste", (event) => {
      if (!page.hidden) this.#choose([...(event.clipboardData?.files ?? [])][0]);
    });
  }
}
