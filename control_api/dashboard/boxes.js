import { classColour, INK } from "./colours.js";
import { shareWords } from "./words.js";

const STROKE_PX = 2;
const HALO = "rgb(0 0 0 / 55%)";
const PADDING_PX = 4;

/**
 * An object in a picture.
 *
 * @typedef {{type: string, classId: number, confidence: number,
 *   bbox: {leftX: number, topY: number, rightX: number, bottomY: number}}} DetectedObject
 */

/**
 * Draws objects over a picture. Strokes and text have the same size on every screen, however large the picture is.
 *
 * @param {CanvasRenderingContext2D} context in CSS pixels
 * @param {DetectedObject[]} objects boxes in pixels of the picture, best first; confidence 0..1
 * @param {{x: number, y: number, width: number, height: number}} area where the picture is, in CSS pixels
 * @param {{width: number, height: number}} image size of the picture, in its own pixels
 */
export function drawBoxes(context, objects, area, image) {
  const scaleX = area.width / image.width;
  const scaleY = area.height / image.height;
  const fontPx = area.width < 260 ? 10 : area.width < 900 ? 12 : 14;
  context.font = `600 ${fontPx}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  // The best comes first, and is to be on top.
  for (const object of [...objects].reverse()) {
    const { leftX, topY, rightX, bottomY } = object.bbox;
    const box = {
      left: area.x + leftX * scaleX,
      top: area.y + topY * scaleY,
      right: area.x + rightX * scaleX,
      bottom: area.y + bottomY * scaleY,
    };
    const colour = classColour(object.classId);
    stroke(context, box, STROKE_PX + 2, HALO);
    stroke(context, box, STROKE_PX, colour);
    drawLabel(context, `${object.type} ${shareWords(object.confidence)}`, box, area, fontPx, colour);
  }
}

function stroke(context, box, widthPx, colour) {
  context.lineWidth = widthPx;
  context.strokeStyle = colour;
  context.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
}

// Above its box; inside where the picture ends; never outside of the picture.
function drawLabel(context, text, box, area, fontPx, colour) {
  const height = fontPx + 6;
  const width = Math.min(context.measureText(text).width + 2 * PADDING_PX, area.width);
  const x = clamp(box.left - STROKE_PX / 2, area.x, area.x + area.width - width);
  const above = box.top - height;
  const y = above >= area.y ? above : clamp(box.top, area.y, area.y + area.height - height);
  context.fillStyle = colour;
  context.fillRect(x, y, width, height);
  context.fillStyle = INK;
  context.fillText(text, x + PADDING_PX, y + height / 2 + 0.5, width - PADDING_PX);
}

function clamp(value, lowest, highest) {
  return Math.max(lowest, Math.min(value, highest));
}
