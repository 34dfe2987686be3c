// Boxes are in the pixels of the file as it is stored, whatever its EXIF orientation says; browsers turn pictures by it.
const JPEG = [0xff, 0xd8];
const APP1 = 0xe1;
const EXIF = "Exif\0\0";

/**
 * @param {Blob} blob a picture's file
 * @returns {Promise<Blob>} the same picture without EXIF if it is a JPEG with some; else the blob itself
 */
export async function withoutExif(blob) {
  // All of it: a slice of the blob costs the main thread several times as much.
  const head = new DataView(await blob.arrayBuffer());
  if (head.byteLength < 4 || head.getUint8(0) !== JPEG[0] || head.getUint8(1) !== JPEG[1]) return blob;
  let at = 2;
  while (at + 10 <= head.byteLength && head.getUint8(at) === 0xff) {
    const marker = head.getUint8(at + 1);
    if (marker === 0xda) break; // the picture begins
    const end = at + 2 + head.getUint16(at + 2);
    if (marker === APP1 && text(head, at + 4, EXIF.length) === EXIF) {
      return new Blob([blob.slice(0, at), blob.slice(end)], { type: blob.type });
    }
    at = end;
  }
  return blob;
}

function text(view, at, length) {
  return String.fromCharCode(...Array.from({ length }, (_, nth) => view.getUint8(at + nth)));
}
